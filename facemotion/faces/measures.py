"""Openings of eyes and mouth, and where the eyes look, from the points of a face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facemotion.faces.ibug68 import LEFT_EYE, RIGHT_EYE, inter_ocular

EYE_CORNERS = {"left": (263, 362), "right": (33, 133)}
"""Outer and inner corner of the person's eyes among the 478 points."""

IRIS_CENTRES = {"left": 473, "right": 468}

EYEBALL_RADIUS = 0.4
"""In widths of the eye from corner to corner: 12 mm of 30."""

IRIS_AHEAD = (0.039, -0.064)
"""Where the iris of an eye that looks straight ahead is, seen from the middle between the corners: outwards and up, in
eye widths. Mean of 220 studio photographs of people who look into the camera (standard deviation 0.027, 0.017)."""


@dataclass(frozen=True)
class Gaze:
    """Where the person's eyes look relative to the head, (yaw, pitch) in degrees each: yaw > 0 towards the right of
    the image, pitch > 0 up, for an upright head."""

    left: tuple[float, float]
    right: tuple[float, float]


def gaze(points: np.ndarray, rotation: np.ndarray) -> Gaze:
    """Gaze from the irises of 478 points (478, 3), relative to a head with this rotation (3, 3) in the image.

    The iris is taken for a point on an eyeball behind the middle between the eye's corners. Good to some 5 degrees
    sideways; up and down the lids carry the points along.
    """
    eyes = {}
    for side, outwards in (("left", 1), ("right", -1)):
        outer, inner = (points[i] for i in EYE_CORNERS[side])
        width = max(float(np.linalg.norm(outer - inner)), 1e-6)
        right, down, _ = rotation.T @ (points[IRIS_CENTRES[side]] - (outer + inner) / 2) / width
        offset = np.array([right - outwards * IRIS_AHEAD[0], IRIS_AHEAD[1] - down])
        yaw, pitch = np.degrees(np.arcsin(np.clip(offset / EYEBALL_RADIUS, -1, 1))).tolist()
        eyes[side] = (yaw, pitch)
    return Gaze(left=eyes["left"], right=eyes["right"])


def mouth_opening(landmarks: np.ndarray) -> float:
    """Height of the gap between the lips of 68 landmarks, in units of the distance between the eyes."""
    gap = np.linalg.norm(landmarks[61:64] - landmarks[[67, 66, 65]], axis=1).mean()
    return float(gap) / max(float(inter_ocular(landmarks)), 1e-6)


def eye_openings(landmarks: np.ndarray) -> tuple[float, float]:
    """Height of the opening by the width of the person's left and right eye (Soukupova & Cech 2016)."""
    return _aspect_ratio(landmarks[LEFT_EYE]), _aspect_ratio(landmarks[RIGHT_EYE])


def _aspect_ratio(eye: np.ndarray) -> float:
    height = (np.linalg.norm(eye[1] - eye[5]) + np.linalg.norm(eye[2] - eye[4])) / 2
    return float(height) / max(float(np.linalg.norm(eye[0] - eye[3])), 1e-6)
