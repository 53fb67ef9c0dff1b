"""The report folder: ``report.json``, ``report.md``, CSV by clip and by real frame, contact sheets, plots."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.evaluation import plots
from facemotion.evaluation.pictures import ROWS, Strip, sheet
from facemotion.evaluation.text import report_text
from facemotion.media.atomic import write_whole
from facemotion.version import __version__

if TYPE_CHECKING:
    from facemotion.evaluation.measure import Measurement
    from facemotion.evaluation.summary import Report

REPORT_FILE = "report.json"
FORMAT = "facemotion-report"
FORMAT_VERSION = 2
_DIGITS = 6


@dataclass(frozen=True)
class Pictures:
    """Paths of the pictures of a report, below its folder."""

    sheets: list[str]
    figures: list[str]


def write_report(
    report: Report, measurements: Sequence[Measurement], strips: dict[str, list[Strip]], folder: Path
) -> Pictures:
    """Fill the (empty) folder."""
    pictures = Pictures(_write_sheets(strips, folder), _write_plots(report, measurements, folder))
    _write_clips(measurements, folder / "clips.csv")
    _write_frames(measurements, folder / "frames.csv")
    write_numbers(report, folder, pictures)
    return pictures


def write_numbers(report: Report, folder: Path, pictures: Pictures) -> None:
    """Write ``report.json`` and ``report.md``, also over those that an earlier call wrote."""
    data = {"format": FORMAT, "version": FORMAT_VERSION, "facemotion": __version__} | asdict(report)
    text = json.dumps(_rounded(data), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(folder / REPORT_FILE, f"{text}\n".encode())
    write_whole(folder / "report.md", report_text(report, sheets=pictures.sheets, figures=pictures.figures).encode())


def _write_sheets(strips: dict[str, list[Strip]], folder: Path) -> list[str]:
    names = []
    (folder / "sheets").mkdir()
    for group, some in strips.items():
        for page, start in enumerate(range(0, len(some), ROWS), 1):
            names.append(f"sheets/{group}-{page}.jpg")
            sheet(some[start : start + ROWS]).save(folder / names[-1], quality=90)
    return names


def _write_plots(report: Report, measurements: Sequence[Measurement], folder: Path) -> list[str]:
    identity = report.learned.get("identity")
    figures = {
        "motion.png": plots.motion_plot(measurements),
        "identity.png": plots.identity_plot(identity["by_control"]) if identity else None,
        "truth.png": plots.truth_plot(report.with_truth),
    }
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    for name, figure in drawn.items():
        plots.save(figure, folder / name)
    return list(drawn)


def _write_clips(measurements: Sequence[Measurement], path: Path) -> None:
    """One line a clip: what needs no real frames."""
    metrics = _columns(m.values for m in measurements)
    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["case", "person", "kind", "expression", *metrics])
        for m in measurements:
            values = [_number(m.values.get(name)) for name in metrics]
            lines.writerow([m.case.id, m.case.person, m.case.kind, m.case.title, *values])


def _write_frames(measurements: Sequence[Measurement], path: Path) -> None:
    """One line a real frame and answer."""
    rows = [row for m in measurements for row in m.truth]
    metrics = _columns(row.metrics for row in rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["case", "person", "expression", "control", "answer", *metrics])
        for row in rows:
            values = [_number(row.metrics.get(name)) for name in metrics]
            lines.writerow([row.case, row.person, row.expression, _number(row.control), row.answer, *values])


def _columns(rows: Iterable[dict[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _rounded(value):
    """JSON of plain values: six digits, paths as text."""
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return round(value, _DIGITS)
    return str(value) if isinstance(value, Path) else value
