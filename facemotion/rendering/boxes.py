"""Small rectangles of a crop in which something is drawn at its full resolution."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facemotion.head.rasteriser import HIDDEN, rasterise


def f32(values: object) -> np.ndarray:
    """An array of single precision."""
    return np.asarray(values, np.float32)


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


def mesh_cover(points: np.ndarray, triangles: np.ndarray, box: Box, *, finer: int = 2) -> np.ndarray:
    """(h, w) float32 in [0, 1]: how much of each pixel of the box the triangles cover, seen from the front.

    points: (V, 3) px of the crop; each pixel is looked at ``finer`` x ``finer`` times.
    """
    moved = points.copy()
    moved[:, :2] = (moved[:, :2] - (box.x0 - 0.5, box.y0 - 0.5)) * finer - 0.5
    height, width = box.shape
    nothing = np.zeros((len(points), 0), np.float32)
    depth, _ = rasterise(moved, triangles, nothing, size=(height * finer, width * finer))
    covered = (depth > HIDDEN).astype(np.float32)
    return cv2.resize(covered, (width, height), interpolation=cv2.INTER_AREA)
