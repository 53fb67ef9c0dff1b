"""The performance of a face in a video, for another face to follow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemotion.errors import MissingFileError, NoFaceError
from facemotion.expressions.performance import Performance

if TYPE_CHECKING:
    from facemotion.faces.tracking import FaceTrack

_MOST_TURN_DEG = 12.0


def performance_of(
    video: str | Path, *, choice: str = "largest", on_note: Callable[[str], None] | None = None
) -> Performance:
    """What the chosen face of a video does: smoothed, gaps bridged, and its head turned from where it was at first.

    Raises MissingFileError, InputError and NoFaceError.
    """
    from facemotion.faces.mesh import landmarker
    from facemotion.faces.tracking import LONGEST_PX, track_face
    from facemotion.media.footage import Footage

    if not Path(video).exists():
        raise MissingFileError(f"No such file: {video}", "Check the name of the video.")
    with Footage(Path(video)) as footage:
        frames = footage.frames(longest_px=LONGEST_PX, on_note=on_note)
        found = track_face(frames, landmarker=landmarker(), choice="largest" if choice == "all" else choice)
    return performance_from(found, str(video), on_note=on_note)


def performance_from(found: FaceTrack, name: str, *, on_note: Callable[[str], None] | None = None) -> Performance:
    """A track as a performance; raises NoFaceError where no face was seen at all."""
    if not found.seen.any():
        raise NoFaceError(f"No face in the {len(found)} frames of {name}.", "Use a video with a larger face.")
    missing = int((~found.seen).sum())
    if missing and on_note is not None:
        on_note(f"The face is missing in {missing} of {len(found)} frames of {name}: they are bridged.")
    smooth = found.smoothed()
    units, head = (_bridged(values, found.seen) for values in (smooth.units, smooth.head))
    head = np.clip(head - head[0], -_MOST_TURN_DEG, _MOST_TURN_DEG)
    return Performance(np.clip(units, 0, 1.5), head, found.time_s)


def _bridged(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(T, n) float32 with rows that were not seen interpolated between those that were."""
    known = np.flatnonzero(seen)
    rows = np.arange(len(values))
    columns = [np.interp(rows, known, values[known, column]) for column in range(values.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)
