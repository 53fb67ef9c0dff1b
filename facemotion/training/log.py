"""What a training reports: losses (JSON lines, TensorBoard events where that is installed), throughput, divergence."""

import importlib.util
import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from facemotion.media.atomic import write_whole
from facemotion.media.records import MalformedError, checked, parse_object
from facemotion.training.config import Phase
from facemotion.training.loader import Loader

DIVERGED = 3.0
"""Running mean of the reconstruction loss over its best since the phase began, from which on training has diverged."""
SETTLED = 8
"""Lines of the log after which the running mean counts."""


class LossMeter:
    """Sums of losses on their device between two lines of the log; reading them waits for the device, adding not."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add the scalars of one batch."""
        for name, value in losses.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, Tensor]:
        """Means since the last call, which starts anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


class LossLog:
    """``losses.jsonl`` and ``tensorboard/`` in a run's folder."""

    def __init__(self, folder: Path, *, images: int):
        """Continues the log of a run that stands at ``images``; lines from beyond (written after the last
        checkpoint) are dropped, as those images are shown again."""
        self.path = folder / "losses.jsonl"
        if self.path.is_file():
            lines = self.path.read_text(errors="replace").splitlines(True)
            kept = [line for line in lines if _images(line) <= images]
            write_whole(self.path, "".join(kept).encode())
        self._events = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=images)

    def write(self, values: dict[str, float]) -> None:
        """One line; ``values`` holds ``images``."""
        rounded = {name: value if isinstance(value, int) else float(f"{value:.6g}") for name, value in values.items()}
        with open(self.path, "a") as file:
            file.write(json.dumps(rounded) + "\n")
        if self._events:
            for name, value in values.items():
                if name != "images":
                    self._events.add_scalar(name, value, values["images"])

    def close(self) -> None:
        """Write out what is buffered."""
        if self._events:
            self._events.close()


def _images(line: str) -> int:
    """The images of a line; a line cut off by a crash belongs to no point of the training."""
    try:
        return checked(parse_object(line)["images"], int, "images")
    except (MalformedError, KeyError):
        return torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class ThroughputReport:
    """How the training stands, after every step."""

    images: int
    total: int
    images_per_s: float
    loader_images_per_s: float
    """What the loader's threads could deliver."""
    waited: float
    """Share of the time in which training waited for the loader."""
    losses: dict[str, float] | None
    """Means since the last line of the loss log, when one was just written."""


class ThroughputMeter:
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

    def report(self, images: int, total: int, losses: dict[str, float] | None) -> ThroughputReport:
        """The report of a training at ``images`` of ``total``; with ``losses``, a new part begins."""
        values = self.values()
        if losses is not None:
            self._begin()
        return ThroughputReport(
            images, total, values["images_per_s"], values["loader_images_per_s"], values["waited"], losses
        )

    def values(self) -> dict[str, float]:
        """Rates by their names in the loss log."""
        elapsed = max(time.monotonic() - self._start, 1e-9)
        busy = (self._loader.busy_s - self._busy) / self._loader.workers
        return {
            "images_per_s": self._images / elapsed,
            "loader_images_per_s": self._images / max(busy, 1e-9),
            "waited": (self._loader.waited_s - self._waited) / elapsed,
        }


class DivergenceWatch:
    """Looks at the loss phase by phase: another resolution has other losses."""

    def __init__(self) -> None:
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
