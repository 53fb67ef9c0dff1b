"""What the landmarker returns, and the parts of a photo it looks at."""

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


@dataclass(frozen=True, eq=False)
class MeasuredFace:
    """One face as the landmarker sees it. All lengths in photo px, pixel centres at integer coordinates.

    points: (478, 3) float32, MediaPipe's order; x right, y down, z away from the camera; 468-472 and 473-477 are the
        right and left iris (its centre first).
    scores: (52,) float32 in [0, 1], the expression units as the network says, in the order of `units.UNIT_NAMES`.
    presence: chance in [0, 1] that the points lie on a face.
    score: the detector's, in [0, 1]; 1 where the place of the face was given.
    roi: the part of the photo that was looked at.
    pose: (yaw, pitch, roll) in degrees, see `head_pose.head_pose`.
    """

    points: np.ndarray
    scores: np.ndarray
    presence: float
    score: float
    roi: Roi
    pose: tuple[float, float, float]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) around the points; may reach beyond the photo where the face does."""
        (x0, y0), (x1, y1) = self.points[:, :2].min(axis=0).tolist(), self.points[:, :2].max(axis=0).tolist()
        return x0, y0, x1, y1
