"""The report of `units`: ``report.json`` for programs, ``report.md`` for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

from facemotion.evaluation.markdown import table
from facemotion.evaluation.units import ANGLES_DEG, LEVELS, STRENGTHS, UnitsReport
from facemotion.version import __version__

REPORT_FILE = "report.json"
FORMAT = "facemotion-units-report"
FORMAT_VERSION = 1
GOOD_CORRELATION = 0.85
"""At which a unit counts as shown as asked."""
_DIGITS = 4


def write_units_report(report: UnitsReport, folder: Path) -> None:
    """Fill the (empty) folder."""
    data = {"format": FORMAT, "version": FORMAT_VERSION, "facemotion": __version__} | asdict(report)
    text = json.dumps(_rounded(data), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / REPORT_FILE).write_text(text + "\n", encoding="utf-8")
    (folder / "report.md").write_text(units_report_text(report), encoding="utf-8")


def units_report_text(report: UnitsReport) -> str:
    """The report as Markdown: a summary in ten lines, and tables."""
    summary = "\n".join(f"{number}. {line}" for number, line in enumerate(summary_lines(report), 1))
    parts = ["# Units asked and read", *([f"`{report.command}`"] if report.command else [])]
    parts += [f"Frames: {report.weights or 'the renderer alone'}.", summary]
    parts += [_units(report), _neutralised(report), _reenacted(report), _head(report), _background(report)]
    if report.left_out:
        parts.append("## Left out\n\n" + "\n".join(f"- {name}: {reason}" for name, reason in report.left_out))
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_lines(report: UnitsReport) -> list[str]:
    """Ten lines that say how it went."""
    units, smiles = report.units, report.neutralised
    correlations = [unit.correlation for unit in units]
    good = sum(value >= GOOD_CORRELATION for value in correlations)
    other = max(units, key=lambda unit: unit.other_change, default=None)
    background = max(report.background, key=lambda each: each.mean, default=None)
    monotone = _percent(_mean_of(unit.monotone for unit in units))
    before, after, real = (
        _mean(getattr(smile, name) for smile in smiles) for name in ("smile_before", "smile_after", "smile_real")
    )
    turns = [f"{each.axis} {_number(each.mean_error, 1)}°" for each in report.head]
    return [
        f"People: {len(report.people)} animated, {len(smiles)} real smiles made neutral, "
        f"{len(report.left_out)} left out.",
        f"Units: {good} of {len(units)} are read as asked (correlation {GOOD_CORRELATION} or more); "
        f"median correlation {_median(correlations)}.",
        f"Gain, read over asked: median {_median(unit.gain for unit in units)}.",
        f"Cross-talk: other units change by {_mean((unit.cross_talk for unit in units), 3)} on average"
        + ("." if other is None else f"; most {other.other} under {other.word}, by {other.other_change:.2f}."),
        f"Monotone over {len(LEVELS) + 1} levels: {monotone} of units and people.",
        f"Smile to neutral: mouthSmile {before} → {after}; the real neutral photo has {real}.",
        f"Smile to neutral: SSIM with the real neutral photo {_mean((s.ssim_before for s in smiles), 3)} → "
        f"{_mean((s.ssim_after for s in smiles), 3)}.",
        f"Re-enactment: median correlation {_median(value for value, _ in report.reenacted.values())} over "
        f"{len(report.reenacted)} units.",
        f"Head, mean error up to {max(ANGLES_DEG):.0f}°: {', '.join(turns) or '–'}.",
        "Background: "
        + (
            "–"
            if background is None
            else f"most under {background.expression}, {_percent(background.mean, 2)} changed; "
        )
        + f"{report.unread} of {report.frames} frames without a face.",
    ]


def _units(report: UnitsReport) -> str:
    rows = [
        [
            unit.word,
            _number(unit.correlation),
            _number(unit.gain),
            *(_number(value) for value in unit.read),
            _number(unit.cross_talk, 3),
            f"{unit.other} {_number(unit.other_change)}",
            _percent(unit.monotone),
            str(unit.people),
        ]
        for unit in sorted(
            report.units, key=lambda unit: -math.inf if math.isnan(unit.correlation) else unit.correlation
        )
    ][::-1]
    heads = ["unit", "correlation", "gain", *(f"read at {s}" for s in STRENGTHS), "cross-talk", "most moved other"]
    return "## Units\n\n" + table([*heads, "monotone", "people"], rows) if rows else ""


def _neutralised(report: UnitsReport) -> str:
    rows = [
        [s.person, *map(_number, (s.smile_before, s.smile_after, s.smile_real))]
        + [_number(value, 3) for value in (s.ssim_before, s.ssim_after)]
        for s in report.neutralised
    ]
    heads = ["person", "mouthSmile", "neutralised", "real neutral", "SSIM untouched", "SSIM neutralised"]
    return "## Real smiles to neutral\n\n" + table(heads, rows) if rows else ""


def _reenacted(report: UnitsReport) -> str:
    ranked = sorted(report.reenacted.items(), key=lambda item: -item[1][0])
    rows = [[word, _number(value), str(people)] for word, (value, people) in ranked]
    return "## Re-enactment of a random track\n\n" + table(["unit", "correlation", "people"], rows) if rows else ""


def _head(report: UnitsReport) -> str:
    rows = [
        [each.axis, _number(each.gain)]
        + [_number(value, 1) for value in (each.mean_error, each.largest_error, each.other_axes)]
        + [str(each.people)]
        for each in report.head
    ]
    heads = ["axis", "gain", "mean error, °", "largest error, °", "other axes, °", "people"]
    return "## Head\n\n" + table(heads, rows) if rows else ""


def _background(report: UnitsReport) -> str:
    rows = [[each.expression, _percent(each.mean, 2), _percent(each.largest, 2)] for each in report.background]
    heads = ["expression", "changed, mean", "largest of a person"]
    return "## Background\n\n" + table(heads, rows) if rows else ""


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _mean_of(values: Iterable[float]) -> float:
    known = _finite(values)
    return fmean(known) if known else math.nan


def _mean(values: Iterable[float], digits: int = 2) -> str:
    return _number(_mean_of(values), digits)


def _median(values: Iterable[float]) -> str:
    known = _finite(values)
    return _number(median(known) if known else math.nan)


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def _percent(value: float, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f} %" if math.isfinite(value) else "–"


def _rounded(value: Any) -> Any:
    """Plain values for JSON: so many digits, None for what could not be measured."""
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    return value
