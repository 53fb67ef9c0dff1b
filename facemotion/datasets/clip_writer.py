"""Write a clip set: item by item, by one process or many, interrupted and continued, always the same bytes.

While a set is being made, its folder holds ``.work/``: for each item that is done a record ``000012.json`` and its
clips ``000012.tar``. As soon as the items of the next shard are all there they are joined into
``shard-00000.tar``; where a shard ends depends on nothing but the items before it. The manifest comes last.
"""

import contextlib
import errno
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from facemotion.datasets.clip import Clip
from facemotion.datasets.shards import END_OF_ARCHIVE, Entry, pack
from facemotion.errors import InputError, OutputError
from facemotion.media.atomic import write_whole
from facemotion.media.records import MalformedError, built, checked, malformed, parse_object
from facemotion.version import __version__
from facemotion.weights.registry import file_sha256

FORMAT = "facemotion-clips"
FORMAT_VERSION = 1
NO_CLIP = "gave no clip"
NOTHING = ""
"""The plan of an empty folder."""


@dataclass(frozen=True)
class Source:
    """Where photos came from and under which terms."""

    name: str
    licence: str
    credit: str = ""


class ClipSetWriter:
    """A clip set under way. Use as a context manager.

    ``items`` names everything that clips will be made from, in the order in which it will stand in the set;
    ``settings`` is anything (JSON) that the clips depend on. Opened again on the folder of an interrupted run with the
    same items and settings it continues; ``pending()`` tells what is left. When the block is left without an
    exception and no item is pending, the set is finished; otherwise what was done is kept for the next run.

    Raises OutputError where the folder holds a set of other items or settings (unless ``overwrite``), is in use by
    another process, or cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        items: Sequence[str],
        *,
        settings: dict | None = None,
        sources: Iterable[Source] = (),
        clips_per_shard: int = 256,
        overwrite: bool = False,
    ):
        self.path = Path(path)
        self.items = list(items)
        self.settings = settings or {}
        self.sources = list(sources)
        self.clips_per_shard = clips_per_shard
        self.finished = False
        self._overwrite = overwrite
        self._shards: list[dict] = []
        self._entries: list[Entry] = []
        self._problems: list[dict] = []
        self._next_item = 0
        self._next_records: list[dict] = []

    @property
    def work(self) -> Path:
        """Folder of the items that are done and not yet in a shard."""
        return self.path / ".work"

    def __enter__(self) -> "ClipSetWriter":
        plan = self._plan()
        with _writing(self.path):
            self._made_folder = not self.path.exists()
            self.work.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.work / "lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise OutputError(f"{self.path}: another process is writing it", "Wait for it to end.") from None
            if self._overwrite:
                self._clear()
            made_by = self._made_by()
            self.finished = (self.path / "manifest.json").exists()
            if made_by == NOTHING:
                self._clear(".work/*.*", ".work/plan")
                write_whole(self.work / "plan", plan.encode())
            elif made_by != plan:
                self._leave()
                raise OutputError(
                    f"{self.path}: holds clips made from other items or with other settings",
                    "Choose another --out, or --overwrite to replace them.",
                )
            self.advance()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            with _writing(self.path):
                if kind is None and not self.finished:
                    self.advance()
                    if self._next_item == len(self.items):
                        self._finish()
        finally:
            self._leave()

    def pending(self) -> list[int]:
        """Numbers of the items that are neither done nor failed yet."""
        if self.finished:
            return []
        done = {int(path.stem) for path in self.work.glob("*.json") if path.stem.isdecimal()}
        return [number for number in range(len(self.items)) if number not in done]

    def add(self, number: int, clips: Iterable[Clip]) -> None:
        """Store the clips of item ``number``. Any process may do it, through ``write_item``."""
        write_item(self.work, number, clips)
        with _writing(self.path):
            self.advance()

    def fail(self, number: int, reason: str) -> None:
        """Record that item ``number`` gives no clip, and why."""
        fail_item(self.work, number, reason)
        with _writing(self.path):
            self.advance()

    def advance(self) -> None:
        """Join into shards the items that are complete up to the first one that is not."""
        while not self.finished and self._next_item < len(self.items):
            number = self._next_item + len(self._next_records)
            if number < len(self.items) and sum(len(r["entries"]) for r in self._next_records) < self.clips_per_shard:
                record = self.work / f"{number:06d}.json"
                if not record.exists():
                    return
                self._next_records.append(self._read_record(record))
            else:
                self._join(self._next_item, self._next_records)
                self._next_item, self._next_records = number, []

    def _read_record(self, path: Path) -> dict:
        """What an earlier run or another process noted about an item."""
        try:
            record = parse_object(path.read_bytes())
            with malformed():
                return {
                    "reason": checked(record["reason"], str, "reason"),
                    "bytes": checked(record["bytes"], int, "bytes"),
                    "entries": [asdict(built(Entry, entry)) for entry in checked(record["entries"], list, "entries")],
                }
        except MalformedError as error:
            raise OutputError(
                f"{path}: what an earlier run left is damaged ({error})", "Start again with --overwrite."
            ) from error

    def _join(self, first: int, records: list[dict]) -> None:
        """One shard of the items from ``first`` on; left as it is where an earlier run made it."""
        name, position, parts = f"shard-{len(self._shards):05d}.tar", 0, []
        for number, record in enumerate(records, first):
            if record["reason"]:
                self._problems.append({"item": self.items[number], "reason": record["reason"]})
            for entry in record["entries"]:
                moved = {**entry, "shard": len(self._shards), "offset": entry["offset"] + position}
                self._entries.append(Entry(**moved))
            position += record["bytes"]
            if record["bytes"]:
                parts.append(self.work / f"{number:06d}.tar")
        if not parts:
            return
        shard = self.path / name
        if not shard.exists():
            write_whole(shard, *(part.read_bytes() for part in parts), END_OF_ARCHIVE)
        if shard.stat().st_size != position + len(END_OF_ARCHIVE):
            raise OutputError(f"{shard}: not what an earlier run wrote", "Start again with --overwrite.")
        for part in parts:
            part.unlink(missing_ok=True)
        self._shards.append(_file_record(shard))

    def _finish(self) -> None:
        if not self._entries:
            self._clear()
            raise InputError(f"None of the {len(self.items)} items gave a clip.", _most_frequent(self._problems))
        repeated = len(self._entries) - len({entry.id for entry in self._entries})
        if repeated:
            raise OutputError(f"{self.path}: {repeated} clips have the id of another one", "Rename the items.")
        columns = {name: [getattr(e, name) for e in self._entries] for name in Entry.__dataclass_fields__}
        index = self.path / "index.json"
        write_whole(index, json.dumps(columns, separators=(",", ":"), ensure_ascii=False).encode())
        manifest = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "made_by": f"facemotion {__version__}",
            "clips": len(self._entries),
            "frames": sum(len(entry.control) for entry in self._entries),
            "plan": self._plan(),
            "settings": self.settings,
            "sources": [asdict(source) for source in self.sources],
            "index": _file_record(index),
            "shards": self._shards,
            "problems": self._problems,
        }
        write_whole(self.path / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        self.finished = True

    def _plan(self) -> str:
        """Checksum of all that decides the bytes of the set."""
        plan = [__version__, self.items, self.settings, self.clips_per_shard]
        return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()

    def _made_by(self) -> str:
        """Plan of what the folder holds: NOTHING where it holds no work, something else where that is unknown."""
        manifest, plan = self.path / "manifest.json", self.work / "plan"
        if manifest.exists():
            try:
                return str(parse_object(manifest.read_bytes()).get("plan"))
            except MalformedError:
                return "a damaged manifest"
        if plan.exists() and self._has_records():
            return plan.read_text(errors="replace")
        return "shards without a manifest" if any(self.path.glob("shard-?????.tar")) else NOTHING

    def _has_records(self) -> bool:
        return any(self.work.glob("*.json"))

    def _clear(self, *patterns: str) -> None:
        """Remove files that a ClipSetWriter made, by default all of them, and nothing else."""
        for pattern in patterns or (
            "manifest.json",
            "index.json",
            "shard-?????.tar",
            "*.part",
            ".work/*.*",
            ".work/plan",
        ):
            for path in self.path.glob(pattern):
                path.unlink()

    def _leave(self) -> None:
        """Keep the work folder only where it holds work."""
        self._lock.release()
        if self.finished or not self._has_records():
            shutil.rmtree(self.work, ignore_errors=True)
        if self._made_folder:
            with contextlib.suppress(OSError):
                self.path.rmdir()


def _most_frequent(problems: list[dict]) -> str:
    reasons = [problem["reason"] for problem in problems]
    return f"Most often: {max(reasons, key=reasons.count)}" if reasons else "There was nothing to make clips from."


def write_clips(path: str | Path, clips: Iterable[Clip], *, sources: Iterable[Source] = (), **options: Any) -> None:
    """Write ``clips`` as a set, each an item of its own; ``options`` as for ClipSetWriter."""
    clips = list(clips)
    with ClipSetWriter(path, [clip.id for clip in clips], sources=sources, **options) as writer:
        for number in writer.pending():
            writer.add(number, [clips[number]])


def write_item(work: Path, number: int, clips: Iterable[Clip]) -> int:
    """Store the clips of one item in the work folder of a ClipSetWriter and return how many they are."""
    content, entries = pack(clips)
    with _writing(work.parent):
        if content:
            write_whole(work / f"{number:06d}.tar", content)
        _write_record(work, number, reason="" if entries else NO_CLIP, size=len(content), entries=entries)
    return len(entries)


def fail_item(work: Path, number: int, reason: str) -> None:
    """Record in the work folder of a ClipSetWriter that an item gives no clip, and why."""
    with _writing(work.parent):
        _write_record(work, number, reason=reason, size=0, entries=[])


def _write_record(work: Path, number: int, *, reason: str, size: int, entries: list[Entry]) -> None:
    record = {"reason": reason, "bytes": size, "entries": [asdict(entry) for entry in entries]}
    write_whole(work / f"{number:06d}.json", json.dumps(record).encode())


def _file_record(path: Path) -> dict:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Errors of the file system as OutputError."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        hint = "Free some space and run the same command again." if error.errno == errno.ENOSPC else ""
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})", hint) from error
