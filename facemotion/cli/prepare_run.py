"""Runs a preparation for ``facemotion prepare``: items of one split, progress, problems, summary, exit code."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli import console

if TYPE_CHECKING:
    from facemotion.datasets.clips import ClipSet
    from facemotion.datasets.importer import Importer, Item
    from facemotion.datasets.prepare import ItemResult, Preparation
    from facemotion.datasets.splits import Splits

SOME_FAILED = 3
LINE_EVERY_S = 30.0
"""How often progress is reported where the output is no terminal."""
REASONS_SHOWN = 8


class SplitChoice(str, Enum):
    """Whose clips are made."""

    ALL = "all"
    TRAIN = "train"
    VALIDATION = "validation"


@dataclass(frozen=True)
class Common:
    """The options that all ``prepare`` commands share."""

    split: Annotated[SplitChoice, typer.Option(help="Only people of one split.")] = SplitChoice.ALL
    validation: Annotated[
        Path | None, typer.Option(help="Text file of the people kept for validation; default: the project's list.")
    ] = None
    validation_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of people on no list that is kept for validation.")
    ] = 0.1
    seed: Annotated[int, typer.Option(min=0, help="Other numbers draw other variations.")] = 0
    workers: Annotated[int | None, console.workers("Photos or recordings", default="one a core")] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items, to try things out.")] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a clip set of other items or settings.")] = (
        False
    )
    as_json: console.Json = False
    quiet: console.Quiet = False
    verbose: console.Verbose = False

    def splits(self) -> "Splits":
        """Who is kept for validation."""
        from facemotion.datasets.splits import Splits, built_in_validation, read_validation

        people = read_validation(self.validation) if self.validation else built_in_validation()
        return Splits(people, self.validation_share)


def run(importer: "Importer", items: Sequence["Item"], out: Path, common: Common) -> None:
    """Make the clip set and tell how it went. Raises typer.Exit(3) where some items gave no clip."""
    from facemotion.datasets.clips import ClipSet
    from facemotion.datasets.prepare import Preparation
    from facemotion.errors import InputError

    chosen = [item for item in items if common.split in (SplitChoice.ALL, importer.splits.split_of(item.person))]
    chosen = chosen[: common.limit]
    if not chosen:
        raise InputError(f"None of {len(items)} items is of the {common.split.value} split.", "Use --split all.")
    preparation = Preparation(
        importer,
        chosen,
        out,
        seed=common.seed,
        workers=common.workers or _cores(),
        overwrite=common.overwrite,
    )
    _work(preparation, out)
    _summarise(ClipSet.open(out), len(chosen), out, common)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _work(preparation: "Preparation", out: Path) -> None:
    watch = _Watch(len(preparation.items))
    try:
        with closing(preparation.run()) as outcomes, watch:
            for outcome in outcomes:
                watch.item(outcome, left=preparation.left)
    except KeyboardInterrupt:
        console.warn(f"What is done is kept in {out}: run the same command again to go on.")
        raise


class _Watch:
    """Tells of items as they end: a bar on a terminal, a line now and then elsewhere, and every problem."""

    def __init__(self, total: int):
        from rich.progress import MofNCompleteColumn

        self.total, self.clips, self.failed, self.ended = total, 0, 0, 0
        self.console = console.stderr()
        self.started = self.reported = time.monotonic()
        self.bars = console.bars(MofNCompleteColumn(), "items", "{task.fields[clips]} clips")
        self.bar = self.bars.add_task("Preparing", total=total, clips=0)

    def __enter__(self) -> "_Watch":
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def item(self, outcome: "ItemResult", *, left: int) -> None:
        """One item ended; ``left`` are still to do."""
        self.ended += 1
        self.clips += outcome.clips
        if outcome.reason and not console.is_quiet():
            self.console.print(f"{outcome.key}: {outcome.reason}", style="yellow", markup=False)
        if self.ended == 1:  # what earlier runs did says nothing about the speed of this one
            self.bars.reset(self.bar, completed=self.total - left - 1, clips=0)
        self.bars.update(self.bar, completed=self.total - left, clips=self.clips)
        now = time.monotonic()
        if self.bars.disable and not console.is_quiet() and now - self.reported > LINE_EVERY_S:
            self.reported = now
            minutes = (now - self.started) / self.ended * left / 60
            self.console.print(f"{self.total - left} of {self.total} items, {minutes:.0f} min left", markup=False)


def _summarise(clip_set: "ClipSet", item_count: int, out: Path, common: Common) -> None:
    manifest = clip_set.manifests[0]
    expressions = Counter("+".join(entry.expression) for entry in clip_set.entries)
    splits = Counter(entry.split for entry in clip_set.entries)
    reasons = Counter(problem["reason"].partition(": ")[0] for problem in manifest.problems)
    failed = len(manifest.problems)
    if common.as_json:
        console.say_json(
            {
                "out": str(out),
                "items": item_count,
                "used": item_count - failed,
                "failed": failed,
                "clips": manifest.clips,
                "frames": manifest.frames,
                "bytes": sum(size for _, size, _ in manifest.shards),
                "splits": dict(splits),
                "expressions": dict(expressions),
                "problems": list(manifest.problems),
            }
        )
    else:
        megabytes = sum(size for _, size, _ in manifest.shards) / 1e6
        kept = ", ".join(f"{count} {split}" for split, count in sorted(splits.items()))
        console.say(f"{out}: {manifest.clips} clips ({kept}), {manifest.frames} frames, {megabytes:.1f} MB")
        console.say(f"{item_count - failed} of {item_count} items used, {failed} not:" if failed else "All items used.")
        for reason, count in reasons.most_common(REASONS_SHOWN):
            console.say(f"  {count} × {reason}")
        if len(reasons) > REASONS_SHOWN:
            console.say(f"  … every item with its reason is listed in {out / 'manifest.json'}")
    if failed:
        raise typer.Exit(SOME_FAILED)
