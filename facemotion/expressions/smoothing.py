"""The one-euro filter: calm where a signal rests, quick where it moves.

Casiez, Roussel & Vogel (2012), "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems", CHI 2012: a first-order low-pass whose cutoff frequency grows with the signal's speed.
"""

from __future__ import annotations

import numpy as np


class OneEuroFilter:
    """Smooths arrays of one shape that come one after another in time, each entry by itself.

    min_cutoff_hz: cutoff at rest; lower is calmer. beta: how much the cutoff grows, Hz for every unit a second of
    speed; higher lags less. speed_cutoff_hz: cutoff of the speed's own low-pass.
    """

    def __init__(self, *, min_cutoff_hz: float = 1.0, beta: float = 0.0, speed_cutoff_hz: float = 1.0):
        self.min_cutoff_hz, self.beta, self.speed_cutoff_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self.reset()

    def reset(self) -> None:
        """Forgets the past: the next value passes as it is, as after a cut or a gap."""
        self._time_s: float | None = None
        self._smooth = self._speed = np.zeros(())

    def __call__(self, time_s: float, value: np.ndarray) -> np.ndarray:
        """The smoothed value at a time later than the one before. Raises ValueError where time does not advance."""
        value = np.asarray(value, np.float64)
        if self._time_s is None:
            self._time_s, self._smooth, self._speed = time_s, value, np.zeros_like(value)
            return value
        step_s = time_s - self._time_s
        if step_s <= 0:
            raise ValueError(f"Time does not advance: {self._time_s} to {time_s}.")
        speed = (value - self._smooth) / step_s
        self._speed = self._speed + _share(self.speed_cutoff_hz, step_s) * (speed - self._speed)
        cutoff_hz = self.min_cutoff_hz + self.beta * np.abs(self._speed)
        self._smooth = self._smooth + _share(cutoff_hz, step_s) * (value - self._smooth)
        self._time_s = time_s
        return self._smooth


def _share(cutoff_hz: float | np.ndarray, step_s: float) -> np.ndarray:
    """How much of the new value a first-order low-pass takes (Casiez et al. 2012, equations 1 to 4)."""
    constant_s = 1 / (2 * np.pi * np.asarray(cutoff_hz))
    return 1 / (1 + constant_s / step_s)
