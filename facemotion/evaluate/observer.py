"""The project's face finder as the eye that watches the generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facemotion.evaluate.measure import Observe


def finder_observer(aligner: str = "builtin") -> Observe:
    """Landmarks of the largest face of each frame by ``facemotion.face.find``; not-a-number where there is none.

    The default is the built-in finder alone: an ``auto`` that changed its mind between two frames of a clip would
    be measured as a jump of the face.
    """
    from facemotion.face.find import find_faces

    def observe(frames: np.ndarray) -> np.ndarray:
        landmarks = np.full((len(frames), 68, 2), np.nan)
        for k, frame in enumerate(frames):
            faces = find_faces(np.ascontiguousarray(frame), aligner=aligner)
            if faces:
                landmarks[k] = faces[0].landmarks
        return landmarks

    return observe


def locator(observe: Observe) -> Callable[[np.ndarray], np.ndarray | None]:
    """The same eye for one photo: landmarks (68, 2) px, or None."""

    def locate(photo: np.ndarray) -> np.ndarray | None:
        landmarks = observe(photo[None])[0]
        return landmarks if np.isfinite(landmarks).all() else None

    return locate
