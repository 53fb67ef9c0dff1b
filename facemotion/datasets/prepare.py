"""People's pictures to a folder of samples: by several processes, resumable by shard, split by person.

The folder holds ``samples.json`` (what it is made of), ``train/NNNN.safetensors`` and ``validation/NNNN.safetensors``
(see `facemotion.datasets.samples`), and beside each shard ``NNNN.json``, written last: what became of its people.
The same people and settings give the same samples, whatever the number of processes and interruptions.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
from safetensors import SafetensorError

from facemotion.datasets.people import Person
from facemotion.datasets.samples import SIZE_PX, write_shard
from facemotion.datasets.sources import Source
from facemotion.datasets.splits import Splits
from facemotion.errors import FacemotionError, InputError, OutputError, OutputExistsError
from facemotion.media.atomic import write_whole
from facemotion.media.records import MalformedError, checked, malformed, parse_object
from facemotion.version import __version__

PLAN_FILE = "samples.json"
FORMAT, VERSION = "facemotion-samples", 1
SPLITS = ("validation", "train")
PEOPLE_PER_SHARD = 8
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Environment of the workers, set before they start: the processes already fill the cores."""
_ERRORS = (FacemotionError, OSError, ValueError, LookupError, ArithmeticError, cv2.error)
"""What a single person may end in without ending the run."""


@dataclass(frozen=True)
class SampleShard:
    """Some people of one split, and what became of them."""

    file: Path
    people: tuple[str, ...]
    """Their keys."""
    samples: int
    problems: dict[str, str]
    """By key: why somebody gave no sample."""


@dataclass(frozen=True)
class _Task:
    file: Path
    people: tuple[Person, ...]
    size_px: int


def open_folder(
    out: Path, settings: dict, splits: Splits, *, sources: Sequence[Source] = (), overwrite: bool = False
) -> None:
    """Make the folder of samples, or make sure that it was begun with the same settings and splits.

    settings: plain values that decide what the samples are. With ``overwrite`` samples made otherwise are removed.
    Raises OutputExistsError where the folder holds something else.
    """
    plan: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "settings": settings | splits.settings(),
        "sources": [asdict(source) for source in sources],
        "made_by": f"facemotion {__version__}",
    }
    before = read_plan(out)
    if before is None and any((out / split).exists() for split in SPLITS):
        raise OutputExistsError(f"{out} holds folders of the names train and validation.", "Choose another folder.")
    if before is not None and before["settings"] != plan["settings"]:
        names = sorted(name for name in plan["settings"] if plan["settings"][name] != before["settings"].get(name))
        if not overwrite:
            raise OutputExistsError(
                f"{out} was begun with other {', '.join(names).replace('_', ' ') or 'settings'}.",
                "Use --overwrite to begin anew, or choose another folder.",
            )
        for split in SPLITS:
            shutil.rmtree(out / split, ignore_errors=True)
        (out / "measured.npz").unlink(missing_ok=True)
        before = None
    if before is None:
        for split in SPLITS:
            (out / split).mkdir(parents=True, exist_ok=True)
        write_whole(out / PLAN_FILE, (json.dumps(plan, indent=1, ensure_ascii=False) + "\n").encode())


def read_plan(folder: Path) -> dict | None:
    """What a folder of samples is made of; None for a folder without that. Raises InputError for a damaged file."""
    path = folder / PLAN_FILE
    if not path.is_file():
        return None
    try:
        plan = parse_object(path.read_bytes())
        with malformed():
            if (plan["format"], plan["version"]) != (FORMAT, VERSION):
                raise MalformedError("of another version")
            checked(plan["settings"], dict, "settings")
            checked(plan["sources"], list, "sources")
    except (OSError, MalformedError) as error:
        raise InputError(f"{path} is damaged ({error})", "Make the samples again in a new folder.") from error
    return plan


def prepare(
    people: Sequence[Person], out: Path, splits: Splits, *, workers: int = 1, size_px: int = SIZE_PX
) -> Generator[SampleShard, None, None]:
    """Write the samples of these people, in their order, yielding every shard as it is done; those of earlier runs too.

    ``open_folder`` comes first. Raises OutputError where the folder cannot be written.
    """
    tasks = []
    for split in SPLITS:
        chosen = [person for person in people if splits.split_of(person.person) == split]
        for number, start in enumerate(range(0, len(chosen), PEOPLE_PER_SHARD)):
            members = tuple(chosen[start : start + PEOPLE_PER_SHARD])
            tasks.append(_Task(out / split / f"{number:04d}.safetensors", members, size_px))
    left = []
    for task in tasks:
        shard = _read_shard(task)
        if shard is None:
            left.append(task)
        else:
            yield shard
    if workers == 1 or len(left) < 2:
        yield from map(_run, left)
    else:
        yield from _in_processes(left, workers)


def _read_shard(task: _Task) -> SampleShard | None:
    """What became of a shard in an earlier run; None where it is not finished."""
    path = task.file.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        record = parse_object(path.read_bytes())
        with malformed():
            problems = checked(record["problems"], dict[str, str], "problems")
            count = checked(record["samples"], int, "samples")
    except MalformedError:
        return None
    return SampleShard(task.file, tuple(person.key for person in task.people), count, problems)


def _run(task: _Task) -> SampleShard:
    samples, problems = [], {}
    for person in task.people:
        try:
            samples += list(person.samples(size_px=task.size_px))
        except OutputError:
            raise
        except _ERRORS as error:
            reason = str(error).strip().partition("\n")[0]
            problems[person.key] = reason if isinstance(error, FacemotionError) else f"{type(error).__name__}: {reason}"
    record = {"samples": len(samples), "problems": problems}
    try:
        if samples:
            write_shard(task.file, samples)
        write_whole(task.file.with_suffix(".json"), (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{task.file} cannot be written ({error}).", "Free some space or choose another folder."
        ) from error
    return SampleShard(task.file, tuple(person.key for person in task.people), len(samples), problems)


def _in_processes(tasks: Sequence[_Task], workers: int) -> Iterator[SampleShard]:
    """As many shards as processes are under way at a time; on the way out those are finished, not lost."""
    executor = ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    waiting, running = list(tasks), set[Future]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.add(executor.submit(_run, waiting.pop(0)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise OutputError(
            "A worker process ended unexpectedly.",
            "It may have run out of memory: use fewer --workers and run the same command again.",
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)
        for name in ONE_THREAD:
            os.environ.pop(name)
        os.environ.update(before)


def _start_worker() -> None:
    """Ctrl-C is the parent's business, and a worker does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # workers have one
    parent.join()
    os._exit(1)
