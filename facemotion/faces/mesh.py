"""The 478 points and the unit scores of a face that has been found."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np

from facemotion.errors import NoFaceError

if TYPE_CHECKING:
    from facemotion.faces.landmarker import Landmarker, MeasuredFace
    from facemotion.faces.types import Face

_SCALE = 1.65
"""Side of the part of the photo that is looked at, in sides of the box of the 68 landmarks."""

_lock = threading.Lock()
_shared: Landmarker | None = None


def _renew_lock() -> None:
    """In a forked process a lock that another thread held would never be let go."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def landmarker() -> Landmarker:
    """The landmarker of this process, loaded when first needed."""
    from facemotion.faces.landmarker import Landmarker

    global _shared
    with _lock:
        if _shared is None:
            _shared = Landmarker.load()
        return _shared


def measure_face(image: np.ndarray, face: Face) -> MeasuredFace:
    """A face of a photo (H, W, 3) uint8 RGB as the landmarker sees it.

    Looks twice: where the finder's landmarks say, and again where the first look says; and where the landmarker's
    own detector says, if that shows nothing. Raises NoFaceError where there
    is nothing like a face.
    """
    from facemotion.faces.landmarker import Roi

    points = np.asarray(face.landmarks, np.float64)
    across = points[42:48].mean(0) - points[36:42].mean(0)
    angle = float(np.arctan2(across[1], across[0]))
    upright = points @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    low, high = upright.min(0), upright.max(0)
    low[1] -= 0.25 * (high[1] - low[1])  # the forehead, which has no landmarks
    centre = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ ((low + high) / 2)
    side = _SCALE * float((high - low).max()) * 0.85
    roi = Roi((float(centre[0]), float(centre[1])), side, side, angle)
    first = landmarker().measure_at(image, [roi])[0]
    measured = None if first is None else landmarker().follow(image, first.points)
    found = measured or first or _detected(image, face)
    if found is None:
        raise NoFaceError("The face cannot be measured: it is hidden, cut off or turned too far.", _HINT)
    return found


def _detected(image: np.ndarray, face: Face) -> MeasuredFace | None:
    """The face as the landmarker's own detector frames it, where that sees one in the same place."""
    middle = np.asarray(face.landmarks).mean(0)
    for measured in landmarker().measure(image):
        if np.linalg.norm(measured.points[:, :2].mean(0) - middle) < 0.3 * face.size_px:
            return measured
    return None


_HINT = "Try another photo, or another face with --face."
