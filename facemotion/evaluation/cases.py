"""What is evaluated: one photo and one expression, with real frames to compare with where the data has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemotion.datasets.clip_writer import Source
from facemotion.datasets.layouts import NEUTRAL_FOLDERS
from facemotion.datasets.splits import Splits
from facemotion.errors import InputError, MissingFileError, UsageError
from facemotion.evaluation.alignment import head_similarity
from facemotion.faces.geometry import apply, photo_to_crop, warp_crop

if TYPE_CHECKING:
    from facemotion.datasets.clip import Clip
    from facemotion.datasets.clips import ClipSet
    from facemotion.datasets.layouts import PairItem
    from facemotion.datasets.sequences import SequenceItem

CROP_PX = 512
MIXED = "mixed"
"""The group of cases that show several expressions at once."""

CKPLUS_FRAMES = 8
"""At most so many frames of a CK+ sequence are compared, evenly spread, the peak among them."""

OWN = Source("own photos", "")
"""What is not of a known set."""

Locate = Callable[[np.ndarray], "np.ndarray | None"]
"""Landmarks (68, 2) px of the largest face of an RGB uint8 image, or None where there is none."""


@dataclass(frozen=True)
class CasePixels:
    """The pixels of a case.

    ``source`` uint8 (N, N, 3) crop of the photo, ``landmarks`` (68, 2) px in it; ``truth`` real frames of the same
    size with the control value of each; ``photo`` and ``photo_landmarks`` the whole photo where there is one.
    """

    source: np.ndarray
    landmarks: np.ndarray
    truth: tuple[tuple[float, np.ndarray], ...] = ()
    photo: np.ndarray | None = None
    photo_landmarks: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """One photo with one expression; the pixels are read when they are needed.

    ``read`` raises InputError where they cannot be used, with the reason.
    """

    id: str
    person: str
    kind: str
    """Where the frames to compare with come from: ``photo-pairs``, ``ckplus``, or a clip set's ``clips``, ``ckplus``,
    ``pairs`` and ``teacher`` (the last two are rendered, from photos and from a 3-D head); ``photo`` has none."""
    expression: dict[str, float]
    """Weight of each expression at control 1."""
    read: Callable[[], CasePixels] = field(repr=False, compare=False)
    split: str
    """``train`` or ``validation``, by person."""

    @property
    def title(self) -> str:
        """``smile`` or ``smile 0.70 + surprise 0.30``."""
        if len(self.expression) == 1 and set(self.expression.values()) == {1.0}:
            return next(iter(self.expression))
        return " + ".join(f"{name} {weight:.2f}" for name, weight in self.expression.items())

    @property
    def group(self) -> str:
        """The expression under which the case is counted: its name, or ``mixed``."""
        names = [name for name, weight in self.expression.items() if weight > 0]
        return names[0] if len(names) == 1 else MIXED


def find_cases(
    paths: Sequence[str | Path],
    *,
    known: Sequence[str],
    locate: Locate,
    expressions: Sequence[str] | None = None,
    split: str | None = None,
) -> list[Case]:
    """The cases of clip sets, folders of photo pairs, CK+ copies and folders of photos.

    A folder with ``manifest.json`` is a clip set; one with ``cohn-kanade-images`` a copy of CK+; one with ``neutral``
    beside folders named after expressions holds pairs of photos of the same file name; any other folder, or photo
    file, gives one case for each photo and expression. ``known`` names the model's expressions, ``expressions`` the
    wanted ones; ``split`` keeps the people of ``train`` or ``validation``. Raises InputError where nothing is left.
    """
    wanted = list(expressions or known)
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"The model knows no {', '.join(unknown)}.", f"It knows {', '.join(known)}.")
    cases: list[Case] = []
    for path in map(Path, paths):
        if not path.exists():
            raise MissingFileError(f"No such file or folder: {path}", "Check the name.")
        cases += _cases_of(path, known, wanted, locate)
    found = len(cases)
    cases = [case for case in cases if split in (None, case.split) and _is_wanted(case, expressions, known)]
    if found and not cases:
        raise InputError(
            f"None of {found} cases is of the wanted split and expressions.", "Leave out --split or --expr."
        )
    if not cases:
        raise InputError(
            f"Nothing to evaluate in {', '.join(map(str, paths))}.",
            "Give a clip set, a folder of pairs (neutral/, smile/ ...), a copy of CK+, or a folder of photos.",
        )
    return cases


def _is_wanted(case: Case, expressions: Sequence[str] | None, known: Sequence[str]) -> bool:
    return case.group in (expressions or (*known, MIXED))


def _cases_of(path: Path, known: Sequence[str], wanted: list[str], locate: Locate) -> list[Case]:
    if (path / "manifest.json").is_file():
        return _clip_cases(path, known)
    if any(path.glob("cohn-kanade-images")) or any(path.glob("*/cohn-kanade-images")):
        return _ckplus_cases(path, locate)
    if any((path / name).is_dir() for name in NEUTRAL_FOLDERS):
        return _pair_cases(path, locate)
    return _photo_cases(path, wanted, locate)


def draw_cases(cases: list[Case], limit: int | None, *, seed: int) -> list[Case]:
    """``limit`` of the cases (None: all), drawn from every expression in turn, in their old order.

    The same ones for the same seed.
    """
    if limit is None:
        return cases
    order = np.random.default_rng(seed).permutation(len(cases))
    queues: dict[str, list[int]] = {}
    for i in order:
        queues.setdefault(cases[i].group, []).append(int(i))
    ranked = sorted((rank, group, i) for group, queue in queues.items() for rank, i in enumerate(queue))
    return [cases[i] for i in sorted(i for _, _, i in ranked[:limit])]


def _clip_cases(path: Path, known: Sequence[str]) -> list[Case]:
    from facemotion.datasets.clips import ClipSet

    clips = ClipSet.open(path)
    return [
        Case(e.id, e.person, e.origin, dict(e.expression), partial(_clip_at, clips, i), e.split)
        for i, e in enumerate(clips.entries)
        if set(e.expression) <= set(known)
    ]


def _clip_at(clips: ClipSet, i: int) -> CasePixels:
    return clip_pixels(clips[i])


def clip_pixels(clip: Clip) -> CasePixels:
    """A clip's frames, in order of their control; frame 0 is the source."""
    order = sorted((k for k in range(1, len(clip)) if clip.control[k] > 0), key=lambda k: clip.control[k])
    truth = tuple((float(clip.control[k]), clip.frame(k)) for k in order)
    return CasePixels(source=clip.frame(0), landmarks=clip.landmarks[0], truth=truth)


def _ckplus_cases(path: Path, locate: Locate) -> list[Case]:
    """The labelled sequences. The control of a frame is its share of the way through the sequence: the set has none."""
    from facemotion.datasets.ckplus import find_ckplus
    from facemotion.datasets.sequences import read_frames

    def read(item: SequenceItem) -> CasePixels:
        frames = read_frames(item, CKPLUS_FRAMES)
        _, _, photo = next(frames)
        landmarks = _located(photo, item.key, locate)
        source, in_crop = _crop(photo, landmarks)
        truth = []
        for position, _, frame in frames:
            to_crop = head_similarity(_located(frame, item.key, locate), in_crop)
            truth.append((position, warp_crop(frame, to_crop, CROP_PX)))
        return CasePixels(source, in_crop, tuple(truth), photo, landmarks)

    return [
        _case(item.key, item.person, "ckplus", item.expression, partial(read, item))
        for item in find_ckplus(path)
        if not item.problem
    ]


def _pair_cases(path: Path, locate: Locate) -> list[Case]:
    from facemotion.datasets.layouts import find_pairs
    from facemotion.media.photos import read_photo

    def read(item: PairItem) -> CasePixels:
        photo, peak = read_photo(item.neutral).pixels, read_photo(item.peak).pixels
        landmarks = _located(photo, item.neutral, locate)
        source, in_crop = _crop(photo, landmarks)
        to_crop = head_similarity(_located(peak, item.peak, locate), in_crop)
        return CasePixels(source, in_crop, ((1.0, warp_crop(peak, to_crop, CROP_PX)),), photo, landmarks)

    items = [item for item in find_pairs([path], own_source=OWN) if not item.problem]
    return [_case(f"{i.person}-{i.expression}", i.person, "photo-pairs", i.expression, partial(read, i)) for i in items]


def _photo_cases(path: Path, wanted: list[str], locate: Locate) -> list[Case]:
    from facemotion.datasets.layouts import find_portraits
    from facemotion.media.photos import read_photo

    def read(photo_path: Path) -> CasePixels:
        photo = read_photo(photo_path).pixels
        landmarks = _located(photo, photo_path, locate)
        return CasePixels(*_crop(photo, landmarks), (), photo, landmarks)

    if path.is_file():
        found = [(path.stem, path)]
    else:
        found = [(item.person, item.path) for item in find_portraits([path], own_source=OWN) if not item.problem]
    return [
        _case(f"{person}-{name}", person, "photo", name, partial(read, photo))
        for person, photo in found
        for name in wanted
    ]


def _case(key: str, person: str, kind: str, expression: str, read: Callable[[], CasePixels]) -> Case:
    from facemotion.datasets.clip import clean_id

    return Case(clean_id(key), person, kind, {expression: 1.0}, read, Splits().split_of(person))


def _located(photo: np.ndarray, name: object, locate: Locate) -> np.ndarray:
    landmarks = locate(photo)
    if landmarks is None:
        raise InputError(f"{name}: no face found.")
    return landmarks


def _crop(photo: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The face's crop and the landmarks in it."""
    to_crop = photo_to_crop(landmarks, CROP_PX)
    return warp_crop(photo, to_crop, CROP_PX), apply(to_crop, landmarks)
