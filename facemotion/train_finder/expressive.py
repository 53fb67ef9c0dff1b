"""Frames of prepared clips as further landmark photos: shut eyes and open mouths are rare in portraits."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from facemotion.datasets.clips import ClipSet
from facemotion.train_finder.photos import Photo, validation_people

FRAME_PX = 256


def read_expressive(clip_sets: Sequence[Path], *, frames_per_clip: int = 2, seed: int = 0) -> list[Photo]:
    """Moved frames of the training clips of some clip sets: the peak of each, and others by chance.

    People kept apart for validation are left out, whatever the clip set says. Raises InputError as `ClipSet.open`.
    """
    kept_apart = validation_people()
    rng = np.random.default_rng(seed)
    photos = []
    for path in clip_sets:
        for clip in ClipSet.open(path):
            if clip.split != "train" or clip.person in kept_apart:
                continue
            control = np.asarray(clip.control)
            moved = [int(k) for k in rng.permutation(np.flatnonzero(control > 0)) if k != control.argmax()]
            for k in [int(control.argmax()), *moved][:frames_per_clip]:
                frame = clip.frame(k)
                scale = FRAME_PX / frame.shape[0]
                image = cv2.resize(frame, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_AREA)
                landmarks = (np.asarray(clip.landmarks[k], np.float64) + 0.5) * scale - 0.5
                photos.append(Photo(f"{clip.id}.{k}", clip.person, image, landmarks))
    return photos
