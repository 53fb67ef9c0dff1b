"""The loss record: means over intervals of images as JSON lines, and as TensorBoard events where that is installed."""

import importlib.util
import json
from pathlib import Path

import torch
from torch import Tensor


class LossMeter:
    """Sums of losses on their device between two lines of the record; reading them waits for the device, adding not."""

    def __init__(self):
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


class LossRecord:
    """``losses.jsonl`` and ``tensorboard/`` in a run's folder."""

    def __init__(self, folder: Path, *, images: int):
        """Continues the record of a run that stands at ``images``; lines from beyond (written after the last
        checkpoint) are dropped, as those images are shown again."""
        self.path = folder / "losses.jsonl"
        if self.path.is_file():
            kept = [line for line in self.path.read_text().splitlines(True) if _images(line) <= images]
            part = self.path.with_name(self.path.name + ".part")
            part.write_text("".join(kept))
            part.replace(self.path)
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
        return json.loads(line)["images"]
    except (json.JSONDecodeError, KeyError):
        return torch.iinfo(torch.int64).max
