"""From one person's pictures to samples: photographs, and recordings from a neutral face to an expression."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from facemotion.datasets.layouts import PersonPhotos
from facemotion.datasets.photo_samples import MeasuredPhoto, back_sample, pair_sample, random_control, still_sample
from facemotion.datasets.samples import Sample
from facemotion.datasets.sequences import Recording, read_frames
from facemotion.datasets.single_face import measured_face, read_pixels
from facemotion.datasets.splits import Splits
from facemotion.errors import InputError
from facemotion.expressions.units import UNIT_NAMES
from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.faces.types import Face
from facemotion.media.atomic import replaced
from facemotion.media.records import Arrays, MalformedError, numbers
from facemotion.rendering.face import FaceRenderer

EXPRESSIVE = 1.2
"""Sum of a face's units, gaze left out, from which its photo shows an expression."""
HALFWAY = (0.15, 0.5), (0.4, 0.8)
"""Where between both photos of a pair the frames part of the way lie."""
BACK_DRAWS = 2
"""Samples of each photo in which the renderer has changed its expression."""
STILL_SHARE = 0.3
"""Of the photos, those that also give a frame of random units."""
FAINTEST = 0.15
"""Largest unit of a control from which two frames of a recording differ."""
_GAZE = np.array([name.startswith(("eyeLook", "tongue")) for name in UNIT_NAMES])


class Person(Protocol):
    """Somebody whose pictures become samples; travels to worker processes."""

    @property
    def person(self) -> str:
        """Splits go by it."""

    @property
    def key(self) -> str:
        """What it is called in reports."""

    def samples(self, *, size_px: int) -> Iterator[Sample]:
        """Raises InputError with the reason where there are none, or no more."""


@dataclass(frozen=True, eq=False)
class MeasuredFile:
    """What the landmarker says of one photo."""

    path: Path
    landmarks: np.ndarray
    """(478, 2) photo px."""
    scores: np.ndarray
    """(52,) in [0, 1]."""

    def crop(self, person: str, size_px: int) -> MeasuredPhoto:
        """Its upright crop."""
        return cropped(person, read_pixels(self.path), self.landmarks, self.scores, size_px=size_px)


@dataclass(frozen=True, eq=False)
class MeasuredPerson:
    """One person's photos; the first is the neutral one where there are several."""

    person: str
    photos: tuple[MeasuredFile, ...]
    expressive: np.ndarray
    """(n, 52) scores of faces that show something, from which a neutral one is lent an expression."""

    @property
    def key(self) -> str:
        return self.person

    @property
    def strength(self) -> float:
        """How much of an expression the first photo shows."""
        return shown(self.photos[0].scores)

    def samples(self, *, size_px: int) -> Iterator[Sample]:
        generator = np.random.default_rng(list(self.person.encode()))
        crops = [photo.crop(self.person, size_px) for photo in self.photos]
        seeds = generator.integers(1 << 30, size=len(crops) + 1).tolist()
        attempts = _Attempts()
        renderers = [attempts.renderer(crop, seed) for crop, seed in zip(crops, seeds, strict=False)]
        for first, second in (pair for other in range(1, len(crops)) for pair in ((0, other), (other, 0))):
            for share in (1.0, *(float(generator.uniform(*between)) for between in HALFWAY)):
                source = renderers[first]
                if source is not None:
                    with attempts:
                        yield pair_sample(crops[first], crops[second], share=share, renderer=source)
        for crop, renderer in zip(crops, renderers, strict=True):
            if renderer is None:
                continue
            own = renderer.rig.fit.units.astype(np.float32)
            for draw, other in enumerate(self._others(crop, generator)):
                away = np.where(_GAZE, 0, other - own).astype(np.float32)
                with attempts:
                    yield back_sample(crop, away, seed=seeds[-1] + draw, renderer=renderer)
            if generator.random() < STILL_SHARE:
                with attempts:
                    control = random_control(own, renderer.rig.head.unit_names, generator)
                    yield still_sample(crop, control, renderer=renderer)
        attempts.check()

    def _others(self, photo: MeasuredPhoto, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """(52,) units of `BACK_DRAWS` expressions to which the renderer brings a photo: of one that shows something
        first none; the others are lent, where there is anybody to lend them."""
        lent = BACK_DRAWS if len(self.expressive) else 0
        if shown(photo.scores) > EXPRESSIVE or not lent:
            yield np.zeros(len(UNIT_NAMES), np.float32)
            lent -= 1
        for _ in range(lent):
            scores = self.expressive[generator.integers(len(self.expressive))]
            yield np.clip(generator.uniform(0.7, 1.3) * scores, 0, 1)


@dataclass(frozen=True)
class RecordedPerson:
    """A recording that begins with a neutral face: its first frame and later ones of the same person as pairs."""

    recording: Recording
    frames: int
    """Later frames that are taken, at most, evenly spread to the last one."""

    @property
    def person(self) -> str:
        return self.recording.person

    @property
    def key(self) -> str:
        return self.recording.key

    def samples(self, *, size_px: int) -> Iterator[Sample]:
        if self.recording.problem:
            raise InputError(self.recording.problem)
        crops = [
            cropped(self.person, pixels, face.require_points()[:, :2], face.require_scores(), size_px=size_px)
            for pixels, face in _faces(read_frames(self.recording, self.frames + 1))
        ]
        if len(crops) < 2:
            raise InputError("no later frame shows a face")
        attempts = _Attempts()
        first, *later = crops
        renderer = first.renderer(0)
        for number, other in enumerate(later, 1):
            renderer_of_other = attempts.renderer(other, number)
            if renderer_of_other is None:
                continue
            with attempts:
                forth = pair_sample(first, other, renderer=renderer)
                if np.abs(forth.control).max() < FAINTEST:
                    raise InputError("no visible expression")
                yield forth
                yield pair_sample(other, first, renderer=renderer_of_other)
            if number == len(later) and attempts.made:
                away = np.where(_GAZE, 0, -renderer_of_other.rig.fit.units)
                with attempts:
                    yield back_sample(other, away.astype(np.float32), seed=number, renderer=renderer_of_other)
        attempts.check()


class _Attempts:
    """A ``with`` block that makes samples or ends in InputError; a person fails where every block does."""

    def __init__(self) -> None:
        self.made = False
        self._reason = "no samples"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> bool:
        if isinstance(error, InputError):
            self._reason = error.message
            return True
        self.made = self.made or error is None
        return False

    def renderer(self, photo: MeasuredPhoto, seed: int) -> FaceRenderer | None:
        """The photo ready to be rendered; None where no head fits it."""
        try:
            return photo.renderer(seed)
        except InputError as error:
            self._reason = error.message
            return None

    def check(self) -> None:
        """Raises InputError where nothing was made."""
        if not self.made:
            raise InputError(self._reason)


def _faces(frames: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, Face]]:
    """Frames with their face; the first must show one, later ones without are passed over."""
    for number, pixels in enumerate(frames):
        try:
            yield pixels, measured_face(pixels)
        except InputError:
            if number == 0:
                raise


def cropped(
    person: str, image: np.ndarray, landmarks: np.ndarray, scores: np.ndarray, *, size_px: int
) -> MeasuredPhoto:
    """The upright crop of a measured face: image (H, W, 3) uint8, landmarks (478, 2) px of it, scores (52,)."""
    to_crop = geometry.photo_to_crop(landmarks[list(FROM_FACE_MESH)], size_px)
    crop = geometry.warp_crop(image, to_crop, size_px)
    return MeasuredPhoto(person, crop, geometry.apply(to_crop, landmarks), scores)


def shown(scores: np.ndarray) -> float:
    """Sum of the scores (52,) of a face, gaze left out."""
    return float(sum(s for s, name in zip(scores, UNIT_NAMES, strict=True) if not name.startswith("eyeLook")))


@dataclass(frozen=True)
class Measurements:
    """What the landmarker says of many photos."""

    files: dict[Path, MeasuredFile]
    problems: dict[Path, str]


def measure(people: Sequence[PersonPhotos], cache: Path, *, watch: Callable[[], None] | None = None) -> Measurements:
    """The photos in which the landmarker sees one face; kept in ``cache`` (npz). ``watch`` is called at every photo.

    Raises InputError for a damaged cache.
    """
    paths = [path for person in people for path in person.photos]
    if not cache.exists():
        landmarks = np.full((len(paths), 478, 2), np.nan, np.float32)
        scores = np.full((len(paths), len(UNIT_NAMES)), np.nan, np.float32)
        problems = []
        for row, path in enumerate(paths):
            try:
                face = measured_face(read_pixels(path))
                landmarks[row], scores[row] = face.require_points()[:, :2], face.require_scores()
                problems.append("")
            except InputError as error:
                problems.append(error.message)
            if watch is not None:
                watch()
        with replaced(cache) as file:
            np.savez(file, landmarks=landmarks, scores=scores, problems=np.array(problems, str))
    try:
        with Arrays(cache) as arrays:
            seen = np.array([not str(problem) for problem in arrays["problems"]])
            landmarks, scores = arrays["landmarks"], arrays["scores"]
            numbers(landmarks[seen], (None, 478, 2), "landmarks")
            numbers(scores[seen], (None, len(UNIT_NAMES)), "scores")
            rows = zip(paths, landmarks, scores, arrays["problems"], strict=True)
            found = [(MeasuredFile(path, points, units), str(problem)) for path, points, units, problem in rows]
    except (OSError, MalformedError, ValueError) as error:
        raise InputError(f"{cache} is damaged ({error})", "Remove it and run the same command again.") from error
    return Measurements(
        {each.path: each for each, problem in found if not problem},
        {each.path: problem for each, problem in found if problem},
    )


def measured_people(people: Sequence[PersonPhotos], measured: Measurements) -> list[MeasuredPerson]:
    """The people with photos that show a face: pairs first and strong expressions before faint ones, so that a
    training may start on what is there."""
    files = measured.files
    expressive = [each.scores for each in files.values() if shown(each.scores) > EXPRESSIVE]
    pool = np.stack(expressive) if expressive else np.zeros((0, len(UNIT_NAMES)), np.float32)
    found = [
        MeasuredPerson(person.person, tuple(files[path] for path in person.photos if path in files), pool)
        for person in people
    ]
    return sorted(
        (each for each in found if each.photos), key=lambda each: (len(each.photos) < 2, -each.strength, each.person)
    )


def trained_pairs(people: Sequence[MeasuredPerson], splits: Splits, *, size_px: int) -> Iterator[list[MeasuredPhoto]]:
    """The crops of both photos of everybody who has two and is trained on; who cannot be read is left out."""
    for person in people:
        if len(person.photos) == 2 and splits.split_of(person.person) == "train":
            with suppress(InputError):
                crops = [photo.crop(person.person, size_px) for photo in person.photos]
                yield crops


def recorded_people(recordings: Sequence[Recording], *, frames: int) -> list[RecordedPerson]:
    """The recordings, as many together as show one person."""
    return [RecordedPerson(recording, frames) for recording in sorted(recordings, key=lambda r: (r.person, r.key))]
