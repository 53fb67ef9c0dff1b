"""Where the photos of a data set lie: this project's data folder, the sets as their authors publish them, any folder.

Nothing is read here but names; what does not fit is an item with a ``problem``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from facemotion.errors import InputError, MissingFileError
from facemotion.expressions.blends import builtin_recipes
from facemotion.media.photos import PHOTO_SUFFIXES

NEUTRAL_FOLDERS = ("neutral", "neutral_front")
PEAK_FOLDERS = {"smiling_front": "smile", **{name: name for name in builtin_recipes().names}}
"""Folder beside the neutral one -> the expression that its photos show."""

_KNOWN_FOLDERS = {"london": "london", "canada": "canada", "portraits": "portrait"}
"""Folders of the known sets -> what the ids of their people begin with."""
# 001_03.jpg, 001_08.jpg: the person's number, then the pose and expression
_LONDON_NAME = re.compile(r"(\d{3})_(?:03|08)$")


@dataclass(frozen=True)
class PhotoItem:
    """A portrait."""

    key: str
    """Path below the folder that was named, that folder's name included; the same wherever the folder lies."""
    person: str
    path: Path
    problem: str = ""


@dataclass(frozen=True)
class PairItem:
    """Two photos of one person: neutral, and at the peak of an expression."""

    key: str
    person: str
    neutral: Path
    peak: Path
    expression: str
    problem: str = ""


@dataclass(frozen=True)
class PersonPhotos:
    """All photos of one person, neutral ones first where folders say which those are."""

    person: str
    photos: tuple[Path, ...]


def find_people(
    folders: Sequence[Path], *, person_from: str = "file", exclude: Sequence[str] = ()
) -> list[PersonPhotos]:
    """The people of `find_portraits` with their photos from folders of other expressions, in the order of the folders.

    Raises InputError for a folder without photos.
    """
    photos: dict[str, list[Path]] = {}
    for folder in folders:
        for item in find_portraits([folder], person_from=person_from, exclude=exclude):
            photos.setdefault(item.person, []).append(item.path)
        for pair in _pairs(folder):
            if pair.peak not in photos.setdefault(pair.person, []):
                photos[pair.person].append(pair.peak)
    return [PersonPhotos(person, tuple(paths)) for person, paths in photos.items()]


def find_portraits(
    folders: Iterable[Path], *, person_from: str = "file", exclude: Sequence[str] = ()
) -> list[PhotoItem]:
    """The photos of ``folders`` and their sub-folders, by name; of photo pairs only the neutral ones.

    ``person_from`` is ``"file"`` (each photo shows another person) or ``"folder"`` (each folder holds one person). File
    names that match a pattern of ``exclude`` (``Occlusion*``) are passed over. Raises InputError for a folder without
    photos.
    """
    items = []
    for folder in map(_existing, folders):
        pairs = {place for place in _folders(folder) if place.name in NEUTRAL_FOLDERS}
        peaks = {place.parent / name for place in pairs for name in PEAK_FOLDERS}
        paths = [path for path in _photos(folder, deep=True) if path.parent not in peaks]
        paths = [path for path in paths if not any(fnmatchcase(path.name, pattern) for pattern in exclude)]
        if not paths:
            raise InputError(f"{folder}: holds no photos", "Name a folder with JPEG or PNG portraits.")
        for path in paths:
            items.append(PhotoItem(_key(path, folder), _person(path, folder, person_from), path))
    return items


def find_pairs(folders: Iterable[Path]) -> list[PairItem]:
    """Neutral and peak photos of the same person, matched by name.

    Knows ``neutral/NNN.jpg`` beside ``smile/NNN.jpg`` (or the name of another expression), and the London set's
    ``neutral_front/001_03.jpg`` beside ``smiling_front/001_08.jpg``. A photo without its partner becomes an item with a
    problem. Raises InputError for another layout.
    """
    items = []
    for folder in map(_existing, folders):
        found = _pairs(folder)
        if not found:
            raise InputError(
                f"{folder}: no photo pairs",
                "Expected are folders neutral and smile with the same file names, or neutral_front and smiling_front.",
            )
        items += found
    return items


def _pairs(folder: Path) -> list[PairItem]:
    neutral_folders = [place for place in _folders(folder)[1:] if place.name in NEUTRAL_FOLDERS]
    found = [(place, place.parent / name) for place in neutral_folders for name in PEAK_FOLDERS]
    return [
        item
        for neutral, peak in found
        if peak.is_dir()
        for item in _matched(folder, neutral, peak, PEAK_FOLDERS[peak.name])
    ]


def _matched(folder: Path, neutral: Path, peak: Path, expression: str) -> list[PairItem]:
    sides: dict[str, dict[Path, Path]] = defaultdict(dict)
    for side in (neutral, peak):
        for path in _photos(side, deep=False):
            london = _LONDON_NAME.fullmatch(path.stem)
            sides[london[1] if london else path.stem][side] = path
    items = []
    for stem, paths in sorted(sides.items()):
        path = paths.get(neutral) or paths[peak]
        problem = "" if len(paths) == 2 else f"no photo in {(peak if neutral in paths else neutral).name} for {stem}"
        items.append(
            PairItem(
                key=f"{_key(path, folder)} + {peak.name}",
                person=_person(path, folder, "file"),
                neutral=paths.get(neutral, path),
                peak=paths.get(peak, path),
                expression=expression,
                problem=problem,
            )
        )
    return items


def _person(path: Path, folder: Path, person_from: str) -> str:
    """Id of the person."""
    london = _LONDON_NAME.fullmatch(path.stem)
    if london and path.parent.name in (*NEUTRAL_FOLDERS, *PEAK_FOLDERS):
        return f"london-{london[1]}"
    below = path.resolve().relative_to(folder.resolve().parent)
    for part in reversed(path.resolve().parts[-3:-1]):
        if part in _KNOWN_FOLDERS and _has_known_company(path, part):
            return f"{_KNOWN_FOLDERS[part]}-{path.stem}"
    parts = [part for part in below.with_suffix("").parts if part not in (*NEUTRAL_FOLDERS, *PEAK_FOLDERS)]
    if person_from == "folder" and len(parts) > 2:
        parts = parts[:-1]
    return "-".join(parts)


def _has_known_company(path: Path, part: str) -> bool:
    """Whether a folder called ``part`` lies beside another known set or this project's landmarks, and is no user's
    folder of that name."""
    place = next(parent for parent in path.resolve().parents if parent.name == part).parent
    return (place / "landmarks.npz").is_file() or sum((place / name).is_dir() for name in _KNOWN_FOLDERS) > 1


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder", "Check the path.")
    return folder


def _folders(folder: Path) -> list[Path]:
    return [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]


def _photos(folder: Path, *, deep: bool) -> list[Path]:
    paths = folder.rglob("*") if deep else folder.glob("*")
    return sorted(p for p in paths if p.suffix.lower() in PHOTO_SUFFIXES and p.is_file() and not p.name.startswith("."))


def _key(path: Path, folder: Path) -> str:
    return (Path(folder.resolve().name) / path.relative_to(folder)).as_posix()
