"""A photo with its faces numbered, so that ``--face 2`` means something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from facemotion.faces.types import Face

_COLOURS = ((255, 196, 0), (0, 200, 255), (120, 255, 90), (255, 110, 200), (190, 150, 255), (255, 140, 60))
_CHAINS = (  # runs of landmarks that are joined, and whether their ends meet
    (range(0, 17), False),
    (range(17, 22), False),
    (range(22, 27), False),
    (range(27, 31), False),
    (range(31, 36), False),
    (range(36, 42), True),
    (range(42, 48), True),
    (range(48, 60), True),
    (range(60, 68), True),
)
_IRISES = ([469, 470, 471, 472], [474, 475, 476, 477])  # around the centres
_MESH_OPACITY = 0.4
_SUBPIXEL_BITS = 4


def draw_faces(photo: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
    """A copy of a photo (H, W, 3) uint8 with box, number (from 1, in the order given) and points of each face.

    The landmarks are joined by lines, and where all 478 points are known, the mesh lies under them.

    Lines are as thick as the photo is large, so that they can be seen when it is shown whole.
    """
    picture = photo.copy()
    thin = max(1, round(max(photo.shape[:2]) / 900))
    for number, face in enumerate(faces, start=1):
        colour = _COLOURS[(number - 1) % len(_COLOURS)]
        fine = max(1, min(thin, round(face.size_px / 150)))
        if face.points is not None:
            _draw_mesh(picture, face.points, colour)
        for chain, closed in _CHAINS:
            points = [_fixed(face.landmarks[list(chain)])]
            cv2.polylines(picture, points, closed, colour, fine, cv2.LINE_AA, _SUBPIXEL_BITS)
        first, second = (tuple(corner.tolist()) for corner in _fixed(np.reshape(face.box, (2, 2))))
        cv2.rectangle(picture, first, second, colour, thin + 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        _write_number(picture, face, number, colour, thin)
    return picture


def _draw_mesh(picture: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    """The mesh's lines, half transparent, and the irises."""
    from facemotion.faces.landmarker.head_pose import canonical_face

    lines = picture.copy()
    places = _fixed(points[:, :2])
    cv2.polylines(lines, list(places[canonical_face().edges]), False, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.polylines(lines, [places[ring] for ring in _IRISES], True, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.addWeighted(lines, _MESH_OPACITY, picture, 1 - _MESH_OPACITY, 0, dst=picture)


def _write_number(picture: np.ndarray, face: Face, number: int, colour: tuple[int, int, int], thin: int) -> None:
    """The number on a plate at the box's upper left corner, pushed into the photo where the box leaves it."""
    scale, thickness = 0.8 * max(1.0, max(picture.shape[:2]) / 900), 2 * thin
    (width, height), below = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    gap = max(2, below // 2)
    x = int(np.clip(face.box[0], 0, max(picture.shape[1] - width - 2 * gap, 0)))
    y = int(np.clip(face.box[1] - height - 2 * gap, 0, max(picture.shape[0] - height - 2 * gap, 0)))
    cv2.rectangle(picture, (x, y), (x + width + 2 * gap, y + height + 2 * gap), colour, cv2.FILLED)
    place = x + gap, y + height + gap
    cv2.putText(picture, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), thickness, cv2.LINE_AA)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Fixed-point pixels; what lies far outside of any photo is drawn at its edge of the numbers' range."""
    return np.rint(np.clip(points, -30_000, 60_000) * 2**_SUBPIXEL_BITS).astype(np.int32)
