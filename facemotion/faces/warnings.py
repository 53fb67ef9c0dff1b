"""What a user should know about a face before it is animated, in one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from facemotion.faces.occlusion import Occlusion
    from facemotion.faces.types import Face

SMALL_PX = 96
TURNED_DEG = 30
OPEN_MOUTH = 0.15
"""Gap between the lips in eye distances: half of all toothy smiles stay below 0.06."""
CLOSED_EYES = 0.13
"""Height by width: of open eyes, 98 in 100 are above 0.2."""
CUT_OFF = 0.04
"""Share of the landmarks beyond the edge of the photo."""


def face_warnings(face: Face, image_shape: tuple[int, ...], occlusion: Occlusion | None = None) -> list[str]:
    """Lines about one face, empty where nothing speaks against it.

    image_shape: (H, W, ...) of the photo the face was found in. occlusion: what lies in front of it, where that is
    known; of what is hidden nothing else is said.
    """
    hidden = _hidden(occlusion) if occlusion else []
    lines = []
    if hidden:
        names, verb = " and ".join(hidden), "are" if hidden[-1].endswith("s") or len(hidden) > 1 else "is"
        lines.append(f"{names[0].upper()}{names[1:]} {verb} hidden: what covers the face stays as it is, unpainted.")
    if face.size_px < SMALL_PX:
        lines.append(f"The face is small ({face.size_px:.0f} px): from {SMALL_PX} px on, the result is better.")
    yaw, pitch, _ = face.pose
    if max(abs(yaw), abs(pitch)) > TURNED_DEG:
        lines.append(f"The head is turned by {max(abs(yaw), abs(pitch)):.0f}°: up to {TURNED_DEG}° works best.")
    if "the mouth" not in hidden and face.mouth_opening > OPEN_MOUTH:
        lines.append("The mouth is open already: a closed or hardly open one works best.")
    if hidden in ([], ["the mouth"]) and sum(face.eye_openings) / 2 < CLOSED_EYES:
        lines.append("The eyes seem closed: they cannot be opened.")
    if outside_share(face.landmarks, image_shape) > CUT_OFF:
        lines.append("The face is cut off by the edge of the photo: its missing part cannot be animated.")
    return lines


def _hidden(occlusion: Occlusion) -> list[str]:
    """What a user would call the hidden parts of a face."""
    eyes = sum(occlusion.eyes_hidden)
    return ["the mouth"] * occlusion.lips_hidden + ["one eye", "the eyes"][eyes - 1 : eyes]


def outside_share(landmarks: np.ndarray, image_shape: tuple[int, ...]) -> float:
    """Share of the landmarks that lie outside of the photo."""
    height, width = image_shape[:2]
    x, y = landmarks[:, 0], landmarks[:, 1]
    return float(np.mean((x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)))
