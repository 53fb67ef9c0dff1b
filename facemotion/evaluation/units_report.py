"""The report of `units`: ``report.json`` for programs, ``report.md`` for people."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

from facemotion.evaluation.markdown import table
from facemotion.evaluation.unit_scores import GOOD_CORRELATION, LEVELS, Instrument
from facemotion.evaluation.units import ANGLES_DEG, Neutralised, UnitsReport
from facemotion.version import __version__

REPORT_FILE = "report.json"
FORMAT = "facemotion-units-report"
FORMAT_VERSION = 3
WRONG_CHANGE = 0.1
"""By which a unit may move another one, at a strength of 0.8, before that counts as wrong."""
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
    smiles = report.neutralised
    background = max(report.background, key=lambda each: each.mean, default=None)
    before, after, real = (
        _mean(getattr(smile, name) for smile in smiles) for name in ("smile_before", "smile_after", "smile_real")
    )
    turns = [f"{each.axis} {_number(each.mean_error, 1)}°" for each in report.head]
    return [
        f"People: {len(report.people)} animated, {len(smiles)} real smiles made neutral, "
        f"{len(report.left_out)} left out.",
        f"Read as asked (correlation {GOOD_CORRELATION} or more): {_by_instrument(report, _good)}.",
        f"Gain, read over asked, median: {_by_instrument(report, lambda each: _median(u.gain for u in each.units))}.",
        f"Units that move another one by more than {WRONG_CHANGE}: {_by_instrument(report, _leaking)}.",
        f"Monotone over {len(LEVELS) + 1} levels, of units and people: "
        f"{_by_instrument(report, lambda each: _percent(_mean_of(u.monotone for u in each.units)))}.",
        f"Smile to neutral: mouthSmile {before} → {after}; the real neutral photo has {real}.",
        f"Smile to neutral: SSIM with the real neutral photo {_similarity(smiles, 'face')}, mouth "
        f"{_similarity(smiles, 'mouth')}; forehead {_mean((s.before.forehead for s in smiles), 3)}.",
        f"Re-enactment, median correlation: {_by_instrument(report, _reenactment)}.",
        f"Head, mean error up to {max(ANGLES_DEG):.0f}°: {', '.join(turns) or '–'}.",
        "Background: "
        + (
            "–"
            if background is None
            else f"most under {background.expression}, {_percent(background.mean, 2)} changed; "
        )
        + f"{report.unread} of {report.frames} frames without a face.",
    ]


def _by_instrument(report: UnitsReport, figure: Callable[[Instrument], str]) -> str:
    return ", ".join(f"{name} {figure(each)}" for name, each in report.instruments.items()) or "–"


def _good(instrument: Instrument) -> str:
    sees = instrument.sees()
    good = [unit.word for unit in instrument.units if unit.correlation >= GOOD_CORRELATION]
    return f"{len(good)} of {len(sees)}, {sum(sees[word] for word in good)} of the {sum(sees.values())} it can see"


def _leaking(instrument: Instrument) -> str:
    leaking, ideal = (
        sum(unit.other_change > WRONG_CHANGE for unit in units) for units in (instrument.units, instrument.ideal)
    )
    beyond = sum(abs(each.change) > WRONG_CHANGE for each in instrument.excess)
    return f"{leaking} ({ideal} where landmarks alone are moved, {beyond} beyond that)"


def _reenactment(instrument: Instrument) -> str:
    return _median(value for value, _ in instrument.reenacted.values())


def _similarity(smiles: Sequence[Neutralised], part: str) -> str:
    before, after = (
        _mean((getattr(each, part) for each in found), 3)
        for found in ([s.before for s in smiles], [s.after for s in smiles])
    )
    return f"{before} → {after}"


def _units(report: UnitsReport) -> str:
    if not report.instruments:
        return ""
    names, instruments = list(report.instruments), list(report.instruments.values())
    ideal = {unit.word: unit.gain for unit in report.instruments["landmarks"].ideal}
    seen = {name: report.instruments[name].sees() for name in ("network", "landmarks")}
    read, moved, beyond = [], [], []
    both = zip(*(zip(each.units, each.excess, strict=True) for each in instruments), strict=True)
    for by_instrument, excesses in (zip(*found, strict=True) for found in both):
        word = by_instrument[0].word
        seers = " and ".join(name for name, sees in seen.items() if sees[word]) or "neither"
        correlations, gains = ([_number(getattr(unit, of)) for unit in by_instrument] for of in ("correlation", "gain"))
        read.append([word, seers, *correlations, *gains, _number(ideal[word]), str(by_instrument[0].people)])
        others = [f"{unit.other} {_number(unit.other_change)}" for unit in by_instrument]
        moved.append([word, *others, *(_percent(unit.monotone) for unit in by_instrument)])
        beyond.append([word, *(f"{each.other} {each.change:+.2f}" for each in excesses)])
    figures = [f"{figure}, {name}" for figure in ("correlation", "gain") for name in names]
    heads = ["unit", "can be seen by", *figures, "gain, landmarks moved alone", "people"]
    parts = ["## Units", table(heads, read), "## Most moved other unit, and monotone", ""]
    parts[-1] = table(["unit", *names, *(f"monotone, {name}" for name in names)], moved)
    parts += ["## Moved beyond what landmarks moved alone would read", table(["unit", *names], beyond)]
    return "\n\n".join(parts)


def _neutralised(report: UnitsReport) -> str:
    rows = [
        [s.person, *map(_number, (s.smile_before, s.smile_after, s.smile_real))]
        + [_number(getattr(each, part), 3) for part in ("face", "mouth") for each in (s.before, s.after)]
        + [_number(s.before.forehead, 3)]
        for s in report.neutralised
    ]
    heads = ["person", "mouthSmile", "neutralised", "real neutral", "SSIM untouched", "SSIM neutralised"]
    heads += ["mouth untouched", "mouth neutralised", "forehead"]
    return "## Real smiles to neutral\n\n" + table(heads, rows) if rows else ""


def _reenacted(report: UnitsReport) -> str:
    tracks = [instrument.reenacted for instrument in report.instruments.values()]
    words = [word for word in tracks[0] if all(word in track for track in tracks)] if tracks else []
    rows = [[word, *(_number(track[word][0]) for track in tracks), str(tracks[0][word][1])] for word in words]
    heads = ["unit", *(f"correlation, {name}" for name in report.instruments), "people"]
    return "## Re-enactment of a random track\n\n" + table(heads, rows) if rows else ""


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
