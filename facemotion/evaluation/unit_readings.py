"""Units as several instruments read them in frames whose units were asked, and in landmarks that were moved alone.

- ``network``: the landmarker's scores, those of its blendshape network.
- ``calibrated``: the same through the maps of `landmarker.calibration`, as `Face.units` has them.
- ``tracked``: as driving videos are read (`faces.unit_reader`), by a network that learnt on such frames of others.
- ``landmarks``: the package's head fitted to the landmarks (`landmark_units`).
- ``pixels``: the same head fitted to where optical flow finds the pixels of the face at rest, without the landmarker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import cv2
import numpy as np

from facemotion.evaluation.landmark_units import LandmarkReader, encoded_anew
from facemotion.evaluation.unit_scores import (
    LEVELS,
    WORDS,
    Instrument,
    correlation,
    excess,
    indices,
    mean_known,
    target,
    unit_score,
)
from facemotion.expressions.units import UNIT_COUNT
from facemotion.faces import geometry
from facemotion.faces.types import Face
from facemotion.faces.unit_reader import unit_reader

INSTRUMENTS = ("network", "calibrated", "tracked", "landmarks", "pixels")
TRACK_FRAMES, TRACK_UNITS, TRACK_MOST = 25, 12, 0.7
COMPANIONS = {"mouthClose": "jawOpen"}
"""What a unit needs to mean anything: it is asked with as much of that, and read against that alone."""

Look = Callable[[np.ndarray], "Shown"]
"""Shows units (52,) in a frame and reads the face in it."""
T = TypeVar("T")
Track = tuple[list[str], np.ndarray]
"""Words, and the strength of each in every frame (frames, words)."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A frame (H, W, 3) uint8 and the face in it as the landmarker reads it; None where it sees none."""

    frame: np.ndarray
    face: Face | None


@dataclass
class UnitReadings:
    """Readings of the people measured so far, by word: changes (levels, instruments, 52) against rest."""

    sweeps: dict[str, list[np.ndarray]] = field(default_factory=dict)
    ideals: dict[str, list[np.ndarray]] = field(default_factory=dict)
    tracks: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """By word: correlation of asked and read, (instruments,)."""
    variances: list[np.ndarray] = field(default_factory=list)
    """Of each person's readings (instruments, 52), over versions of the unchanged photo."""

    def add(self, face: Face, photo: np.ndarray, look: Look, track: Track) -> None:
        """Measure one more person, whose face in a photo (H, W, 3) uint8 the landmarker has read."""
        reader = LandmarkReader.on(face)
        move, rest = partial(_moved, reader), look(target())
        for word in WORDS:
            self.sweeps.setdefault(word, []).append(_sweep(word, look, partial(changes, reader), rest))
            ideal = _sweep(word, move, partial(_ideal, reader), move(target()))
            self.ideals.setdefault(word, []).append(ideal)
        self.variances.append(_scatter(reader, photo) ** 2)
        words, strengths = track
        shown = [look(target(**dict(zip(words, row, strict=True)))) for row in strengths]
        read = np.stack([changes(reader, seen, rest) for seen in shown])
        for column, word in enumerate(words):
            values = read[:, :, indices(word)].mean(2)
            found = np.array([correlation(strengths[:, column], each) for each in values.T])
            self.tracks.setdefault(word, []).append(found)

    def instruments(self) -> dict[str, Instrument]:
        """What each of `INSTRUMENTS` says."""
        scatter = np.sqrt(mean_known(np.stack(self.variances), axis=0))
        return {
            name: Instrument(
                units=tuple(unit_score(word, np.stack(found)[:, :, place]) for word, found in self.sweeps.items()),
                ideal=tuple(unit_score(word, np.stack(found)[:, :, place]) for word, found in self.ideals.items()),
                excess=tuple(
                    excess(word, np.stack(found)[:, :, place], np.stack(self.ideals[word])[:, :, place])
                    for word, found in self.sweeps.items()
                ),
                scatter=tuple(float(scatter[place, indices(word)].mean()) for word in self.sweeps),
                reenacted=self._reenacted(place),
            )
            for place, name in enumerate(INSTRUMENTS)
        }

    def _reenacted(self, place: int) -> dict[str, tuple[float, int]]:
        by_word = {word: np.array(found)[:, place] for word, found in self.tracks.items()}
        known = {word: values[np.isfinite(values)] for word, values in by_word.items()}
        return {word: (float(values.mean()), len(values)) for word, values in known.items() if len(values)}


def _sweep(word: str, show: Callable[[np.ndarray], T], change: Callable[[T, T], np.ndarray], rest: T) -> np.ndarray:
    """(levels, instruments, 52) changes under a word at `LEVELS`, against rest or against its companion alone."""
    found = []
    for level in LEVELS:
        beside = {COMPANIONS[word]: level} if word in COMPANIONS else {}
        without = show(target(**beside)) if beside else rest
        found.append(change(show(target(**beside, **{word: level})), without))
    return np.stack(found)


def changes(reader: LandmarkReader, shown: Shown, rest: Shown) -> np.ndarray:
    """(instruments, 52) by how much each says that a face differs from itself at rest; nan where it was not seen."""
    if shown.face is None or rest.face is None:
        return np.full((len(INSTRUMENTS), UNIT_COUNT), math.nan)
    points = rest.face.require_points()
    pixels = reader.read(reader.carried(points, rest.frame, shown.frame), points)
    return np.vstack([_by_landmarks(reader, shown.face, rest.face), pixels])


def _by_landmarks(reader: LandmarkReader, face: Face, rest: Face) -> np.ndarray:
    """(instruments - 1, 52) the same by those instruments that need no pixels."""
    assert face.units is not None and rest.units is not None
    scores, units = face.require_scores() - rest.require_scores(), face.units - rest.units
    tracker = unit_reader()
    tracked = tracker.changes(tracker.row(face)[None], tracker.row(rest))[0]
    landmarks = reader.read(face.require_points(), rest.require_points())
    return np.stack([scores, units, tracked, landmarks]).astype(np.float64)


def _ideal(reader: LandmarkReader, face: Face, rest: Face) -> np.ndarray:
    """(instruments, 52) the same of a face whose landmarks were moved without a picture; pixels would go along."""
    read = _by_landmarks(reader, face, rest)
    return np.vstack([read, read[-1:]])


def _moved(reader: LandmarkReader, units: np.ndarray) -> Face:
    """The photo's face with its landmarks where the head takes them at the units (52,), and their scores."""
    from facemotion.faces.mesh import landmarker

    points = reader.moved(units)
    return replace(reader.face, points=points, scores=landmarker().scores_of(points))


def _scatter(reader: LandmarkReader, photo: np.ndarray) -> np.ndarray:
    """(instruments, 52) standard deviations of what is read in versions of a photo that show nothing new."""
    from facemotion.faces.mesh import landmarker

    read = []
    for picture, to_picture in encoded_anew(photo, seed=0):
        seen = landmarker().follow(picture, reader.face.require_points())
        if seen is not None:
            back = geometry.invert(to_picture)
            points = seen.require_points().copy()
            points[:, :2] = geometry.apply(back, points[:, :2])
            size = photo.shape[1::-1]
            laid = cv2.warpAffine(picture, back, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            read.append(changes(reader, Shown(laid, replace(seen, points=points)), Shown(photo, reader.face)))
    return np.std(read, axis=0) if read else np.full((len(INSTRUMENTS), UNIT_COUNT), math.nan)


def random_track(seed: Sequence[int]) -> tuple[list[str], np.ndarray]:
    """`TRACK_UNITS` words and their strengths (`TRACK_FRAMES`, `TRACK_UNITS`): smooth ways between random values."""
    source = np.random.default_rng(list(seed))
    words = [WORDS[place] for place in sorted(source.choice(len(WORDS), TRACK_UNITS, replace=False))]
    knots = source.uniform(0, TRACK_MOST, (5, TRACK_UNITS))
    place = np.linspace(0, len(knots) - 1, TRACK_FRAMES)
    before = np.minimum(place.astype(int), len(knots) - 2)
    way = (place - before)[:, None]
    return words, knots[before] + (knots[before + 1] - knots[before]) * way * way * (3 - 2 * way)
