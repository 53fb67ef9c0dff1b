"""From the network's scores to strengths of expression units: one monotone map a unit, and how they are fitted.

The scores saturate (a smile of 0.6 may already score 0.9), start late (nothing is said of a slight frown), are not 0 at
rest (squints) and leak (a raised upper lip also scores as a smile). A map from the score of a unit to the strength that
faces with this score have on average undoes all but the last; of that, `quality_table` tells.

    python -m facemotion.faces.landmarker.calibration MEASURED.npz OUT.json [--held-out OTHERS.npz] [--table TABLE.md]
        [--leave-out UNIT]...

fits the maps. MEASURED.npz holds ``scores`` (N, 52) of N pictures, ``strengths`` (N, 52) that these truly show, both in
the order of `expressions.units.UNIT_NAMES`, and ``people`` (N,), who is in each; OTHERS.npz the same of other people,
on whom the table is measured. ``tests/benchmarks/rendered_units.py`` makes such files. Units that are left out keep
their scores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facemotion.errors import InputError
from facemotion.expressions.units import MIRROR, UNIT_INDEX, UNIT_NAMES, UNITS, parse_unit, words_for
from facemotion.media.records import MalformedError, malformed, parse_object

SHIPPED = Path(__file__).parents[2] / "assets" / "unit_calibration.json"

MOST_KNOTS = 9
FOLDS = 5
BINS = 40
"""Of equal weight, over which strengths are averaged first: no knot rests on a single picture."""

WORTHWHILE = 0.95
"""Share of the error without a map that one with it must stay below."""

SHOWN_WEIGHT = 0.2
"""Weight of the pictures that show a unit among all, however many there are of them."""

LEAST_SHOWN = 20
"""Pictures that must show a unit before its map is fitted."""

SHOWN = 0.05
"""Strength from which a picture counts as showing a unit."""

SEEN, HARDLY_SEEN = 0.6, 0.3
"""Correlations of measured and true strength from which a unit is seen, and from which it is seen at all."""

_NEVER_APART = 0.02  # 1 - r² of the strengths of two units

LEAK = 0.1
"""Strength measured per strength shown of another unit, or of a pair of them, from which the table names it."""


@dataclass(frozen=True)
class UnitMap:
    """A piecewise linear, nowhere falling map from score to strength, from the first score 0 to the last score 1."""

    scores: tuple[float, ...]
    strengths: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.strengths) or len(self.scores) < 2:
            raise ValueError("a map needs two knots or more, each a score and a strength")
        if self.scores[0] != 0 or self.scores[-1] != 1 or not np.all(np.diff(self.scores) > 0):
            raise ValueError("the scores of a map must rise from 0 to 1")
        if not (np.isfinite(self.strengths).all() and np.all(np.diff(self.strengths) >= 0)):
            raise ValueError("the strengths of a map must not fall")


def _knots(values: object) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError("knots are numbers")
    return tuple(map(float, values))


IDENTITY = UnitMap((0.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True)
class Calibration:
    """A map for every unit, in the order of `UNIT_NAMES`."""

    maps: tuple[UnitMap, ...]

    def strengths(self, scores: np.ndarray) -> np.ndarray:
        """Strengths (..., 52) float32 of scores (..., 52)."""
        columns = [np.interp(scores[..., i], unit.scores, unit.strengths) for i, unit in enumerate(self.maps)]
        return np.stack(columns, axis=-1).astype(np.float32)

    def without(self, names: Collection[str]) -> Calibration:
        """The same with the identity for the units of these names."""
        return Calibration(
            tuple(IDENTITY if name in names else unit for name, unit in zip(UNIT_NAMES, self.maps, strict=True))
        )

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """The maps of a JSON file by unit name; the identity for units that it does not name.

        Raises InputError for a file that is none.
        """
        try:
            with malformed(OSError):
                named = parse_object(path.read_bytes())["units"]
                maps = {
                    name: UnitMap(_knots(pair["scores"]), _knots(pair["strengths"])) for name, pair in named.items()
                }
                unknown = set(maps) - set(UNIT_NAMES)
                if unknown:
                    raise ValueError(f"there is no unit {min(unknown)}")
        except MalformedError as error:
            raise InputError(f"{path}: no calibration of units ({error})", "Install facemotion again.") from error
        return cls(tuple(maps.get(name, IDENTITY) for name in UNIT_NAMES))

    def write(self, path: Path, *, note: str) -> None:
        """Write the maps that are not the identity as JSON, with a line on where they come from."""
        units = {
            name: {"scores": [round(x, 4) for x in unit.scores], "strengths": [round(y, 4) for y in unit.strengths]}
            for name, unit in zip(UNIT_NAMES, self.maps, strict=True)
            if unit != IDENTITY
        }
        path.write_text(json.dumps({"note": note, "units": units}, indent=1) + "\n", "utf-8")


@cache
def shipped_calibration() -> Calibration:
    """The calibration that comes with the package."""
    return Calibration.read(SHIPPED)


def fit_calibration(scores: np.ndarray, strengths: np.ndarray, people: np.ndarray) -> Calibration:
    """The maps from scores (N, 52) to the strengths (N, 52) that pictures of ``people`` (N,) truly show.

    Isotonic regression of the strength on the score, linear between the centres of its steps (Oron & Flournoy 2017),
    lowered to 0 at the score of a typical face that does not show the unit, and thinned to `MOST_KNOTS` knots. Left and
    right share a map. The identity where fewer than `LEAST_SHOWN` pictures show a unit, and where `balanced_error` does
    not fall below the `WORTHWHILE` share for people that the map was not fitted to. No map gives more than 1.
    """
    maps = _maps(scores, strengths)
    measured = held_out_strengths(scores, strengths, people)
    kept = []
    for i, unit in enumerate(maps):
        sides = [i, MIRROR[i]]
        before, after = (balanced_error(values[:, sides], strengths[:, sides]) for values in (scores, measured))
        kept.append(unit if after < WORTHWHILE * before else IDENTITY)
    return Calibration(tuple(kept))


def _maps(scores: np.ndarray, strengths: np.ndarray) -> list[UnitMap]:
    mirror = list(MIRROR)
    scores, strengths = (np.concatenate([values, values[:, mirror]]) for values in (scores, strengths))
    firsts = [min(i, mirror[i]) for i in range(len(UNIT_NAMES))]
    fitted = {i: _fit_map(scores[:, i], strengths[:, i]) for i in set(firsts)}
    return [fitted[i] for i in firsts]


def _fit_map(score: np.ndarray, strength: np.ndarray) -> UnitMap:
    shows = strength > SHOWN
    if np.count_nonzero(shows) < 2 * LEAST_SHOWN:  # both sides, or a middle unit twice
        return IDENTITY
    from scipy.optimize import isotonic_regression

    shown, all_shown = np.count_nonzero(shows), shows.all()
    weight = np.where(
        shows, (1.0 if all_shown else SHOWN_WEIGHT) / shown, (1 - SHOWN_WEIGHT) / max(1, len(score) - shown)
    )
    order = np.argsort(score, kind="stable")
    score, strength, weight = score[order].astype(float), strength[order].astype(float), weight[order]
    bins = np.minimum((np.cumsum(weight) * BINS).astype(int), BINS - 1)
    at, value, mass = _binned(score, strength, weight, bins)
    steps = isotonic_regression(value, weights=mass)
    step = np.repeat(np.arange(len(steps.blocks) - 1), np.diff(steps.blocks))
    at, value, _ = _binned(at, value, mass, step)
    at, first = np.unique(at.clip(1e-4, 1 - 1e-4).round(4), return_index=True)
    value = np.maximum.accumulate(value[first])
    if not all_shown:
        value = value - np.interp(np.median(score[~shows[order]]), at, value)
    value = value.clip(0, 1)
    return _thinned(np.r_[0, at, 1], np.r_[value[0], value, value[-1]])


def _binned(at: np.ndarray, value: np.ndarray, weight: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weighted means of places and values in every bin that holds anything, and the weights."""
    _, bins = np.unique(bins, return_inverse=True)
    mass = np.bincount(bins, weight)
    return np.bincount(bins, weight * at) / mass, np.bincount(bins, weight * value) / mass, mass


def balanced_error(measured: np.ndarray, strengths: np.ndarray) -> float:
    """Mean absolute error of a unit's strengths, half of it from pictures that show it and half from those that do not.

    Kinds of pictures that there are none of do not count.
    """
    away, shows = np.abs(measured - strengths), strengths > SHOWN
    return float(np.mean([away[kind].mean() for kind in (shows, ~shows) if kind.any()]))


def _thinned(scores: np.ndarray, strengths: np.ndarray) -> UnitMap:
    """The map through those knots that the others lie nearest to (Ramer 1972, Douglas & Peucker 1973)."""
    kept = [0, len(scores) - 1]
    while len(kept) < min(MOST_KNOTS, len(scores)):
        apart = np.abs(np.interp(scores, scores[kept], strengths[kept]) - strengths)
        if apart.max() < 0.01:
            break
        kept = sorted({*kept, int(apart.argmax())})
    return UnitMap(tuple(scores[kept].tolist()), tuple(strengths[kept].tolist()))


def held_out_strengths(scores: np.ndarray, strengths: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Strengths (N, 52) of every picture by maps fitted without the person in it; the scores of a single person."""
    names, who = np.unique(people, return_inverse=True)
    folds = min(FOLDS, len(names))
    measured = np.array(scores, np.float32)
    for fold in range(folds):
        left_out = who % folds == fold
        if folds > 1:
            fitted = Calibration(tuple(_maps(scores[~left_out], strengths[~left_out])))
            measured[left_out] = fitted.strengths(scores[left_out])
    return measured


def cross_talk(measured: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """(52, 52): what is measured of unit ``j`` per strength shown of unit ``i``, by least squares over all pictures.

    In the diagonal what is measured of the unit itself; elsewhere with its own strength held. Zero for units that no
    picture shows, and for two that always show together.
    """
    spread = strengths.std(axis=0)
    shown = (strengths.max(axis=0) > SHOWN) & (spread > 0)
    own = (strengths - strengths.mean(axis=0)) / np.where(shown, spread, 1) * shown
    among = own.T @ own / len(own)
    with_measured = own.T @ (measured - measured.mean(axis=0)) / len(own)
    alone = 1 - among**2
    apart = (alone > _NEVER_APART) & shown[None] & shown[:, None]
    held = (with_measured - among * np.diag(with_measured)) / np.where(apart, alone, 1) * apart
    np.fill_diagonal(held, np.diag(with_measured))
    return held / np.where(shown, spread, 1)[:, None]


def quality_table(scores: np.ndarray, measured: np.ndarray, strengths: np.ndarray) -> str:
    """Markdown: for every unit how well the scores (N, 52) tell its strength, and the strengths ``measured`` from them.

    Both sides of a pair in one row. "error" is the mean absolute difference in the pictures that show the unit, "at
    rest" the mean where it is not shown, "gain" what is measured per strength shown, "cross-talk" the mean absolute
    amount that is measured of all others per strength shown of this one; before calibration → after.
    """
    leaks = [cross_talk(values, strengths) for values in (scores, measured)]
    lines = [
        "| unit | correlation | gain | error | at rest | cross-talk | strongest leaks into it | seen |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for word in words_for(UNIT_NAMES):
        sides = [i for i, unit in enumerate(UNITS) if word in (unit.name, unit.stem)]
        shows = strengths[:, sides] > SHOWN
        if np.count_nonzero(shows) < LEAST_SHOWN:
            lines.append(f"| {word} | | | | | | | not in the pictures |")
            continue
        columns = []
        for values, leak in zip((scores, measured), leaks, strict=True):
            away = np.abs(values - strengths)[:, sides]
            rest = float(values[:, sides][~shows].mean()) if not shows.all() else 0.0
            gain = float(np.mean([leak[i, i] for i in sides]))
            others = float(np.mean([np.delete(np.abs(leak[i]), sides).mean() for i in sides]))
            columns.append((gain, float(away[shows].mean()), rest, others))
        correlation = float(np.mean([_correlation(measured[:, i], strengths[:, i]) for i in sides]))
        cells = [f"{before:.2f} → {after:.2f}" for before, after in zip(*columns, strict=True)]
        cells[3] = " → ".join(f"{column[3]:.3f}" for column in columns)
        strongest = _strongest(leaks[1][:, sides].mean(axis=1), but=sides)
        lines.append(f"| {word} | {correlation:.2f} | {' | '.join(cells)} | {strongest} | {_verdict(correlation)} |")
    return "\n".join(lines) + "\n"


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _strongest(leaks: np.ndarray, *, but: Sequence[int]) -> str:
    by_word: dict[str, float] = {}
    for i, leak in enumerate(leaks.tolist()):
        if i not in but:
            by_word[UNITS[i].stem] = by_word.get(UNITS[i].stem, 0.0) + leak
    ranked = sorted(by_word, key=lambda word: -abs(by_word[word]))
    return ", ".join(f"{word} {by_word[word]:+.2f}" for word in ranked[:2] if abs(by_word[word]) >= LEAK)


def _verdict(correlation: float) -> str:
    return "yes" if correlation >= SEEN else "hardly" if correlation >= HARDLY_SEEN else "no"


def read_measured(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, strengths and people of an npz file. Raises InputError for another."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            scores, strengths, people = arrays["scores"], arrays["strengths"], arrays["people"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no measured units ({error})", "Give an npz of scores, strengths, people.") from error
    count = len(UNIT_INDEX)
    if scores.shape != strengths.shape or scores.shape[1:] != (count,) or people.shape != scores.shape[:1]:
        raise InputError(f"{path}: scores and strengths must be (N, {count}), people (N,)", "Write the arrays anew.")
    return scores, strengths, people


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, help="npz of scores, strengths, people")
    parser.add_argument("out", type=Path, help="where to write the maps (.json)")
    parser.add_argument("--held-out", type=Path, help="npz of other people for the table")
    parser.add_argument("--table", type=Path, help="where to write the table of errors and leaks (.md)")
    parser.add_argument("--leave-out", action="append", default=[], metavar="UNIT", help="a unit that gets no map")
    options = parser.parse_args(arguments)
    left_out = {name for word in options.leave_out for name in parse_unit(word)}
    scores, strengths, people = read_measured(options.measured)
    note = f"Fitted on {len(scores)} pictures of {len(np.unique(people))} people."
    fit = fit_calibration(scores, strengths, people).without(left_out)
    fit.write(options.out, note=note)
    if options.table:
        if options.held_out:
            scores, strengths, _ = read_measured(options.held_out)
            measured = fit.strengths(scores)
        else:
            measured = held_out_strengths(scores, strengths, people)
            identical = [unit == IDENTITY for unit in fit.maps]
            measured[:, identical] = scores[:, identical]
        options.table.write_text(quality_table(scores, measured, strengths), "utf-8")


if __name__ == "__main__":
    main()
