"""How well units are read as asked: numbers from readings of one instrument, over people and strengths."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facemotion.expressions.units import UNIT_COUNT, UNIT_INDEX, UNIT_NAMES, parse_unit, words_for

LEVELS = (0.2, 0.4, 0.6, 0.8)
"""Strengths at which a unit is asked; with rest, five levels over which its reading should never fall."""
STRENGTHS = (0.4, 0.8)
"""Of these, those by which gain and cross-talk are measured."""
WORDS = tuple(word for word in words_for(UNIT_NAMES) if word != "tongueOut")
"""What is asked, both sides of a pair together; the head has no tongue."""
GOOD_CORRELATION = 0.85
"""At which a unit counts as shown as asked."""
_FALL = 0.01  # a reading that falls by less has not fallen: the landmarker is no finer
_STANDS_OUT = 3.0  # standard deviations of an unchanged photo's reading


@dataclass(frozen=True)
class UnitScore:
    """How one word for units came out, over people. Readings are changes of score against the face at rest."""

    word: str
    gain: float
    """Slope of read against asked, through the origin."""
    read: tuple[float, ...]
    """Mean reading at each of `STRENGTHS`."""
    correlation: float
    """Of asked and read, over people, rest and `LEVELS`."""
    cross_talk: float
    """Mean absolute change of all other units."""
    other: str
    """The unit that moves most without being asked, on average at the largest strength."""
    other_change: float
    monotone: float
    """Share of people whose reading never falls from rest over `LEVELS`."""
    people: int


@dataclass(frozen=True)
class Excess:
    """What a unit moves in frames that the instrument does not make up itself, at the largest strength."""

    other: str
    """The unit that moves furthest beyond what landmarks alone would read, without being asked."""
    change: float
    """By how much, with its sign; 0 where frames read between rest and landmarks moved alone."""


@dataclass(frozen=True)
class Instrument:
    """How units came out as one instrument reads them, beside what it would read if landmarks alone were moved."""

    units: tuple[UnitScore, ...]
    """Read in frames."""
    ideal: tuple[UnitScore, ...]
    """Read of the photo's landmarks when the head alone moves them, no picture: the most frames can give."""
    excess: tuple[Excess, ...]
    """Of each of these units."""
    scatter: tuple[float, ...]
    """Standard deviation of each of these units' readings over versions of an unchanged photo."""
    reenacted: dict[str, tuple[float, int]]
    """By word: correlation of asked and read over the frames of a track, mean over people, and how many people."""

    def sees(self) -> dict[str, bool]:
        """Whether each unit can be seen, by a rule that no frame enters: landmarks that move as the head says are read
        as asked, and half a unit's strength stands out from how an unchanged photo's readings scatter."""
        return {
            unit.word: unit.correlation >= GOOD_CORRELATION and unit.read[0] >= _STANDS_OUT * scatter
            for unit, scatter in zip(self.ideal, self.scatter, strict=True)
        }


def indices(word: str) -> list[int]:
    """Places of the units that a word stands for."""
    return [UNIT_INDEX[name] for name in parse_unit(word)]


def target(**strengths: float) -> np.ndarray:
    """(52,) float32 units of a face, by word; all others 0."""
    units = np.zeros(UNIT_COUNT, np.float32)
    for word, strength in strengths.items():
        units[indices(word)] = strength
    return units


def correlation(asked: np.ndarray, read: np.ndarray) -> float:
    """Pearson's, over the pairs without nan; nan where fewer than two are left or one of them never changes."""
    known = np.isfinite(asked) & np.isfinite(read)
    a, b = asked[known] - asked[known].mean() if known.any() else asked[:0], read[known]
    if len(b) < 2:
        return math.nan
    b = b - b.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / norm if norm > 1e-9 else math.nan


def unit_score(word: str, changes: np.ndarray) -> UnitScore:
    """From changes of score (people, len(LEVELS), 52) against rest, nan where a frame was not read."""
    own = indices(word)
    read = changes[:, :, own].mean(2)
    used = [LEVELS.index(strength) for strength in STRENGTHS]
    asked = np.broadcast_to(STRENGTHS, (len(changes), len(STRENGTHS))).ravel()
    values = read[:, used].ravel()
    known = np.isfinite(values)
    others = np.delete(changes[:, used], own, axis=2)
    drift = np.abs(mean_known(changes[:, used[-1]], axis=0))
    drift[own] = -1
    most = int(np.nan_to_num(drift, nan=-1).argmax())
    from_rest = np.concatenate([np.zeros((len(read), 1)), read], axis=1)
    falls = np.diff(from_rest, axis=1) < -_FALL
    complete = np.isfinite(read).all(1)
    return UnitScore(
        word=word,
        gain=float((asked * values)[known].sum() / (asked**2)[known].sum()) if known.any() else math.nan,
        read=tuple(float(value) for value in mean_known(read[:, used], axis=0)),
        correlation=correlation(np.broadcast_to((0.0, *LEVELS), from_rest.shape).ravel(), from_rest.ravel()),
        cross_talk=float(np.nanmean(np.abs(others))) if np.isfinite(others).any() else math.nan,
        other=UNIT_NAMES[most],
        other_change=float(drift[most]),
        monotone=float((~falls[complete]).all(1).mean()) if complete.any() else math.nan,
        people=int(complete.sum()),
    )


def excess(word: str, changes: np.ndarray, ideal: np.ndarray) -> Excess:
    """From changes of score (people, len(LEVELS), 52) in frames, and of landmarks that were moved alone.

    Less than the instrument's own leak is no fault of the frames: pictures damp what landmarks show.
    """
    strength = LEVELS.index(STRENGTHS[-1])
    read, alone = (mean_known(each[:, strength], axis=0) for each in (changes, ideal))
    beyond = read - np.clip(read, np.minimum(alone, 0), np.maximum(alone, 0))
    beyond[indices(word)] = 0
    beyond = np.nan_to_num(beyond)
    most = int(np.abs(beyond).argmax())
    return Excess(UNIT_NAMES[most], float(beyond[most]))


def mean_known(values: np.ndarray, *, axis: int) -> np.ndarray:
    """The mean of what is no nan; nan where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis)
    total = np.where(known, values, 0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)
