"""The parts of a photo that the networks look at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Roi:
    """A part of the photo that holds a face: a rectangle, nearly or quite square, that leans with the head.

    centre: (x, y) photo px. width_px, height_px: its sides. angle: radians, positive leans clockwise as seen in the
    photo; 0 is an upright face.
    """

    centre: tuple[float, float]
    width_px: float
    height_px: float
    angle: float

    @property
    def size_px(self) -> float:
        """The longer side."""
        return max(self.width_px, self.height_px)

    @property
    def crop_to_photo(self) -> np.ndarray:
        """(2, 3) affine transform from the unit square, (0, 0) the upper left corner of the part, to photo px."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        linear = np.array([[cos * self.width_px, -sin * self.height_px], [sin * self.width_px, cos * self.height_px]])
        return np.column_stack([linear, np.array(self.centre) - linear.sum(axis=1) / 2])
