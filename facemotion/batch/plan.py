"""From what was named on the command line to a list of photos and the clips to be made of them."""

import hashlib
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from facemotion.errors import InputError, UsageError
from facemotion.media.atomic import fitting_name
from facemotion.media.contact_sheet import sheet_path
from facemotion.media.formats import FORMATS
from facemotion.media.photos import PHOTO_SUFFIXES
from facemotion.media.provenance import is_marked

log = logging.getLogger(__name__)

Earlier = Mapping[Path, Path | None]
"""What earlier batches of a folder have made: resolved output to the photo it was made of, None where unknown."""


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (1-based) of ``count`` of a batch that several machines share."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """``"I/N"`` with 1 ≤ I ≤ N; raises UsageError."""
        index, _, total = text.partition("/")
        digits = all(part.isascii() and part.isdecimal() and len(part) < 10 for part in (index, total))
        if not (digits and 1 <= int(index) <= int(total)):
            raise UsageError(f"{text[:40]!r} is no shard.", "Write I/N with I from 1 to N, such as --shard 1/4.")
        return cls(int(index), int(total))

    def of(self, tasks: "Sequence[Task]") -> "list[Task]":
        """Every N-th task; the shards of the same sorted list are disjoint, complete and of equal size."""
        return list(tasks[self.index - 1 :: self.count])

    @property
    def suffix(self) -> str:
        """Part of a file name that keeps the shards' reports apart."""
        return f"-{self.index}-of-{self.count}"


@dataclass(frozen=True)
class Task:
    """One photo, the clip to be made of it, and the contact sheet of that clip where one is wanted."""

    photo: Path
    out: Path
    sheet: Path | None = None


@dataclass(frozen=True)
class _Placed:
    """A photo under the name by which it was found, and the folder that its clip goes to."""

    photo: Path
    place: Path


def batch_folder(inputs: Sequence[Path], out: Path | None, *, word: str) -> Path:
    """Folder of a batch's clips and report: ``out``; else ``DIR-word`` beside the one folder named; else the lowest
    folder that holds all photos named.

    Raises UsageError where a folder is not the only input and ``out`` is not given.
    """
    if out is not None:
        return out
    folders = [path for path in inputs if os.path.isdir(path)]
    if not folders:
        return Path(os.path.commonpath([path.absolute().parent for path in inputs]))
    if len(inputs) > 1:
        raise UsageError("Several inputs, and no place for their clips.", "Name a folder with --out.")
    folder = _real(folders[0])
    return folder.with_name(fitting_name(folder.name, f"-{word}"))


def plan_tasks(
    inputs: Sequence[Path],
    folder: Path,
    *,
    ending: str,
    beside: bool = False,
    sheet: bool = False,
    earlier: Earlier | None = None,
    on_passed_over: Callable[[Path], None] | None = None,
) -> list[Task]:
    """One task for every photo of ``inputs``; ``ending`` (such as ``-smile.mp4``) turns a photo's stem into a name.

    The tree of a folder is mirrored under ``folder``; with several inputs that are folders, each below its own name.
    ``beside`` puts clips of photos that are named singly beside them. A photo that is found twice is one task. Photos
    that would share a clip's name, also where case does not count, keep their suffix in it (``a.jpg-smile.mp4``), then
    take the name of their folder along; a photo that has a clip of ``earlier`` batches keeps that name, whatever has
    been added since. What facemotion itself has made is no photo: ``on_passed_over`` is told. Raises InputError where
    there is no photo at all.
    """
    earlier = earlier or {}
    placed = _placed(inputs, folder, beside=beside)
    names = _Names(ending)
    results = names.results(placed, earlier)
    for path in results:
        if on_passed_over is not None:
            on_passed_over(placed[path].photo)
        del placed[path]
    if not placed:
        hint = "Photos are told by their suffix or content."
        if results:
            hint = f"What facemotion has made itself was passed over ({len(results)}); name such a picture alone."
        raise InputError(f"No photos in {', '.join(map(str, inputs))}.", hint)
    outs = names.outputs(placed, earlier)
    return [Task(photo.photo, outs[path], names.sheet(outs[path]) if sheet else None) for path, photo in placed.items()]


def walk_photos(folder: Path, *, ignore: Path | None = None) -> Iterator[Path]:
    """Photos below ``folder``, sorted: files with a photo's suffix, or without any suffix but a photo's first bytes.

    Links are followed, each folder is entered once, so loops of links end. Hidden files and folders are left out,
    and so is ``ignore`` (where the clips go).
    """
    seen = {_real(ignore)} if ignore is not None and _real(ignore) != _real(folder) else set()
    pending = [folder]
    while pending:
        current = pending.pop()
        if _real(current) in seen:
            continue
        seen.add(_real(current))
        try:
            entries = sorted(current.iterdir())
        except OSError as error:
            log.warning("Cannot read the folder %s: %s", current, error.strerror)
            continue
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        yield from (entry for entry in entries if os.path.isfile(entry) and _seems_photo(entry))
        pending.extend(entry for entry in reversed(entries) if os.path.isdir(entry))


def clip_stem(photo: Path) -> str:
    """The part of a photo's name that its clip's name begins with."""
    return photo.stem if photo.suffix.lower() in PHOTO_SUFFIXES else photo.name


def _placed(inputs: Sequence[Path], folder: Path, *, beside: bool) -> dict[Path, _Placed]:
    """Every photo once, by its resolved path."""
    folders = {path: _real(path) for path in inputs if os.path.isdir(path)}
    tops: dict[Path, Path] = {}
    if len(set(folders.values())) > 1:
        names = _distinct(dict.fromkeys(folders.values()), lambda path, level: Path(_name(path, level + 1)), _path_key)
        tops = {path: folder / name for path, name in names.items()}
    placed: dict[Path, _Placed] = {}
    for path in inputs:
        if path not in folders:
            placed.setdefault(_real(path), _Placed(path, path.parent if beside else folder))
            continue
        top = tops.get(folders[path], folder)
        for photo in walk_photos(path, ignore=folder):
            placed.setdefault(_real(photo), _Placed(photo, top / photo.relative_to(path).parent))
    return placed


class _Names:
    """The names of clips of one ending, and what they occupy."""

    def __init__(self, ending: str):
        self._ending = ending
        self._suffixes = {suffix for format in FORMATS.values() for suffix in format.suffixes if suffix}
        self._parents: dict[Path, str] = {}

    def sheet(self, out: Path) -> Path:
        """Where the contact sheet of a clip lies."""
        return sheet_path(out, is_file=out.suffix in self._suffixes)

    def results(self, placed: Mapping[Path, _Placed], earlier: Earlier) -> list[Path]:
        """The pictures that facemotion has made: told by an earlier batch, by their mark, or as the sheet of a clip."""
        made = {key for out in earlier for key in self._keys(out)}
        for photo in placed.values():
            made.add(self._key(self.sheet(photo.photo.with_name(fitting_name(clip_stem(photo.photo), self._ending)))))
        return [path for path in placed if made & {self._key(path), self._key(path.parent)} or is_marked(path)]

    def outputs(self, placed: Mapping[Path, _Placed], earlier: Earlier) -> dict[Path, Path]:
        """A name of its own for every photo's clip."""
        kept: dict[Path, Path] = {}
        taken = {self._key(path) for path in placed}
        for out, photo in earlier.items():
            if photo is None or photo not in placed or not os.path.lexists(out):
                continue
            names = {fitting_name(_name(photo, level), self._ending) for level in range(4)}
            if out.name in names and taken.isdisjoint(self._keys(out)):
                kept[photo] = out
                taken |= self._keys(out)
        chosen = _distinct(
            [path for path in placed if path not in kept],
            lambda path, level: placed[path].place / fitting_name(_name(path, level), self._ending),
            self._keys,
            taken=taken,
        )
        return kept | chosen

    def _keys(self, out: Path) -> set[str]:
        """A clip occupies its own name and that of its contact sheet."""
        return {self._key(out), self._key(self.sheet(out))}

    def _key(self, path: Path) -> str:
        if path.parent not in self._parents:
            self._parents[path.parent] = os.path.realpath(path.parent)
        return _folded(os.path.join(self._parents[path.parent], path.name))


def _name(path: Path, level: int) -> str:
    """The names that may stand for a photo, the plainest first; from the fourth on, no other path has the same."""
    if level < 3:
        return (clip_stem(path), path.name, f"{path.parent.name}-{path.name}")[level]
    return f"{path.stem}-{hashlib.sha256(os.fsencode(path) + bytes(level - 3)).hexdigest()[:8]}"


def _distinct(
    paths: Iterable[Path],
    name: Callable[[Path, int], Path],
    keys: Callable[[Path], set[str]],
    *,
    taken: Iterable[str] = (),
) -> dict[Path, Path]:
    """For every path the plainest of its names that no other path has at that level, nor had before."""
    occupied, left = set(taken), list(paths)
    chosen: dict[Path, Path] = {}
    for level in count():
        if not left:
            break
        proposed = {path: name(path, level) for path in left}
        wanted = Counter(key for out in proposed.values() for key in keys(out))
        for path, out in proposed.items():
            if all(wanted[key] == 1 and key not in occupied for key in keys(out)):
                chosen[path] = out
        occupied |= {key for path in left if path in chosen for key in keys(chosen[path])}
        left = [path for path in left if path not in chosen]
    return chosen


def _path_key(path: Path) -> set[str]:
    return {_folded(str(path))}


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _folded(name: str) -> str:
    """Equal for names that are one on a system where neither case nor the way of writing accents counts."""
    return unicodedata.normalize("NFC", name).casefold()


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
