"""What a folder of clips was made of: lines that a killed process leaves readable, beside the clips.

``.facemotion-batch.jsonl`` has one object a line: ``out`` and ``photo`` relative to the folder, ``made_of`` a hash of
photo, settings and version, ``size_bytes`` and ``sheet_bytes`` of what was written, null while it is being made.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from facemotion.batch.plan import Task
from facemotion.version import __version__
from facemotion.weights.registry import file_sha256

NAME = ".facemotion-batch{shard}.jsonl"
PATTERN = ".facemotion-batch*.jsonl"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JournalLine:
    """A line of a journal; sizes are None of clips that were begun, ``sheet_bytes`` also of those without a sheet."""

    out: str
    photo: str | None
    made_of: str
    size_bytes: int | None
    sheet_bytes: int | None = None


class Journal:
    """Which clip was made of what.

    A line is written before a clip is begun where nothing lies under its name, and when it is whole. Clips get their
    names only when whole, after their sheets: if a process dies in between, a clip under its name is whole.
    """

    def __init__(self, folder: Path, *, shard: str = "", settings: Mapping[str, object]):
        self._folder = folder
        self._path = folder / NAME.format(shard=shard)
        self._settings = json.dumps([__version__, settings], sort_keys=True)
        self._lock = threading.Lock()
        self._known = {entry.out: entry for entry in _entries(folder)}
        if self._path.exists() and not self._path.read_bytes().endswith(b"\n"):
            self._append("\n")  # the last line was cut off when its process died

    def fingerprint(self, photo: Path) -> str:
        """Hash of the photo's bytes and the settings; of the settings alone where the photo cannot be read."""
        try:
            pixels = file_sha256(photo) if os.path.isfile(photo) else ""
        except OSError:
            pixels = ""
        return hashlib.sha256(f"{pixels} {self._settings}".encode()).hexdigest()

    def holds(self, task: Task, fingerprint: str) -> bool:
        """Whether clip and sheet are there, whole, and were made of the same."""
        entry = self._known.get(self._relative(task.out))
        if entry is None or not self.is_own(task, fingerprint) or not task.out.exists():
            return False
        return task.sheet is None or (task.sheet.is_file() and entry.sheet_bytes in (None, task.sheet.stat().st_size))

    def is_own(self, task: Task, fingerprint: str) -> bool:
        """Whether what lies under the clip's name, if anything, was made by a batch of the same photo and settings, so
        that nothing is lost by making it again."""
        entry = self._known.get(self._relative(task.out))
        if entry is None or entry.made_of != fingerprint:
            return False
        return entry.size_bytes is None or not task.out.exists() or entry.size_bytes == size_bytes(task.out)

    def begin(self, task: Task, fingerprint: str) -> None:
        """Remember that the clip is being made, where nothing lies under its name."""
        self._note(JournalLine(self._relative(task.out), self._photo(task), fingerprint, None))

    def finish(self, task: Task, fingerprint: str) -> None:
        """Remember that the clip is whole, also for the next run."""
        sheet_bytes = task.sheet.stat().st_size if task.sheet is not None and task.sheet.is_file() else None
        self._note(
            JournalLine(self._relative(task.out), self._photo(task), fingerprint, size_bytes(task.out), sheet_bytes)
        )

    def _note(self, entry: JournalLine) -> None:
        with self._lock:
            self._append(json.dumps(entry.__dict__) + "\n")
            self._known[entry.out] = entry

    def _append(self, text: str) -> None:
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(text)

    def _relative(self, out: Path) -> str:
        return os.path.relpath(out, self._folder)

    def _photo(self, task: Task) -> str:
        photo = os.path.realpath(task.photo)
        try:
            return os.path.relpath(photo, os.path.realpath(self._folder))
        except ValueError:  # on another drive of Windows
            return photo


def earlier_outputs(folder: Path) -> dict[Path, Path | None]:
    """The outputs that the journals of a folder name, and the resolved photo of each, None where it is not known."""
    real = os.path.realpath(folder)
    outputs: dict[Path, Path | None] = {}
    for entry in _entries(folder):
        photo = None if entry.photo is None else Path(os.path.normpath(os.path.join(real, entry.photo)))
        outputs[Path(os.path.normpath(folder / entry.out))] = photo
    return outputs


def size_bytes(out: Path) -> int:
    """Bytes of a clip: a file, or a folder of frames."""
    if out.is_dir():
        return sum(path.stat().st_size for path in out.iterdir())
    return out.stat().st_size


def _entries(folder: Path) -> Iterator[JournalLine]:
    """What the journals of a folder say, the oldest first."""
    paths = [path for path in folder.glob(PATTERN) if path.is_file()]
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = JournalLine(**json.loads(line))
                valid = _is_valid(entry)
            except (ValueError, TypeError, RecursionError):
                valid = False
            if valid:
                yield entry
            else:
                log.info("%s: passing over a line that was not written to its end", path)


def _is_valid(entry: JournalLine) -> bool:
    texts = (entry.out, entry.made_of, "" if entry.photo is None else entry.photo)
    sizes = (entry.size_bytes, entry.sheet_bytes)
    return all(isinstance(text, str) and "\0" not in text for text in texts) and all(
        size is None or isinstance(size, int) for size in sizes
    )
