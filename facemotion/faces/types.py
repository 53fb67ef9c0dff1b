"""One face of a photo, whoever found it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from facemotion.faces.ibug68 import inter_ocular

if TYPE_CHECKING:
    from facemotion.faces.landmarker.roi import Roi
    from facemotion.faces.measures import Gaze

FaceSource = Literal["builtin", "face-alignment"]


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a photo. All lengths in photo px, pixel centres at integer coordinates (see `geometry`).

    landmarks: (68, 2) float32, iBUG order (jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67), (x, y).
    box: (x0, y0, x1, y1) around all points; may reach beyond the photo where the face does.
    score: confidence in [0, 1].
    pose: (yaw, pitch, roll) in degrees. yaw > 0: the person looks to the right of the image; pitch > 0: up;
        roll > 0: the head leans clockwise as seen in the image; yaw and pitch are those left once the roll is undone.
    source: which finder found it.

    The landmarker of the package ("builtin") also gives what face-alignment cannot; None there:

    points: (478, 3) float32, MediaPipe's order and places; z like x and y, towards the camera negative; 468-472 and
        473-477 are the right and the left iris of the person, the centre first.
    scores: (52,) float32 in [0, 1], what the network says of the expression units of `expressions.units.UNIT_NAMES`;
        `units` are the same calibrated.
    presence: chance in [0, 1] that the points lie on a face.
    gaze: where the eyes look, relative to the head.
    """

    landmarks: np.ndarray
    box: tuple[float, float, float, float]
    score: float
    pose: tuple[float, float, float]
    source: FaceSource = "builtin"
    points: np.ndarray | None = None
    scores: np.ndarray | None = None
    presence: float | None = None
    gaze: Gaze | None = None

    @property
    def size_px(self) -> float:
        """The longer side of the box."""
        x0, y0, x1, y1 = self.box
        return max(x1 - x0, y1 - y0)

    @property
    def inter_ocular_px(self) -> float:
        """Distance between the centres of the two eyes."""
        return float(inter_ocular(self.landmarks))

    def require_scores(self) -> np.ndarray:
        """The 52 scores; ValueError where the landmarker has not measured the face."""
        if self.scores is None:
            raise ValueError("the scores of this face are not known")
        return self.scores

    def require_points(self) -> np.ndarray:
        """The 478 points; ValueError where only 68 are known (see `mesh.measure_face`)."""
        if self.points is None:
            raise ValueError("of this face, only 68 landmarks are known")
        return self.points

    @property
    def roi(self) -> Roi:
        """The part of the photo that the landmarker looks at to see this face."""
        from facemotion.faces.landmarker.crops import roi_of_landmarks, roi_of_points

        return roi_of_landmarks(self.landmarks) if self.points is None else roi_of_points(self.points)

    @property
    def units(self) -> np.ndarray | None:
        """(52,) float32: strengths of the expression units, the scores calibrated (see `landmarker.calibration`)."""
        from facemotion.faces.landmarker.calibration import shipped_calibration

        return None if self.scores is None else shipped_calibration().strengths(self.scores)

    @property
    def facs(self) -> dict[str, float] | None:
        """Strengths by FACS number and side (``AU12L``), of the strongest where several units show one number."""
        from facemotion.expressions.units import UNITS

        if self.units is None:
            return None
        strengths: dict[str, float] = {}
        for unit, strength in zip(UNITS, self.units.tolist(), strict=True):
            if unit.facs:
                strengths[unit.facs_label] = max(strength, strengths.get(unit.facs_label, 0.0))
        return strengths

    @property
    def eye_openings(self) -> tuple[float, float]:
        """Height of the opening by the width of the person's left and right eye."""
        from facemotion.faces.measures import eye_openings

        return eye_openings(self.landmarks)

    @property
    def mouth_opening(self) -> float:
        """Height of the gap between the lips in units of the distance between the eyes."""
        from facemotion.faces.measures import mouth_opening

        return mouth_opening(self.landmarks)

    def scaled(self, ratio: float) -> Face:
        """The same face in a photo ``ratio`` times as large, edges on edges."""
        shift = np.float32((ratio - 1) / 2)
        x0, y0, x1, y1 = (float(edge * ratio + shift) for edge in self.box)
        points = self.points
        if points is not None:
            points = points * np.float32(ratio) + np.array([shift, shift, 0], np.float32)
        return replace(self, landmarks=self.landmarks * np.float32(ratio) + shift, box=(x0, y0, x1, y1), points=points)
