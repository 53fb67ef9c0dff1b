"""Many measurements -> tables: means with intervals by expression and control, comparisons, the worst cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemotion.evaluation.intervals import Estimate, bootstrap_mean, paired_difference
from facemotion.evaluation.measure import ANSWERS, Measurement, TruthRow

if TYPE_CHECKING:
    from facemotion.evaluation.speed import Cost, Size

ALL = "all"
"""The line of a table that takes every expression together."""

CONTROL_BINS = ((0.0, 0.375, "≤ 0.37"), (0.375, 0.625, "0.5"), (0.625, 0.875, "0.75"), (0.875, 1.125, "1"))
"""Control values that are counted together: lower end (excluded), upper end, name. What is above is ``> 1.12``."""

Table = dict[str, dict[str, Estimate]]
"""Line -> metric -> estimate."""


@dataclass(frozen=True)
class Worst:
    """A case at the bad end of a metric."""

    expression: str
    metric: str
    case: str
    value: float


@dataclass(frozen=True)
class Tested:
    """One weight file under test."""

    path: str
    sha256: str
    preset: str
    expressions: tuple[str, ...]
    size: Size


@dataclass
class Report:
    """Everything that ``report.json`` holds. ``costs`` and ``machine`` alone differ between two equal runs."""

    command: str
    settings: dict
    tested: list[Tested]
    """The generator, and the one it is compared with where there is one."""
    cases: int
    people: int
    kinds: list[str]
    problems: list[tuple[str, str]]
    """Cases that could not be read, with the reason."""
    without_truth: Table
    """Expression -> metric -> estimate."""
    with_truth: dict
    """Expression -> control bin -> answer -> metric -> estimate."""
    learned: dict
    skipped: dict[str, str]
    """Learned metrics that were not measured, with the reason."""
    comparison: dict[str, Table] | None
    """Paired differences, first weights minus the others."""
    worst: list[Worst]
    machine: str
    costs: list[Cost]


LARGE_IS_BAD = (
    "step_ratio",
    "monotonicity_violation",
    "symmetry_error",
    "cross_talk",
    "head_jitter",
    "background_change",
    "landmarks_all",
)
SMALL_IS_BAD = ("leading_motion", "sharpness_kept", "psnr_face", "ssim_mouth")


def control_bin(control: float) -> str:
    """The name of the bin that a control value falls into."""
    for low, high, name in CONTROL_BINS:
        if low < control <= high:
            return name
    return "> 1.12"


BIN_NAMES = (*(name for _, _, name in CONTROL_BINS), "> 1.12")


def by_expression(measurements: Sequence[Measurement], *, seed: int) -> Table:
    """Mean of every metric that needs no real frames, for each expression and for all."""
    rows = [(m.case.group, m.case.person, m.values) for m in measurements]
    return _table(rows, seed)


def by_control(rows: Sequence[TruthRow], *, seed: int) -> dict[str, dict[str, dict[str, dict[str, Estimate]]]]:
    """Against real frames: expression -> control bin -> answer -> metric -> estimate."""
    result: dict = {}
    for name in [*_groups(r.expression for r in rows), *([ALL] if rows else [])]:
        bins = result.setdefault(name, {})
        for label in BIN_NAMES:
            some = [r for r in rows if name in (r.expression, ALL) and control_bin(r.control) == label]
            if some:
                answers = {a: [(a, r.person, r.metrics) for r in some if r.answer == a] for a in ANSWERS}
                bins[label] = {a: _table(lines, seed, total=False)[a] for a, lines in answers.items() if lines}
    return result


def against(measurements: Sequence[Measurement], others: Sequence[Measurement], *, seed: int) -> dict[str, Table]:
    """Paired differences (first minus other) on the same cases: ``without_truth`` and ``with_truth`` tables."""
    theirs = {m.case.id: m for m in others}
    pairs = [(m, theirs[m.case.id]) for m in measurements if m.case.id in theirs]
    plain = [(m.case.group, m.case.person, m.values, o.values) for m, o in pairs]
    real = []
    for m, o in pairs:
        rows = [(a, b) for a, b in zip(m.truth, o.truth, strict=True) if a.answer == "model"]
        real += [(m.case.group, m.case.person, a.metrics, b.metrics) for a, b in rows]
    return {"without_truth": _paired_table(plain, seed), "with_truth": _paired_table(real, seed)}


def worst_cases(measurements: Sequence[Measurement], *, count: int = 3) -> list[Worst]:
    """The ``count`` worst cases of each expression by each metric whose bad end is known."""
    found = []
    for name in _groups(m.case.group for m in measurements):
        lines = [(m.case.id, m.values | _at_peak(m)) for m in measurements if m.case.group == name]
        for metric in LARGE_IS_BAD + SMALL_IS_BAD:
            ranked = sorted((values[metric], case) for case, values in lines if metric in values)
            ranked = ranked[::-1] if metric in LARGE_IS_BAD else ranked
            found += [Worst(name, metric, case, value) for value, case in ranked[:count]]
    return found


def _at_peak(measurement: Measurement) -> dict[str, float]:
    """Metrics of the model against the real frame nearest to control 1."""
    rows = [row for row in measurement.truth if row.answer == "model"]
    return min(rows, key=lambda row: abs(row.control - 1)).metrics if rows else {}


def _groups(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _table(rows: Sequence[tuple[str, str, dict[str, float]]], seed: int, *, total: bool = True) -> Table:
    lines = [*_groups(group for group, _, _ in rows), *([ALL] if total else [])]
    return {line: _estimates([row for row in rows if line in (row[0], ALL)], seed) for line in lines}


def _estimates(rows: Sequence[tuple[str, str, dict[str, float]]], seed: int) -> dict[str, Estimate]:
    result = {}
    for metric in _groups(name for _, _, values in rows for name in values):
        people = [person for _, person, values in rows if metric in values]
        result[metric] = bootstrap_mean([v[metric] for _, _, v in rows if metric in v], people, seed=seed)
    return result


def _paired_table(rows: Sequence[tuple[str, str, dict[str, float], dict[str, float]]], seed: int) -> Table:
    def estimates(keep: Callable[[str], bool]) -> dict[str, Estimate]:
        some = [row for row in rows if keep(row[0])]
        result = {}
        for metric in _groups(name for _, _, own, other in some for name in own if name in other):
            pairs = [(p, a[metric], b[metric]) for _, p, a, b in some if metric in a and metric in b]
            people, own, other = zip(*pairs, strict=True)
            result[metric] = paired_difference(own, other, people, seed=seed)
        return result

    lines = {name: estimates(name.__eq__) for name in _groups(row[0] for row in rows)}
    return lines | ({ALL: estimates(lambda group: True)} if rows else {})
