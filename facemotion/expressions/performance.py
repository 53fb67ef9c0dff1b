"""A performance: what a face does, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from facemotion.errors import InputError
from facemotion.expressions.recipes import MAX_STRENGTH

_MOST_FRAMES = 2_000_000  # 22 hours at 25 frames per second: more is a mistake in the times


@dataclass(frozen=True, eq=False)
class Performance:
    """Absolute unit targets of every frame, and what else the frames say.

    units: (T, 52) float32 in the order of `units.UNIT_NAMES`, 0 at rest, 1 the full natural movement, up to 1.5.
    head: (T, 3) float32, yaw, pitch and roll in degrees with the signs of `faces.pose.head_pose`, or None.
    time_s: (T,) float64 seconds that increase from the first frame's 0, or None for frames that are evenly spaced.
    """

    units: np.ndarray
    head: np.ndarray | None = None
    time_s: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.units)

    def controls(self, own: np.ndarray) -> np.ndarray:
        """(T, 52) float32 control ``units - own``, kept within -1.5 … 1.5, for a photo with the units ``own`` (52,)."""
        return np.clip(self.units - np.asarray(own, np.float32), -MAX_STRENGTH, MAX_STRENGTH)

    def added_to(self, own: np.ndarray) -> Performance:
        """The performance on top of what a photo shows, with its units ``own`` (52,)."""
        return replace(self, units=np.clip(self.units + np.asarray(own, np.float32), 0, MAX_STRENGTH))

    def first(self, frames: int | None) -> Performance:
        """Its first frames; all of it for None."""
        head, time_s = (None if each is None else each[:frames] for each in (self.head, self.time_s))
        return Performance(self.units[:frames], head, time_s)

    def resampled(self, fps: float) -> Performance:
        """The same performance with a frame every ``1 / fps`` seconds, in between by linear interpolation.

        A performance without times is taken to be at that rate already. Raises InputError where the times are so far
        apart that the result would be absurdly long.
        """
        if self.time_s is None:
            return self
        length = float(self.time_s[-1]) * fps
        if length > _MOST_FRAMES:
            raise InputError(
                f"The times of the track span {self.time_s[-1]:.0f} seconds.", "Give the time column in seconds."
            )
        time_s = np.arange(int(length + 1e-6) + 1) / fps
        return Performance(
            units=_interpolated(time_s, self.time_s, self.units),
            head=None if self.head is None else _interpolated(time_s, self.time_s, self.head),
            time_s=time_s,
        )


def _interpolated(time_s: np.ndarray, known_s: np.ndarray, values: np.ndarray) -> np.ndarray:
    result = np.empty((len(time_s), values.shape[1]), np.float32)
    for column in range(values.shape[1]):
        result[:, column] = np.interp(time_s, known_s, values[:, column])
    return result
