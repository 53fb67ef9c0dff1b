"""A growing loss, told from a noisy one."""

from facemotion.training.config import Phase

DIVERGED = 3.0
"""Running mean of the reconstruction loss over its best since the phase began, from which on training has diverged."""
SETTLED = 8
"""Lines of the record after which the running mean counts."""


class DivergenceWatch:
    """Looks at the loss phase by phase: another resolution has other losses."""

    def __init__(self):
        self._phase: Phase | None = None

    def diverges(self, loss: float, phase: Phase) -> bool:
        """Whether the running mean of the losses so far, this one included, is ``DIVERGED`` times its best."""
        if phase != self._phase:
            self._phase, self._lines, self._mean, self._best = phase, 0, loss, float("inf")
        self._lines += 1
        self._mean += (loss - self._mean) / min(self._lines, SETTLED)
        if self._lines < SETTLED:
            return False
        self._best = min(self._best, self._mean)
        return self._mean > DIVERGED * self._best
