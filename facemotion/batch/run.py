"""Many photos: skip what is done, outlive what is broken, keep the cores busy, report.

A batch remembers in ``.facemotion-batch.jsonl`` (one line a clip, beside the report) from which photo, with which
settings and weights each clip was made, so that the same command run again goes on where it was interrupted, and
does again exactly the clips whose photo, settings or weights have changed. ``report.json`` says how it ended.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from facemotion.batch.journal import Journal
from facemotion.batch.plan import Shard, Task
from facemotion.errors import FacemotionError, OutputError
from facemotion.media.atomic import check_output, is_frames_folder, staged
from facemotion.version import __version__

REPORT_NAME = "report{shard}.json"

Animate = Callable[[Path, Path, Callable[[], None]], Mapping[str, object]]
"""Makes one clip: photo, output, and a function to call at every frame, by which a stopping batch interrupts it.
Returns what the report shall say of the clip (frames, faces, advice). Called from several threads at once."""

log = logging.getLogger(__name__)


@dataclass
class Result:
    """What became of a task: ``status`` is done, skipped or failed; ``error`` and ``hint`` belong to failed."""

    photo: str
    out: str
    status: str
    seconds: float = 0.0
    error: str = ""
    hint: str = ""
    details: dict[str, object] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """The lines of advice about the photo."""
        notes = self.details.get("notes")
        return [str(note) for note in notes] if isinstance(notes, list) else []


@dataclass
class BatchReport:
    """How a batch ended; ``report.json`` holds the same."""

    folder: str
    settings: Mapping[str, object]
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    file: str = REPORT_NAME.format(shard="")
    """The report's own name in the folder."""

    def count(self, status: str) -> int:
        """Number of results of that status."""
        return Counter(result.status for result in self.results)[status]

    @property
    def exit_code(self) -> int:
        """0 where all went well, 3 where some failed."""
        return 3 if self.count("failed") else 0

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        counts = {status: self.count(status) for status in ("done", "skipped", "failed")}
        return {"facemotion": __version__, **counts, **asdict(self)}


def run_batch(
    tasks: Sequence[Task],
    animate: Animate,
    *,
    folder: Path,
    settings: Mapping[str, object],
    shard: Shard | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> BatchReport:
    """Carry out the tasks, several at once; write and return the report.

    ``settings`` (JSON-ready, the weights' sha256 among them) decides together with the photo's bytes whether a clip
    of an earlier run still holds. ``workers`` None means one for each two cores, at least two. A task that fails is
    a row of the report. KeyboardInterrupt stops the clips under way, leaves the report of what is done, and goes on up.
    """
    suffix = shard.suffix if shard else ""
    tasks = shard.of(tasks) if shard else list(tasks)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(folder, shard=suffix, settings=settings)
    report = BatchReport(folder=str(folder), settings=settings, file=REPORT_NAME.format(shard=suffix))
    started = time.monotonic()
    stop = threading.Event()
    results = _in_threads(
        lambda task: _carry_out(task, animate, journal=journal, overwrite=overwrite, stop=stop),
        tasks,
        workers=workers or max(2, _cores() // 2),
        stop=stop,
    )
    try:
        with closing(results):
            for result in results:
                report.results.append(result)
                if on_result is not None:
                    on_result(result)
    except KeyboardInterrupt:
        report.interrupted = True
        raise
    finally:
        report.results.sort(key=lambda result: result.photo)
        report.seconds = round(time.monotonic() - started, 2)
        with _writing(folder):
            _write_report(folder / report.file, report)
    return report


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in our words why the folder of the batch cannot be written."""
    try:
        yield
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}.", "Choose another place with --out."
        ) from error


def _carry_out(task: Task, animate: Animate, *, journal: Journal, overwrite: bool, stop: threading.Event) -> Result:
    def go_on() -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    go_on()
    started = time.monotonic()
    result = Result(photo=str(task.photo), out=str(task.out), status="done")
    try:
        fingerprint = journal.fingerprint(task.photo)
        if journal.holds(task, fingerprint):
            result.status = "skipped"
            return result
        if task.out.exists() and not overwrite and journal.is_own(task, fingerprint):
            _remove_incomplete(task)
        for path in filter(None, (task.out, task.sheet)):
            check_output(path, overwrite=overwrite)
        if not task.out.exists():
            journal.begin(task, fingerprint)
        task.out.parent.mkdir(parents=True, exist_ok=True)
        result.details = dict(animate(task.photo, task.out, go_on))
        journal.finish(task, fingerprint)
    except FacemotionError as error:
        result.status, result.error, result.hint = "failed", error.message, error.hint
    except OSError as error:
        result.status, result.error = "failed", f"{error.filename or task.out}: {error.strerror or error}"
        result.hint = "Check the space left and who may write there, then run the same command again."
    except Exception as error:  # whatever a decoder or a network makes of one strange file, the others go on
        log.debug("%s", task.photo, exc_info=True)
        result.status, result.error = "failed", f"{type(error).__name__}: {error}"
        result.hint = "This should not happen; please report it. --verbose shows where."
    result.seconds = round(time.monotonic() - started, 2)
    return result


def _remove_incomplete(task: Task) -> None:
    """Make room for a clip whose sheet is missing, and which the batch itself has made of the same photo."""
    for path in filter(None, (task.out, task.sheet)):
        if path.is_dir() and is_frames_folder(path):
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def _in_threads(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int, stop: threading.Event
) -> Generator[Result, None, None]:
    """``work`` of all tasks as they finish; few are in flight, so memory does not grow with their number.

    Threads, not processes: the network, the composite and the encoder work outside the interpreter's lock, and the
    weights are loaded once. What passes between the threads goes through queues that an interrupt cannot leave locked.
    """
    waiting: SimpleQueue[Task | None] = SimpleQueue()
    finished: SimpleQueue[Result | BaseException] = SimpleQueue()

    def work_on() -> None:
        _share_cores(workers)
        while (task := waiting.get()) is not None:
            try:
                finished.put(work(task))
            except BaseException as error:  # raised again where the result is asked for
                finished.put(error)

    threads: list[threading.Thread] = []
    rest = iter(tasks)
    flying = 0
    try:
        for _ in range(workers):
            thread = threading.Thread(target=work_on, name="photo", daemon=True)
            thread.start()
            threads.append(thread)
        for task in islice(rest, workers + 1):
            waiting.put(task)
            flying += 1
        while flying:
            landed = finished.get()
            flying -= 1
            if isinstance(landed, BaseException):
                raise landed
            for task in islice(rest, 1):
                waiting.put(task)
                flying += 1
            yield landed
    finally:
        stop.set()
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join()


def _share_cores(workers: int) -> None:
    """Give each worker its share of the cores, instead of every worker all of them."""
    import torch

    torch.set_num_threads(max(1, _cores() // workers))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_report(path: Path, report: BatchReport) -> None:
    text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n"
    with staged(path, overwrite=True) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")  # a file name need not be valid UTF-8
