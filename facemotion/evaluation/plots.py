"""Plots of a report: motion against control, identity against intensity, distance to real frames by control."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemotion.evaluation.regions import leading_units
from facemotion.evaluation.summary import ALL, BIN_NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from facemotion.evaluation.measure import Measurement

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_ANSWER_NAMES = {"model": "model", "warp": "warp only", "repeat": "repeat the photo"}


def motion_plot(measurements: Sequence[Measurement]) -> Figure | None:
    """Mean motion of the leading units against the control, with the middle half of the cases shaded."""
    groups = list(dict.fromkeys(m.case.group for m in measurements if m.units))
    if not groups:
        return None
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    figure = _figure(3.4 * columns, 2.9 * rows)
    for place, group in enumerate(groups):
        axes = figure.add_subplot(rows, columns, place + 1)
        some = [m for m in measurements if m.case.group == group and m.units]
        for colour, unit in zip(_COLOURS, leading_units(some[0].case.expression), strict=False):
            curves = 100 * np.stack([m.units[unit] for m in some])
            seen = np.isfinite(curves).any(0)
            low, middle, high = np.nanquantile(curves[:, seen], [0.25, 0.5, 0.75], axis=0)
            controls = some[0].controls[seen]
            axes.fill_between(controls, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(controls, middle, color=colour, label=unit.replace("_", " "))
        axes.axvline(1, color="#999999", linewidth=0.8, linestyle=":")
        axes.set_title(f"{group} (n = {len(some)})", fontsize=10)
        axes.legend(fontsize=7, frameon=False)
    figure.supxlabel("control", fontsize=10)
    figure.supylabel("motion, % IOD (median, quartiles)", fontsize=10)
    return figure


def identity_plot(by_control: dict[str, dict[str, dict[str, float]]]) -> Figure:
    """Cosine similarity to the photo against the control: the model's frames and real ones."""
    figure = _figure(5, 3.4)
    axes = figure.add_subplot()
    for colour, (kind, points) in zip(_COLOURS, by_control.items(), strict=False):
        controls = [float(control) for control in points]
        axes.plot(controls, [p["similarity"] for p in points.values()], "o-", color=colour, label=kind)
    axes.set(xlabel="control", ylabel="similarity to the photo (SFace, cosine)")
    axes.legend(frameon=False)
    return figure


def truth_plot(by_control: dict) -> Figure | None:
    """PSNR of the face, SSIM of the mouth and distance of the landmarks against real frames, by control."""
    bins = by_control.get(ALL)
    if not bins:
        return None
    panels = {
        "psnr_face": "PSNR of the face, dB",
        "ssim_mouth": "SSIM of the mouth",
        "landmarks_all": "landmark distance, % IOD",
    }
    labels = [label for label in BIN_NAMES if label in bins]
    figure = _figure(11, 3.2)
    for place, (metric, title) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), place + 1)
        for colour, (answer, name) in zip(_COLOURS, _ANSWER_NAMES.items(), strict=False):
            points = [(i, bins[label].get(answer, {}).get(metric)) for i, label in enumerate(labels)]
            points = [(i, estimate) for i, estimate in points if estimate is not None]
            if points:
                middle = [e.mean for _, e in points]
                spread = [[e.mean - e.low for _, e in points], [e.high - e.mean for _, e in points]]
                axes.errorbar([i for i, _ in points], middle, spread, fmt="o-", color=colour, label=name, capsize=2)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlabel("control")
        axes.set_title(title, fontsize=10)
    figure.axes[0].legend(fontsize=8, frameon=False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, the same bytes for the same numbers."""
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
