"""What all ``facemotion prepare`` commands share: options, progress, problems, summary, exit code."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli import console

if TYPE_CHECKING:
    from facemotion.datasets.people import Person
    from facemotion.datasets.splits import Splits

SOME_FAILED = 3
REASONS_SHOWN = 8


@dataclass(frozen=True)
class Common:
    """The options that all ``prepare`` commands share."""

    validation: Annotated[
        Path | None, typer.Option(help="Text file of the people held out for validation; default: the project's list.")
    ] = None
    validation_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of people on no list that is held out for validation.")
    ] = 0.1
    licence: Annotated[str, typer.Option(help="Licence of your own pictures, kept with the samples.")] = ""
    credit: Annotated[str, typer.Option(help="Whom to credit for your own pictures.")] = ""
    workers: Annotated[int | None, console.workers("Groups of people", default="one a core")] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first people or recordings, to try out.")] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace samples made with other settings.")] = False
    as_json: console.Json = False
    quiet: console.Quiet = False
    verbose: console.Verbose = False

    def open(self, out: Path, settings: dict, *, people: Sequence[str]) -> "Splits":
        """Make the folder of samples, or go on in it; returns who is held out for validation."""
        from facemotion.datasets.prepare import open_folder
        from facemotion.datasets.sources import Source, sources_of
        from facemotion.datasets.splits import Splits, built_in_validation, read_validation

        held_out = read_validation(self.validation) if self.validation else built_in_validation()
        splits = Splits(held_out, self.validation_share)
        files = hashlib.sha256("\n".join(settings["files"]).encode()).hexdigest()
        sources = sources_of(people, own=Source("own pictures", self.licence, self.credit))
        open_folder(out, settings | {"files": files}, splits, sources=sources, overwrite=self.overwrite)
        return splits


def make_samples(
    people: Sequence["Person"],
    out: Path,
    splits: "Splits",
    common: Common,
    *,
    problems: Mapping[str, str] | None = None,
) -> None:
    """Make the samples and tell how it went; ``problems`` are what came up before, by file.

    Raises InputError where there is nobody, typer.Exit(3) where some people gave no sample.
    """
    from facemotion.datasets.prepare import prepare
    from facemotion.errors import InputError

    found = dict(problems or {})
    if not people:
        raise InputError(f"None of {len(found)} photos can be used: {next(iter(found.values()))}.", "Try other photos.")
    samples, reported = Counter[str](), set[str]()
    _warn(found, reported)
    try:
        with (
            console.progress("Preparing", len(people), unit="people") as step,
            closing(prepare(people, out, splits, workers=common.workers or _cores())) as shards,
        ):
            for shard in shards:
                samples[shard.file.parent.name] += shard.samples
                found |= shard.problems
                _warn(found, reported)
                for _ in shard.people:
                    step()
    except KeyboardInterrupt:
        console.warn(f"What is done is kept in {out}: run the same command again to go on.")
        raise
    if not samples.total():
        raise InputError(f"None of {len(people)} gave a sample: {next(iter(found.values()))}.", "Try other pictures.")
    reasons = Counter(reason.partition(": ")[0] for reason in found.values())
    if common.as_json:
        result = {"out": str(out), "people": len(people), "samples": dict(samples), "problems": found}
        console.say_json(result)
    else:
        counts = ", ".join(f"{count} {split}" for split, count in sorted(samples.items()))
        console.say(f"{out}: {samples.total()} samples ({counts}) of {len(people)} people or recordings")
        for reason, count in reasons.most_common(REASONS_SHOWN):
            console.say(f"  {count} × {reason}")
    if found:
        raise typer.Exit(SOME_FAILED)


def _warn(problems: Mapping[str, str], reported: set[str]) -> None:
    """Say once what cannot be used, and why."""
    for key, reason in problems.items():
        if key not in reported:
            reported.add(key)
            console.warn(f"{key}: {reason}")


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
