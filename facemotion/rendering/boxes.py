"""Small rectangles of a crop in which something is drawn at its full resolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from facemotion.head.rasteriser import HIDDEN, rasterise
from facemotion.rendering import kernels
from facemotion.rendering.flow import pull_push_known


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
        """(h, w, 2) float32 px of the crop at every pixel of the box; not to be written to."""
        return _grid(self)


@dataclass(frozen=True, eq=False)
class LayerCanvas:
    """A layer in the making: what is drawn over the moved skin in a box of the crop."""

    box: Box
    image: np.ndarray
    """(h, w, 3) float32 RGB in [0, 1]: the moved skin, and on it what has been drawn."""
    opacity: np.ndarray
    """(h, w) float32 in [0, 1]: where the drawing is to be seen."""
    fresh: np.ndarray
    """(h, w) float32 in [0, 1]: how much of it is not made of the photo's own pixels, and wants their grain."""

    @classmethod
    def on(cls, box: Box, skin: np.ndarray) -> LayerCanvas:
        """Nothing drawn yet on the skin (h, w, 3) in a box."""
        return cls(box, skin, np.zeros(box.shape, np.float32), np.zeros(box.shape, np.float32))

    def shown(self, share: float) -> LayerCanvas:
        """The canvas with a share of its opacity."""
        return self if share >= 1 else LayerCanvas(self.box, self.image, np.float32(share) * self.opacity, self.fresh)

    def close(self, opening: np.ndarray) -> None:
        """Continue the skin around an opening (h, w) over it, so that soft edges meet skin and nothing else."""
        pull_push_known(self.image, opening < 0.04)

    def draw(self, colour: np.ndarray, share: np.ndarray, *, shown: np.ndarray, fresh: float = 0.0) -> None:
        """Blend a colour (h, w, 3) in by a share (h, w) and show it; ``fresh`` of it is not of the photo's pixels."""
        colour = np.broadcast_to(np.asarray(colour, np.float32), self.image.shape)
        kernels.blend(self.image, self.opacity, self.fresh, colour, f32(share), f32(shown), np.float32(fresh))


@lru_cache(maxsize=4)
def _grid(box: Box) -> np.ndarray:
    columns = np.arange(box.x0, box.x1, dtype=np.float32)
    rows = np.arange(box.y0, box.y1, dtype=np.float32)
    grid = np.dstack(np.meshgrid(columns, rows))
    grid.setflags(write=False)
    return grid


def around(opening: np.ndarray, reach: float) -> np.ndarray:
    """(h, w) in [0, 1]: an opening and its rim so many px wide, softly ending."""
    size = 2 * max(1, round(reach)) + 1
    sigma = max(0.6, 0.4 * reach)
    softened = np.zeros_like(opening)
    # Beyond the reach of both filters there is nothing.
    part = _extent(opening, margin=size + round(4 * sigma) + 2)
    grown = cv2.dilate(opening[part], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    softened[part] = np.clip(1.5 * cv2.GaussianBlur(grown, (0, 0), sigma), 0, 1)
    return softened


def _extent(values: np.ndarray, *, margin: int) -> tuple[slice, slice]:
    """Rows and columns of all that is not zero in values (h, w), and a margin; the whole where everything is zero."""
    height, width = values.shape
    x, y, w, h = cv2.boundingRect((values > 0).view(np.uint8))
    if not w:
        return slice(0, height), slice(0, width)
    return slice(max(0, y - margin), min(height, y + h + margin)), slice(max(0, x - margin), min(width, x + w + margin))


@dataclass(frozen=True, eq=False)
class MeshPart:
    """Some triangles of a mesh with the vertices that they use, and where these lie in the photo."""

    vertices: np.ndarray
    """(v,) which vertices of the whole mesh."""
    triangles: np.ndarray
    """(f, 3) int32 into ``vertices``."""
    source: np.ndarray
    """(v, 2) float32 px of the crop."""

    @classmethod
    def of(cls, source: np.ndarray, triangles: np.ndarray) -> MeshPart:
        """The part of a mesh whose vertices lie at source (V, 3) px in the photo, made of triangles (f, 3)."""
        vertices, indices = np.unique(triangles, return_inverse=True)
        indices = np.ascontiguousarray(indices.reshape(triangles.shape), np.int32)
        return cls(vertices, indices, f32(source[vertices, :2]))

    def view(self, points: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """The part seen in a box: how much of each pixel it covers, and where in the photo that came from.

        points: (V, 3) px of the crop, the moved vertices of the whole mesh; each pixel is looked at 2 x 2 times.
        Returns (h, w) float32 in [0, 1], and (h, w, 2) px of the crop, which mean nothing where nothing is covered.
        """
        moved = points[self.vertices]
        moved[:, :2] = (moved[:, :2] - (box.x0 - 0.5, box.y0 - 0.5)) * 2 - 0.5
        height, width = box.shape
        depth, places = rasterise(moved, self.triangles, self.source, size=(height * 2, width * 2))
        cover, at = np.empty((height, width), np.float32), np.empty((height, width, 2), np.float32)
        kernels.averaged_view(depth, places, HIDDEN, cover, at)
        return cover, at


def largest_opening(inside: np.ndarray) -> np.ndarray:
    """The largest opening within the box, (h, w) float32; others are cracks of the mesh, or lie beyond it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((inside > 0.25).astype(np.uint8))
    height, width = inside.shape
    x, y, w, h, sizes = stats[1:].T
    within = (x > 0) & (y > 0) & (x + w < width) & (y + h < height)
    sizes = np.where(within, sizes, 0)
    if count < 2 or not sizes.any():
        return np.zeros_like(inside)
    kept = np.isin(labels, 1 + np.flatnonzero(sizes > 0.15 * sizes.max()))
    return np.where(cv2.dilate(kept.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0, inside, 0)
