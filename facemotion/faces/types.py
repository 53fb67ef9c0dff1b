"""What the finders return: one face in a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from facemotion.faces.ibug68 import inter_ocular

if TYPE_CHECKING:
    import numpy as np

FaceSource = Literal["builtin", "face-alignment"]


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a photo. All lengths in photo px, pixel centres at integer coordinates (see `geometry`).

    landmarks: (68, 2) float32, iBUG order (jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67), (x, y).
    box: (x0, y0, x1, y1); may reach beyond the photo where the face does.
    score: confidence in [0, 1].
    pose: (yaw, pitch, roll) in degrees, signs as in `pose.head_pose`.
    source: which finder found it.
    """

    landmarks: np.ndarray
    box: tuple[float, float, float, float]
    score: float
    pose: tuple[float, float, float]
    source: FaceSource = "builtin"

    @property
    def size_px(self) -> float:
        """The longer side of the box."""
        x0, y0, x1, y1 = self.box
        return max(x1 - x0, y1 - y0)

    @property
    def inter_ocular_px(self) -> float:
        """Distance between the centres of the two eyes."""
        return float(inter_ocular(self.landmarks))
