"""``report.md``: the tables of a report for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from facemotion.evaluation.summary import ALL, BIN_NAMES

if TYPE_CHECKING:
    from facemotion.evaluation.intervals import Estimate
    from facemotion.evaluation.summary import Report, Table

Column = tuple[str, str, Callable[[float], str]]
"""Metric, heading, format."""


def _plain(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:.{digits}f}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


MOTION: tuple[Column, ...] = (
    ("leading_motion", "motion at 1, % IOD", _plain(1)),
    ("moves", "moves", _percent),
    ("monotone", "monotone", _percent),
    ("monotone_pixels", "monotone, pixels", _percent),
    ("linearity", "linearity R²", _plain(2)),
    ("step_ratio", "largest / mean step", _plain(2)),
    ("acceleration", "acceleration", _plain(2)),
    ("symmetry_error", "asymmetry, % IOD", _plain(2)),
    ("cross_talk", "cross-talk, % IOD", _plain(2)),
    ("head_jitter", "head head_jitter, % IOD", _plain(2)),
    ("additivity_error", "additivity error", _plain(2)),
)
PICTURE: tuple[Column, ...] = (
    ("change_at_0", "change at 0, levels", _plain(0)),
    ("photo_change_at_0", "whole photo at 0, levels", _plain(0)),
    ("outside_change", "outside the crop, levels", _plain(0)),
    ("background_change", "background, levels", _plain(2)),
    ("change_at_1", "face at 1, levels", _plain(1)),
    ("sharpness_kept_at_half", "sharpness at 0.5", _plain(2)),
    ("sharpness_kept", "sharpness at 1", _plain(2)),
    ("faces_found", "face found", _percent),
)
TRUTH: tuple[Column, ...] = (
    ("psnr_face", "PSNR face", _plain(2)),
    ("psnr_mouth", "PSNR mouth", _plain(2)),
    ("psnr_eyes", "PSNR eyes", _plain(2)),
    ("ssim_face", "SSIM face", _plain(3)),
    ("ssim_mouth", "SSIM mouth", _plain(3)),
    ("ssim_eyes", "SSIM eyes", _plain(3)),
    ("landmarks_all", "landmarks, % IOD", _plain(2)),
    ("landmarks_mouth", "mouth", _plain(2)),
    ("landmarks_eyes", "eyes", _plain(2)),
    ("landmarks_brows", "brows", _plain(2)),
    ("landmarks_jaw", "jaw", _plain(2)),
    ("sharpness", "sharpness", _plain(2)),
)
_COMPARED = {"psnr_face", "psnr_mouth", "ssim_face", "ssim_mouth", "landmarks_all", "sharpness_kept"} | {
    "leading_motion",
    "monotone",
    "step_ratio",
    "symmetry_error",
}
COMPARED: tuple[Column, ...] = tuple(column for column in (*TRUTH, *MOTION, *PICTURE) if column[0] in _COMPARED)
"""What two weight files are compared by."""
TARGETS = {
    "photo-pairs": "Targets of photo pairs are the second photo, laid on the first by the head.",
    "clips": "Targets of recordings are their frames.",
    "ckplus": "Targets of CK+ are its frames.",
    "pairs": "Targets of pair clips are interpolated between two real photos.",
    "teacher": "Targets of teacher clips are rendered by the 3-D head: they show how well the model learned.",
}
"""What the frames to compare with are, by kind of case."""
ANSWER_NAMES = {"model": "model", "warp": "warp only", "repeat": "repeat the photo"}


def report_text(report: Report, *, sheets: Sequence[str], figures: Sequence[str]) -> str:
    """The whole report as Markdown; ``sheets`` and ``figures`` are paths of pictures beside it."""
    parts = [
        _head(report),
        "## Motion and steadiness\n\nMeans over clips with 95 % intervals (bootstrap over people).\n\n"
        f"{_metric_table(report.without_truth, MOTION)}",
        f"## Pictures\n\n{_metric_table(report.without_truth, PICTURE)}",
        _truth(report),
        _learned(report),
        _comparison(report),
        _costs(report),
        _worst(report),
        _pictures(sheets, figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: Report) -> str:
    first = report.tested[0]
    lines = [
        "# Evaluation",
        f"- weights: `{first.path}`, preset `{first.preset}`, sha256 `{first.sha256}`",
        f"- {first.size.parameters / 1e6:.2f} M parameters, {(first.size.file_bytes or 0) / 1e6:.2f} MB, "
        f"{first.size.gmac_per_photo:.2f} GMAC a photo and expression, {first.size.gmac_per_frame:.2f} GMAC a frame",
        f"- {report.cases} cases of {report.people} people ({', '.join(report.kinds)})",
    ]
    if report.command:
        lines.append(f"- made by `{report.command}`")
    if report.problems:
        lines.append(f"- {len(report.problems)} cases could not be used:")
        lines += [f"  - {case}: {reason}" for case, reason in report.problems]
    return f"{lines[0]}\n\n" + "\n".join(lines[1:])


def _truth(report: Report) -> str:
    if not report.with_truth:
        return ""
    text = [
        "## Against the data's own frames",
        f"{' '.join(TARGETS[kind] for kind in report.kinds if kind in TARGETS)} Answers: the model, the photo moved by "
        "the model's flow alone, and the photo repeated. Landmarks are measured by the face finder on both pictures. "
        "Sharpness is the answer's against the target's.",
    ]
    for expression, bins in report.with_truth.items():
        used = [column for column in TRUTH if any(column[0] in a for b in bins.values() for a in b.values())]
        rows = [
            [label, ANSWER_NAMES[answer], *(_cell(metrics.get(name), form) for name, _, form in used), _count(metrics)]
            for label in BIN_NAMES
            if label in bins
            for answer, metrics in bins[label].items()
        ]
        text.append(f"### {expression}\n\n" + table(["control", "answer", *(c[1] for c in used), "n"], rows))
    return "\n\n".join(text)


def _learned(report: Report) -> str:
    text = ["## With other people's networks"]
    if identity := report.learned.get("identity"):
        rows = [
            [kind, control, f"{point['similarity']:.3f}", str(point["n"])]
            for kind, points in identity["by_control"].items()
            for control, point in points.items()
        ]
        acd = identity["acd"]
        text.append(
            "Identity (SFace, cosine to the photo). It falls with the expression on real frames too."
            + (f" ACD to the photo, controls up to 1: {acd:.3f}." if acd is not None else "")
            + "\n\n"
            + table(["frames", "control", "similarity", "n"], rows)
        )
    if read := report.learned.get("expression"):
        rows = [
            [kind, name, f"{row['as_asked']} of {row['n']}", ", ".join(f"{a} {n}" for a, n in row["answers"].items())]
            for kind, groups in read.items()
            for name, row in groups.items()
        ]
        text.append("Expression read at the peak:\n\n" + table(["frames", "asked", "read as asked", "answers"], rows))
    if lpips := report.learned.get("lpips"):
        text.append("LPIPS to real frames: " + ", ".join(f"{k} {v['mean']:.3f}" for k, v in lpips.items()) + ".")
    if fid := report.learned.get("fid"):
        text.append(f"FID at the peak: {fid['fid']:.1f} (n = {fid['n']}; overestimated by so few pictures).")
    text += [f"- {name} skipped: {reason}" for name, reason in report.skipped.items()]
    return "\n\n".join(text)


def _comparison(report: Report) -> str:
    if not report.comparison:
        return ""
    other = report.tested[1]
    columns = dict.fromkeys(name for part in report.comparison.values() for line in part.values() for name in line)
    used = [column for column in COMPARED if column[0] in columns]
    merged: Table = {}
    for part in report.comparison.values():
        for line, metrics in part.items():
            merged.setdefault(line, {}).update(metrics)
    rows = [
        [line, *(_interval(metrics.get(name), form) for name, _, form in used), _count(metrics)]
        for line, metrics in _ordered(merged)
    ]
    return (
        f"## Against `{other.path}` (preset `{other.preset}`)\n\nPaired differences, these weights minus those, with "
        "95 % intervals; * where the interval leaves out 0.\n\n"
        + table(["expression", *(c[1] for c in used), "n"], rows)
    )


def _costs(report: Report) -> str:
    if not report.costs:
        return ""
    stages = list(dict.fromkeys(stage for cost in report.costs for stage in cost.stages_ms))
    rows = [
        [
            cost.device,
            str(cost.threads),
            *(f"{cost.stages_ms[stage]:.1f}" for stage in stages),
            f"{cost.peak_memory_mb:.0f}",
        ]
        for cost in report.costs
    ]
    headings = ["device", "threads", *(f"{stage}, ms" for stage in stages), "peak memory, MB"]
    side = report.costs[0].photo_px
    text = (
        f"## Cost\n\n{report.machine}. The photo's longer side is {side} px. "
        "Find, crop and encode once a photo, the rest once a frame.\n\n"
    )
    return text + table(headings, rows)


def _worst(report: Report) -> str:
    lines: dict[tuple[str, str], list[str]] = {}
    for worst in report.worst:
        lines.setdefault((worst.expression, worst.metric), []).append(f"{worst.case} ({worst.value:.3g})")
    rows = [[expression, metric.replace("_", " "), ", ".join(cases)] for (expression, metric), cases in lines.items()]
    return "## The worst cases\n\n" + table(["expression", "metric", "worst first"], rows)


def _pictures(sheets: Sequence[str], figures: Sequence[str]) -> str:
    plotted = "\n\n".join(f"![{name}]({name})" for name in figures)
    linked = "\n".join(f"- [{name}]({name})" for name in sheets)
    return f"## Plots and contact sheets\n\n{plotted}\n\n{linked}"


def _metric_table(lines: Table, columns: Sequence[Column]) -> str:
    used = [column for column in columns if any(column[0] in metrics for metrics in lines.values())]
    rows = [
        [line, *(_cell(metrics.get(name), form) for name, _, form in used), _count(metrics)]
        for line, metrics in _ordered(lines)
    ]
    return table(["expression", *(heading for _, heading, _ in used), "n"], rows)


def _ordered(lines: Table) -> Iterable[tuple[str, dict[str, Estimate]]]:
    """All expressions, then the line of them together where there are several."""
    several = len(lines) > 2
    return [(name, metrics) for name, metrics in lines.items() if name != ALL or several]


def _cell(estimate: Estimate | None, form: Callable[[float], str]) -> str:
    if estimate is None:
        return "–"
    middle, low, high = form(estimate.mean), form(estimate.low), form(estimate.high)
    return middle if low == high == middle else f"{middle} ({low} to {high})"


def _interval(estimate: Estimate | None, form: Callable[[float], str]) -> str:
    if estimate is None:
        return "–"
    star = " *" if estimate.low > 0 or estimate.high < 0 else ""
    return f"{form(estimate.mean)} ({form(estimate.low)} to {form(estimate.high)}){star}"


def _count(metrics: dict[str, Estimate]) -> str:
    return str(max((estimate.n for estimate in metrics.values()), default=0))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
