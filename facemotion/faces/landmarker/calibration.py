"""From the network's scores to strengths of expression units: one monotone map a unit, and how they are fitted.

The scores saturate (a smile of 0.6 may already score 0.9), start late (nothing is said of a slight frown) and leak (a
raised upper lip also scores as a smile). A map from the score of a unit to the strength that faces with this score have
on average undoes the first two; of the third, `cross_talk_table` tells.

    python -m facemotion.faces.landmarker.calibration MEASURED.npz OUT.json [--table TABLE.md]

fits the maps. MEASURED.npz holds ``scores`` (N, 52) of N pictures, ``strengths`` (N, 52) that these truly show, both in
the order of `expressions.units.UNIT_NAMES`, and ``people`` (N,), who is in each.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facemotion.errors import InputError
from facemotion.expressions.units import UNIT_INDEX, UNIT_NAMES
from facemotion.media.records import MalformedError, malformed, parse_object

SHIPPED = Path(__file__).parents[2] / "assets" / "unit_calibration.json"

MOST_KNOTS = 9
FOLDS = 5
LEAST_SHOWN = 20
"""Pictures that must show a unit before its map is fitted."""

SHOWN = 0.05
"""Strength from which a picture counts as showing a unit."""

SEEN, HARDLY_SEEN = 0.6, 0.3
"""Correlations of measured and true strength from which a unit is seen, and from which it is seen at all."""

LEAK = 0.1
"""Strength measured per strength shown of another unit, from which the table names it."""


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


def fit_calibration(scores: np.ndarray, strengths: np.ndarray) -> Calibration:
    """The maps from scores (N, 52) to the strengths (N, 52) that pictures truly show.

    Isotonic regression of the strength on the score (Barlow et al. 1972), thinned to `MOST_KNOTS` knots; the identity
    where fewer than `LEAST_SHOWN` pictures show a unit. No map gives more than 1.
    """
    return Calibration(tuple(_fit_map(scores[:, i], strengths[:, i]) for i in range(len(UNIT_NAMES))))


def _fit_map(score: np.ndarray, strength: np.ndarray) -> UnitMap:
    if np.count_nonzero(strength > SHOWN) < LEAST_SHOWN:
        return IDENTITY
    from scipy.optimize import isotonic_regression

    order = np.argsort(score, kind="stable")
    rising = isotonic_regression(strength[order]).x.clip(0, 1)
    knots = np.quantile(score, np.linspace(0, 1, MOST_KNOTS))
    shown = np.quantile(score[strength > SHOWN], np.linspace(0, 1, MOST_KNOTS))
    at = np.unique(np.concatenate([[0.0, 1.0], knots[1:-1], shown[1:-1]]).clip(0, 1).round(4))
    # Means over the neighbourhood of a knot: a step of the regression is then half its height at its edge.
    position = np.interp(at, score[order], np.arange(len(score)))
    half = max(1, len(score) // (8 * MOST_KNOTS))
    values = [rising[max(0, round(p) - half) : round(p) + half + 1].mean() for p in position]
    return _thinned(at, np.maximum.accumulate(values))


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
    """Strengths (N, 52) of every picture by maps fitted without the person in it, or with a fifth of all left out."""
    names, who = np.unique(people, return_inverse=True)
    folds = min(FOLDS, len(names))
    measured = np.array(scores, np.float32)
    for fold in range(folds):
        left_out = who % folds == fold
        if folds > 1:
            measured[left_out] = fit_calibration(scores[~left_out], strengths[~left_out]).strengths(scores[left_out])
    return measured


def cross_talk(measured: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """(52, 52): what is measured of unit ``j`` per strength shown of unit ``i``, by least squares over all pictures.

    Rows of units that no picture shows are zero.
    """
    shown = np.flatnonzero(strengths.max(axis=0) > SHOWN)
    design = np.column_stack([strengths[:, shown], np.ones(len(strengths))])
    answer, *_ = np.linalg.lstsq(design, measured, rcond=None)
    table = np.zeros((len(UNIT_NAMES), len(UNIT_NAMES)))
    table[shown] = answer[:-1]
    return table


def cross_talk_table(scores: np.ndarray, strengths: np.ndarray, people: np.ndarray) -> str:
    """Markdown: for every unit its error before and after calibration, on people held out, and what leaks into it.

    "error" is the mean of the absolute difference in the pictures that show the unit; "at rest" the mean strength
    measured where it is not shown.
    """
    measured = held_out_strengths(scores, strengths, people)
    leaks = cross_talk(measured, strengths)
    lines = [
        "| unit | correlation | error of the score | error calibrated | at rest | strongest leaks from | seen |",
        "|---|---|---|---|---|---|---|",
    ]
    for i, name in enumerate(UNIT_NAMES):
        shows = strengths[:, i] > SHOWN
        if np.count_nonzero(shows) < LEAST_SHOWN:
            lines.append(f"| {name} | | | | | | not in the pictures |")
            continue
        correlation = _correlation(measured[:, i], strengths[:, i])
        raw, calibrated = (
            float(np.abs(values[shows, i] - strengths[shows, i]).mean()) for values in (scores, measured)
        )
        rest = f"{float(measured[~shows, i].mean()):.2f}" if not shows.all() else ""
        lines.append(
            f"| {name} | {correlation:.2f} | {raw:.2f} | {calibrated:.2f} | {rest} "
            f"| {_strongest(leaks[:, i], but=i)} | {_verdict(correlation)} |"
        )
    return "\n".join(lines) + "\n"


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _strongest(leaks: np.ndarray, *, but: int) -> str:
    ranked = [int(i) for i in np.argsort(-np.abs(leaks)) if i != but and abs(leaks[i]) >= LEAK]
    return ", ".join(f"{UNIT_NAMES[i]} {leaks[i]:+.2f}" for i in ranked[:3])


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
    parser.add_argument("--table", type=Path, help="where to write the table of errors and leaks (.md)")
    options = parser.parse_args(arguments)
    scores, strengths, people = read_measured(options.measured)
    note = f"Fitted on {len(scores)} pictures of {len(np.unique(people))} people."
    fit_calibration(scores, strengths).write(options.out, note=note)
    if options.table:
        options.table.write_text(cross_talk_table(scores, strengths, people), "utf-8")


if __name__ == "__main__":
    main()
