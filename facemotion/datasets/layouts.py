"""Where the photos of a data set lie: this project's data folder, the sets as their authors publish them, any folder.

Nothing is read here but names; what does not fit is an item with a ``problem``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from facemotion.datasets.clip_writer import Source
from facemotion.errors import InputError, MissingFileError
from facemotion.expressions.grammar import EXPRESSIONS
from facemotion.media.photos import PHOTO_SUFFIXES

LONDON = Source(
    "Face Research Lab London Set",
    "CC-BY-4.0",
    "DeBruine, L. & Jones, B. (2017), figshare, doi 10.6084/m9.figshare.5047666.v5",
)
CANADA = Source(
    "Young Adult White Faces with Manipulated Versions",
    "CC-BY-4.0",
    "DeBruine, L. & Jones, B. (2017), figshare, doi 10.6084/m9.figshare.4220517.v1",
)
PORTRAITS = Source("SFHQ-T2I", "MIT", "© 2024 David Beniaguev")

NEUTRAL_FOLDERS = ("neutral", "neutral_front")
PEAK_FOLDERS = {"smiling_front": "smile", **{name: name for name in EXPRESSIONS}}
"""Folder beside the neutral one -> the expression that its photos show."""

_KNOWN_FOLDERS = {"london": ("london", LONDON), "canada": ("canada", CANADA), "portraits": ("portrait", PORTRAITS)}
# 001_03.jpg, 001_08.jpg: the person's number, then the pose and expression
_LONDON_NAME = re.compile(r"(\d{3})_(?:03|08)$")


@dataclass(frozen=True)
class PhotoItem:
    """A portrait to render clips from."""

    key: str
    """Path below the folder that was named, that folder's name included; the same wherever the folder lies."""
    person: str
    path: Path
    source: Source
    problem: str = ""


@dataclass(frozen=True)
class PairItem:
    """Two photos of one person: neutral, and at the peak of an expression."""

    key: str
    person: str
    neutral: Path
    peak: Path
    expression: str
    source: Source
    problem: str = ""


def find_portraits(
    folders: Iterable[Path], *, own_source: Source, person_from: str = "file", exclude: Sequence[str] = ()
) -> list[PhotoItem]:
    """The photos of ``folders`` and their sub-folders, by name; of photo pairs only the neutral ones.

    ``own_source`` says where photos that belong to no known set come from. ``person_from`` is ``"file"`` (each photo
    shows another person) or ``"folder"`` (each folder holds one person). File names that match a pattern of
    ``exclude`` (``Occlusion*``) are passed over. Raises InputError for a folder without photos.
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
            person, source = _person(path, folder, own_source, person_from)
            items.append(PhotoItem(_key(path, folder), person, path, source))
    return items


def find_pairs(folders: Iterable[Path], *, own_source: Source, expression: str | None = None) -> list[PairItem]:
    """Neutral and peak photos of the same person, matched by name.

    Knows ``neutral/NNN.jpg`` beside ``smile/NNN.jpg`` (or the name of another expression), and the London set's
    ``neutral_front/001_03.jpg`` beside ``smiling_front/001_08.jpg``. With ``expression``, a folder of that name
    counts too. A photo without its partner becomes an item with a problem. Raises InputError for another layout.
    """
    known = PEAK_FOLDERS | ({expression: expression} if expression else {})
    items = []
    for folder in map(_existing, folders):
        neutral_folders = [place for place in _folders(folder)[1:] if place.name in NEUTRAL_FOLDERS]
        found = [(place, place.parent / name) for place in neutral_folders for name in known]
        found = [(neutral, peak) for neutral, peak in found if peak.is_dir()]
        if not found:
            raise InputError(
                f"{folder}: no photo pairs",
                "Expected are folders neutral and smile with the same file names, or neutral_front and smiling_front.",
            )
        for neutral, peak in found:
            items += _matched(folder, neutral, peak, known[peak.name], own_source)
    return items


def _matched(folder: Path, neutral: Path, peak: Path, expression: str, own_source: Source) -> list[PairItem]:
    sides: dict[str, dict[Path, Path]] = defaultdict(dict)
    for side in (neutral, peak):
        for path in _photos(side, deep=False):
            london = _LONDON_NAME.fullmatch(path.stem)
            sides[london[1] if london else path.stem][side] = path
    items = []
    for stem, paths in sorted(sides.items()):
        path = paths.get(neutral) or paths[peak]
        person, source = _person(path, folder, own_source, "file")
        problem = "" if len(paths) == 2 else f"no photo in {(peak if neutral in paths else neutral).name} for {stem}"
        items.append(
            PairItem(
                key=f"{_key(path, folder)} + {peak.name}",
                person=person,
                neutral=paths.get(neutral, path),
                peak=paths.get(peak, path),
                expression=expression,
                source=source,
                problem=problem,
            )
        )
    return items


def _person(path: Path, folder: Path, own_source: Source, person_from: str) -> tuple[str, Source]:
    """Id of the person and the set that the photo belongs to."""
    london = _LONDON_NAME.fullmatch(path.stem)
    if london and path.parent.name in (*NEUTRAL_FOLDERS, *PEAK_FOLDERS):
        return f"london-{london[1]}", LONDON
    below = path.resolve().relative_to(folder.resolve().parent)
    for part in reversed(path.resolve().parts[-3:-1]):
        if part in _KNOWN_FOLDERS and _has_known_company(path, part):
            name, source = _KNOWN_FOLDERS[part]
            return f"{name}-{path.stem}", source
    parts = [part for part in below.with_suffix("").parts if part not in (*NEUTRAL_FOLDERS, *PEAK_FOLDERS)]
    if person_from == "folder" and len(parts) > 2:
        parts = parts[:-1]
    return "-".join(parts), own_source


def _has_known_company(path: Path, part: str) -> bool:
    """Whether a folder called ``part`` lies in this project's data folder, and is no user's folder of that name."""
    place = next(parent for parent in path.resolve().parents if parent.name == part)
    return (place.parent / "landmarks.npz").is_file()


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
