"""How fast a training goes, and what it reports."""

import time
from dataclasses import dataclass

from facemotion.training.loader import Loader


@dataclass(frozen=True)
class Report:
    """How the training stands, after every step."""

    images: int
    total: int
    images_per_s: float
    loader_images_per_s: float
    """What the loader's threads could deliver."""
    waited: float
    """Share of the time in which training waited for the loader."""
    losses: dict[str, float] | None
    """Means since the last record, when one was just written."""


class Clock:
    """Rates over the last part of the run."""

    def __init__(self, loader: Loader):
        self._loader = loader
        self._begin()

    def _begin(self) -> None:
        self._start, self._images = time.monotonic(), 0
        self._waited, self._busy = self._loader.waited_s, self._loader.busy_s

    def add(self, images: int) -> None:
        """Count the images of a step."""
        self._images += images

    def report(self, images: int, total: int, losses: dict[str, float] | None) -> Report:
        """The report of a training at ``images`` of ``total``; with ``losses``, a new part begins."""
        values = self.values()
        if losses is not None:
            self._begin()
        return Report(images, total, values["images_per_s"], values["loader_images_per_s"], values["waited"], losses)

    def values(self) -> dict[str, float]:
        """Rates by their names in the loss record."""
        elapsed = max(time.monotonic() - self._start, 1e-9)
        busy = (self._loader.busy_s - self._busy) / self._loader.workers
        return {
            "images_per_s": self._images / elapsed,
            "loader_images_per_s": self._images / max(busy, 1e-9),
            "waited": (self._loader.waited_s - self._waited) / elapsed,
        }
