"""From what was named on the command line to a list of photos and the clips to be made of them."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facemotion.errors import InputError, UsageError
from facemotion.media.photos import PHOTO_SUFFIXES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (1-based) of ``count`` of a batch that several machines share."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """``"I/N"`` with 1 ≤ I ≤ N; raises UsageError."""
        index, _, count = text.partition("/")
        numbers = [number for number in (index, count) if re.fullmatch(r"\d{1,9}", number, re.ASCII)]
        if len(numbers) < 2 or not 1 <= int(index) <= int(count):
            raise UsageError(f"{text[:40]!r} is no shard.", "Write I/N with I from 1 to N, such as --shard 1/4.")
        return cls(int(index), int(count))

    def of(self, tasks: "Sequence[Task]") -> "list[Task]":
        """Every N-th task; the shards of the same sorted list are disjoint, complete and of equal size."""
        return list(tasks[self.index - 1 :: self.count])

    @property
    def suffix(self) -> str:
        """Part of a file name that keeps the shards' reports apart."""
        return f"-{self.index}-of-{self.count}"


@dataclass(frozen=True)
class Task:
    """One photo and the clip to be made of it."""

    photo: Path
    out: Path


def batch_folder(inputs: Sequence[Path], out: Path | None, *, word: str) -> Path:
    """Folder of a batch's clips and report: ``out``; else ``DIR-word`` beside the one folder named; else the lowest
    folder that holds all photos named.

    Raises UsageError where a folder is not the only input and ``out`` is not given.
    """
    if out is not None:
        return out
    folders = [path for path in inputs if path.is_dir()]
    if not folders:
        return Path(os.path.commonpath([path.absolute().parent for path in inputs]))
    if len(inputs) > 1:
        raise UsageError("Several inputs, and no place for their clips.", "Name a folder with --out.")
    folder = folders[0].resolve()
    return folder.with_name(f"{folder.name}-{word}")


def plan_tasks(inputs: Sequence[Path], folder: Path, *, ending: str, beside: bool = False) -> list[Task]:
    """One task for every photo of ``inputs``; ``ending`` (such as ``-smile.mp4``) turns a photo's stem into a name.

    The tree of a folder is mirrored under ``folder``; with several inputs that are folders, each below its own name.
    ``beside`` puts clips of photos that are named singly beside them. Photos that would share a clip's name keep their
    suffix in it (``a.jpg-smile.mp4``). Raises InputError where there is no photo at all.
    """
    several = sum(path.is_dir() for path in inputs) > 1
    placed: dict[Path, Path] = {}
    for path in inputs:
        if not path.is_dir():
            placed.setdefault(path, path.parent if beside else folder)
            continue
        top = folder / path.resolve().name if several else folder
        for photo in walk_photos(path, ignore=folder):
            placed.setdefault(photo, top / photo.relative_to(path).parent)
    if not placed:
        raise InputError(f"No photos in {', '.join(map(str, inputs))}.", "Photos are told by their suffix or content.")
    names = Counter(place / photo.stem for photo, place in placed.items())
    return [
        Task(photo, place / ((photo.name if names[place / photo.stem] > 1 else photo.stem) + ending))
        for photo, place in placed.items()
    ]


def walk_photos(folder: Path, *, ignore: Path | None = None) -> Iterator[Path]:
    """Photos below ``folder``, sorted: files with a photo's suffix, or without any suffix but a photo's first bytes.

    Links are followed, each folder is entered once, so loops of links end. Hidden files and folders are left out,
    and so is ``ignore`` (where the clips go).
    """
    seen = {ignore.resolve()} if ignore is not None and ignore.resolve() != folder.resolve() else set()
    pending = [folder]
    while pending:
        current = pending.pop()
        if current.resolve() in seen:
            continue
        seen.add(current.resolve())
        try:
            entries = sorted(current.iterdir())
        except OSError as error:
            log.warning("Cannot read the folder %s: %s", current, error.strerror)
            continue
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        yield from (entry for entry in entries if entry.is_file() and _seems_photo(entry))
        pending.extend(entry for entry in reversed(entries) if entry.is_dir())


def _seems_photo(path: Path) -> bool:
    if path.suffix:
        return path.suffix.lower() in PHOTO_SUFFIXES
    try:
        with open(path, "rb") as stream:
            head = stream.read(16)
    except OSError:
        return False
    magics = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"BM", b"GIF8")
    return head.startswith(magics) or head[8:12] == b"WEBP" or head[4:8] == b"ftyp"
