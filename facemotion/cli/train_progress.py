"""What ``facemotion train`` shows while it runs: a progress bar on a terminal, plain lines elsewhere."""

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import MofNCompleteColumn

from facemotion.cli.console import bars as bars_of
from facemotion.cli.console import is_quiet, stderr
from facemotion.training.log import ThroughputReport
from facemotion.training.loop import Trainer

SHOWN = ("reconstruction", "landmark", "adversarial", "face_accuracy", "mouth_accuracy")


@contextlib.contextmanager
def watched(trainer: Trainer) -> Iterator[Callable[[ThroughputReport], None]]:
    """A function that takes the trainer's reports and shows them, by the main process only."""
    if not trainer.world.is_main or is_quiet():
        yield lambda _: None
        return
    console = stderr()
    groups = ", ".join(f"{name} {share:.0%}" for name, share in trainer.shares.items())
    console.print(f"{len(trainer.pool):,} clips on {trainer.world.device.type}; samples: {groups}")
    if trainer.progress.images:
        console.print(f"resumed at {trainer.progress.images:,} images")
    with bars_of(MofNCompleteColumn(), "images", transient=False) as bars:
        task = bars.add_task("", total=trainer.config.images, completed=trainer.progress.images)

        def report(now: ThroughputReport) -> None:
            rates = f"{now.images_per_s:.1f} images/s (loader {now.loader_images_per_s:.0f})"
            bars.update(task, completed=now.images, description=rates)
            if now.losses is not None:
                parts = ", ".join(f"{name} {now.losses[name]:.3f}" for name in SHOWN if name in now.losses)
                eta = (now.total - now.images) / max(now.images_per_s, 1e-9) / 3600
                line = f"{now.images:,} images, {rates}, waited {now.waited:.0%}, {eta:.1f} h to go: {parts}"
                console.print(line)

        yield report
