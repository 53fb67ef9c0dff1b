"""The 478 points and the unit scores of a face that has been found."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np

from facemotion.errors import NoFaceError

if TYPE_CHECKING:
    from facemotion.faces.landmarker import Landmarker
    from facemotion.faces.types import Face

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


def measure_face(image: np.ndarray, face: Face) -> Face:
    """A face of a photo (H, W, 3) uint8 RGB with its 478 points and scores, whoever found it.

    What the landmarker has found has them already. Of another finder's faces, the 68 landmarks say where to look.
    Raises NoFaceError where there is nothing like a face.
    """
    if face.points is not None:
        return face
    from facemotion.faces.landmarker.crops import roi_of_landmarks

    first = landmarker().measure_at(image, [roi_of_landmarks(face.landmarks)])[0]
    again = None if first is None or first.points is None else landmarker().follow(image, first.points)
    measured = again or first or _found(image, face)
    if measured is None:
        raise NoFaceError("The face cannot be measured: it is hidden, cut off or turned too far.", _HINT)
    return measured


def _found(image: np.ndarray, face: Face) -> Face | None:
    """The face as the landmarker itself finds it, where it sees one in the same place."""
    middle = face.landmarks.mean(axis=0)
    for measured in landmarker().measure(image):
        if np.linalg.norm(measured.landmarks.mean(axis=0) - middle) < 0.3 * face.size_px:
            return measured
    return None


_HINT = "Try another photo, or another face with --face."
