"""Many photos: skip what is done, outlive what is broken, keep the cores busy, report.

A batch remembers in ``.facemotion-batch.jsonl`` (one line a clip, beside the report) from which photo, with which
settings and weights each clip was made, so that the same command run again goes on where it was interrupted, and
does again exactly the clips whose photo, settings or weights have changed. ``report.json`` says how it ended.
"""

import hashlib
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from facemotion.batch.plan import Shard, Task
from facemotion.errors import FacemotionError, OutputError
from facemotion.media.atomic import check_output, write_whole
from facemotion.version import __version__
from facemotion.weights.registry import file_sha256

REPORT_NAME = "report{shard}.json"
MEMORY_NAME = ".facemotion-batch{shard}.jsonl"
MEMORY_PATTERN = ".facemotion-batch*.jsonl"

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


@dataclass
class BatchReport:
    """How a batch ended; ``report.json`` holds the same."""

    folder: str
    settings: Mapping[str, object]
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

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
        memory = _Memory(folder, name=MEMORY_NAME.format(shard=suffix), settings=settings)
    report = BatchReport(folder=str(folder), settings=settings)
    started = time.monotonic()
    stop = threading.Event()
    results = _in_threads(
        lambda task: _carry_out(task, animate, memory=memory, overwrite=overwrite, stop=stop),
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
            _write_report(folder / REPORT_NAME.format(shard=suffix), report)
    return report


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in our words why the folder of the batch cannot be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}.", "Choose another place with --out."
        ) from error


def _carry_out(task: Task, animate: Animate, *, memory: "_Memory", overwrite: bool, stop: threading.Event) -> Result:
    def go_on() -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    go_on()
    started = time.monotonic()
    result = Result(photo=str(task.photo), out=str(task.out), status="done")
    try:
        fingerprint = memory.fingerprint(task.photo)
        if memory.holds(task.out, fingerprint):
            result.status = "skipped"
            return result
        check_output(task.out, overwrite=overwrite)
        if not task.out.exists():
            memory.note(task.out, fingerprint, size_bytes=None)
        task.out.parent.mkdir(parents=True, exist_ok=True)
        result.details = dict(animate(task.photo, task.out, go_on))
        memory.note(task.out, fingerprint, size_bytes=_size_bytes(task.out))
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


def _in_threads(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int, stop: threading.Event
) -> Generator[Result, None, None]:
    """``work`` of all tasks as they finish; few are in flight, so memory does not grow with their number.

    Threads, not processes: the network, the composite and the encoder work outside the interpreter's lock, and the
    weights are loaded once.
    """
    with ThreadPoolExecutor(workers, initializer=_share_cores, initargs=(workers,)) as executor:
        flying: set[Future[Result]] = set()
        try:
            for task in tasks:
                flying.add(executor.submit(work, task))
                if len(flying) > workers:
                    landed, flying = wait(flying, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in landed)
            while flying:
                landed, flying = wait(flying, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in landed)
        finally:
            stop.set()


def _share_cores(workers: int) -> None:
    """Give each worker its share of the cores, instead of every worker all of them."""
    import torch

    torch.set_num_threads(max(1, _cores() // workers))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Memory:
    """Which clip was made of what, kept in lines that a killed process leaves readable.

    A line is written before a clip is begun where nothing lies under its name (size None), and when it is whole.
    Clips get their names only when whole: if a process dies in between, a clip under the name is whole.
    """

    def __init__(self, folder: Path, *, name: str, settings: Mapping[str, object]):
        self._folder = folder
        self._path = folder / name
        self._settings = json.dumps([__version__, settings], sort_keys=True)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, int | None]] = {}
        for path in sorted(folder.glob(MEMORY_PATTERN), key=lambda path: path.stat().st_mtime):
            self._read(path)
        if self._path.exists() and not self._path.read_bytes().endswith(b"\n"):
            self._append("\n")  # the last line was cut off when its process died

    def fingerprint(self, photo: Path) -> str:
        """Hash of the photo's bytes and the settings; of the settings alone where the photo cannot be read."""
        try:
            pixels = file_sha256(photo)
        except OSError:
            pixels = ""
        return hashlib.sha256(f"{pixels} {self._settings}".encode()).hexdigest()

    def holds(self, out: Path, fingerprint: str) -> bool:
        """Whether the clip is there, whole, and was made of the same."""
        known, size_bytes = self._known.get(self._key(out), ("", None))
        return known == fingerprint and out.exists() and size_bytes in (None, _size_bytes(out))

    def note(self, out: Path, fingerprint: str, *, size_bytes: int | None) -> None:
        """Remember, also for the next run."""
        line = json.dumps({"out": self._key(out), "made_of": fingerprint, "size_bytes": size_bytes})
        with self._lock:
            self._append(line + "\n")
            self._known[self._key(out)] = (fingerprint, size_bytes)

    def _append(self, text: str) -> None:
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(text)

    def _key(self, out: Path) -> str:
        return os.path.relpath(out, self._folder)

    def _read(self, path: Path) -> None:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                self._known[row["out"]] = (row["made_of"], row["size_bytes"])
            except (ValueError, KeyError, TypeError):
                log.info("%s: passing over a line that was not written to its end", path)


def _size_bytes(out: Path) -> int:
    """Bytes of a clip: a file, or a folder of frames."""
    if out.is_dir():
        return sum(path.stat().st_size for path in out.iterdir())
    return out.stat().st_size


def _write_report(path: Path, report: BatchReport) -> None:
    text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n"
    write_whole(path, text.encode(errors="backslashreplace"))  # a file name need not be valid UTF-8
