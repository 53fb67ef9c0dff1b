"""Landmarks in the frames that a generator made, by the built-in landmarker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facemotion.evaluation.cases import Locate
from facemotion.evaluation.measure import TrackLandmarks

SIGHT_PX = 256
"""Crops are halved until they are no larger: a face that fills the picture is seen as well, in half the time."""


@dataclass(frozen=True)
class LandmarkTracker:
    """Landmarks: ``track`` in the crops of a clip that one face fills and whose head stays in its
    place, ``locate`` in whole photos."""

    track: TrackLandmarks
    locate: Locate


def builtin_tracker() -> LandmarkTracker:
    """The built-in finder, for all frames alike.

    An ``auto`` that changed its mind between two frames of a clip would be measured as a jump of the face.
    """
    from facemotion.faces.find import find_faces, follow_face
    from facemotion.faces.geometry import apply, resized

    def locate(photo: np.ndarray) -> np.ndarray | None:
        faces = find_faces(np.ascontiguousarray(photo), aligner="builtin")
        return faces[0].landmarks.astype(float) if faces else None

    def track(frames: np.ndarray) -> np.ndarray:
        small = np.stack([_halved(frame) for frame in frames])
        landmarks = follow_face(small)
        back = resized(small.shape[1], frames.shape[1])
        return np.stack([apply(back, points) for points in landmarks])

    return LandmarkTracker(track, locate)


def frame_tracker(track: TrackLandmarks) -> LandmarkTracker:
    """A tracker that treats photos like crops."""

    def locate(photo: np.ndarray) -> np.ndarray | None:
        landmarks = track(photo[None])[0]
        return landmarks if np.isfinite(landmarks).all() else None

    return LandmarkTracker(track, locate)


def _halved(frame: np.ndarray) -> np.ndarray:
    import cv2

    while len(frame) > SIGHT_PX and len(frame) % 2 == 0:
        frame = cv2.resize(frame, (len(frame) // 2, len(frame) // 2), interpolation=cv2.INTER_AREA)
    return frame
