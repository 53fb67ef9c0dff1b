"""Small rectangles of a crop in which something is drawn at its full resolution."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facemotion.head.rasteriser import HIDDEN, rasterise
from facemotion.rendering.flow import pull_push


def f32(values: object) -> np.ndarray:
    """An array of single precision."""
    return np.ascontiguousarray(values, np.float32)


@dataclass(frozen=True)
class Box:
    """Rows and columns of a crop, ends excluded, px."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def around(cls, points: np.ndarray, margin: float, size_px: int) -> Box:
        """The box of points (n, 2) and a margin, within a crop of ``size_px``; at least 2 px wide and high."""
        low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin) + 1
        x0, y0 = (int(v) for v in np.clip(low, 0, size_px - 2))
        x1, y1 = (int(v) for v in np.clip(high, (x0 + 2, y0 + 2), size_px))
        return cls(x0, y0, x1, y1)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) px."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def of(self) -> tuple[slice, slice]:
        """The box as an index into the crop."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def grid(self) -> np.ndarray:
        """(h, w, 2) float32 px of the crop at every pixel of the box."""
        columns = np.arange(self.x0, self.x1, dtype=np.float32)
        rows = np.arange(self.y0, self.y1, dtype=np.float32)
        return np.dstack(np.meshgrid(columns, rows))


@dataclass(frozen=True)
class LayerCanvas:
    """What is drawn over the moved skin of a crop: made once per frame, drawn into by one layer after the other."""

    image: np.ndarray
    """(N, N, 3) float32 RGB in [0, 1]: the moved skin, and on it what has been drawn."""
    opacity: np.ndarray
    """(N, N) float32 in [0, 1]: where the drawing is to be seen."""
    fresh: np.ndarray
    """(N, N) float32 in [0, 1]: how much of it is not made of the photo's own pixels, and wants their grain."""

    @classmethod
    def blank(cls, size_px: int) -> LayerCanvas:
        """Of a crop of ``size_px``."""
        square = (size_px, size_px)
        return cls(np.zeros((*square, 3), np.float32), np.zeros(square, np.float32), np.zeros(square, np.float32))

    def close(self, box: Box, opening: np.ndarray) -> None:
        """Continue the skin around an opening (h, w) over it, so that soft edges meet skin and nothing else."""
        known = (opening < 0.04).astype(np.float32)
        part = self.image[box.of]
        part[:] = np.where(known[..., None] > 0, part, pull_push(part, known))

    def draw(self, box: Box, colour: np.ndarray, share: np.ndarray, *, shown: np.ndarray, fresh: float = 0.0) -> None:
        """Blend a colour (h, w, 3) in by a share (h, w) and show it; ``fresh`` of it is not of the photo's pixels."""
        part = self.image[box.of]
        part += share[..., None] * (colour - part)
        self.opacity[box.of] = np.maximum(self.opacity[box.of], np.clip(shown, 0, 1))
        before = self.fresh[box.of]
        before += share * (fresh - before)


def around(opening: np.ndarray, reach: float) -> np.ndarray:
    """(h, w) in [0, 1]: an opening and its rim so many px wide, softly ending."""
    size = 2 * max(1, round(reach)) + 1
    grown = cv2.dilate(opening, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return np.clip(1.5 * cv2.GaussianBlur(grown, (0, 0), max(0.6, 0.4 * reach)), 0, 1)


def mesh_view(
    points: np.ndarray, source: np.ndarray, triangles: np.ndarray, box: Box, *, finer: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """A mesh seen in a box: how much of each pixel it covers, and where in the photo that came from.

    points, source: (V, 3) px of the crop, moved and in the photo; each pixel is looked at ``finer`` x ``finer`` times.
    Returns (h, w) float32 in [0, 1], and (h, w, 2) px of the crop, which mean nothing where nothing is covered.
    """
    moved = points.copy()
    moved[:, :2] = (moved[:, :2] - (box.x0 - 0.5, box.y0 - 0.5)) * finer - 0.5
    height, width = box.shape
    depth, places = rasterise(moved, triangles, f32(source[:, :2]), size=(height * finer, width * finer))
    seen = (depth > HIDDEN).astype(np.float32)
    summed = cv2.resize(np.dstack([places * seen[..., None], seen]), (width, height), interpolation=cv2.INTER_AREA)
    cover = summed[..., 2]
    return cover, summed[..., :2] / np.maximum(cover, 1e-6)[..., None]
