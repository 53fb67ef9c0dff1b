"""Run an importer over its items with several processes, into a clip set that an interrupted run continues."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2

from facemotion.datasets.clip_writer import NO_CLIP, ClipSetWriter, fail_item, write_item
from facemotion.datasets.importer import Importer, Item, base_ids, item_seed, labels, sources_of
from facemotion.errors import FacemotionError, InputError, OutputError

ITEM_ERRORS = (FacemotionError, OSError, ValueError, LookupError, ArithmeticError, cv2.error)
"""What a single item may end in without ending the run."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Environment of the workers, set before they start: the processes already fill the cores."""


@dataclass(frozen=True)
class ItemResult:
    """How one item ended."""

    key: str
    clips: int
    reason: str = ""
    """Why it gave no clip; empty where it gave some."""


@dataclass(frozen=True)
class ItemTask:
    """One item for a worker."""

    number: int
    item: Item
    base_id: str
    seed: int


class Preparation:
    """A clip set being made from ``items``. Iterate over ``run()``, then look at the set in ``out``.

    The same importer, items and seed give the same bytes, whatever the number of workers and interruptions.
    """

    def __init__(
        self,
        importer: Importer,
        items: Sequence[Item],
        out: Path,
        *,
        seed: int = 0,
        workers: int = 1,
        overwrite: bool = False,
    ):
        self.importer = importer
        self.items = list(items)
        self.workers = workers
        self.left = len(self.items)
        """Items still to do; known once ``run`` has started."""
        self.tasks = [
            ItemTask(number, item, base_id, item_seed(seed, item.key))
            for number, (item, base_id) in enumerate(zip(self.items, base_ids(self.items), strict=True))
        ]
        self.writer = ClipSetWriter(
            out,
            [item.key for item in self.items],
            settings={"importer": importer.origin, "seed": seed, "crop_px": importer.crop_px, "labels": labels(items)}
            | importer.splits.settings()
            | importer.settings(),
            sources=sources_of(self.items),
            overwrite=overwrite,
        )

    def run(self) -> Generator[ItemResult, None, None]:
        """Make what is not there yet, yielding every item as it ends; the items of earlier runs are not yielded again.

        Raises OutputError where the set cannot be written. Closing the iteration early keeps what is done.
        """
        self.importer.load()
        with self.writer:
            tasks = [self.tasks[number] for number in self.writer.pending()]
            self.left = len(tasks)
            if not tasks:
                return
            work = self.writer.work
            importer = self.importer.shared(work)
            if self.workers == 1:
                outcomes: Iterator[ItemResult] = (run_task(importer, work, task) for task in tasks)
            else:
                outcomes = self._in_processes(importer, work, tasks)
            for outcome in outcomes:
                self.writer.advance()
                self.left -= 1
                yield outcome

    def _in_processes(self, importer: Importer, work: Path, tasks: list[ItemTask]) -> Iterator[ItemResult]:
        """A window of tasks is under way at a time; on the way out the running ones are finished, not lost."""
        waiting, running = deque(tasks), set[Future]()
        executor = ProcessPoolExecutor(
            min(self.workers, len(tasks)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(importer, work),
        )
        before = dict(os.environ)
        os.environ.update(ONE_THREAD)
        try:
            while waiting or running:
                while waiting and len(running) < self.workers + 1:
                    running.add(executor.submit(_run_in_worker, waiting.popleft()))
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


def run_task(importer: Importer, work: Path, task: ItemTask) -> ItemResult:
    """Make and store the clips of one item, or store why there are none."""
    try:
        if task.item.problem:
            raise InputError(task.item.problem)
        clips = importer.clips(task.item, base_id=task.base_id, seed=task.seed)
        count = write_item(work, task.number, clips)
        return ItemResult(task.item.key, count, "" if count else NO_CLIP)
    except OutputError:
        raise
    except ITEM_ERRORS as error:
        reason = str(error).strip().partition("\n")[0]
        if not isinstance(error, FacemotionError):
            reason = f"{type(error).__name__}: {reason}"
        fail_item(work, task.number, reason)
        return ItemResult(task.item.key, 0, reason)


_worker: tuple[Importer, Path]


def _start_worker(importer: Importer, work: Path) -> None:
    """Ctrl-C is the parent's business, and a worker does not outlive its parent."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    importer.load()
    _worker = importer, work


def _run_in_worker(task: ItemTask) -> ItemResult:
    return run_task(*_worker, task)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # workers have one
    parent.join()
    os._exit(1)
