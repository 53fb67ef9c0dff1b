"""How photographed smiles shade skin: ``python -m facemotion.datasets.smile_relief DATA CACHE NPZ``.

The median over photo pairs of what real smiles are lighter and darker, in log luminance of linear light and per
strength of ``mouthSmile``, than the neutral photo brought to the same units by what ships, network included; in the
plane of the head. It is added to the map in the package, so that a second run finds next to nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from facemotion.datasets.layouts import find_people
from facemotion.datasets.people import MeasuredPerson, measure, measured_people, trained_pairs
from facemotion.datasets.samples import SIZE_PX
from facemotion.datasets.splits import Splits
from facemotion.device import choose_placement
from facemotion.errors import InputError
from facemotion.faces.geometry import smoothstep
from facemotion.head.model import load_head
from facemotion.head.own_units import own_units
from facemotion.head.rasteriser import rasterise
from facemotion.head.rig import Rig
from facemotion.models.inference import CorrectionNetwork
from facemotion.rendering.compose import composed
from facemotion.rendering.correction import corrected
from facemotion.rendering.light import linear_luminance, smooth
from facemotion.rendering.smile_relief import (
    BOTTOM_CM,
    LEVELS,
    PX_PER_CM,
    TOP_CM,
    WIDTH_CM,
    in_plane,
    smile_relief,
)
from facemotion.weights.registry import weight_path

_FAINTEST = 0.12
"""Smiles fainter than this tell nothing."""
_DARKEST, _LIMITS = 2e-3, (-0.75, 0.5)


def in_head_plane(values: np.ndarray, rig: Rig, points: np.ndarray) -> np.ndarray:
    """A crop (N, N) float32 as the map shows it, (408, 312), of a face whose vertices are at points (V, 3) px."""
    size = round((TOP_CM - BOTTOM_CM) * PX_PER_CM), round(WIDTH_CM * PX_PER_CM)
    at = np.column_stack([in_plane(rig.head.vertices), rig.head.vertices[:, 2]]).astype(np.float32)
    _, places = rasterise(at, rig.head.triangles, np.ascontiguousarray(points[:, :2], np.float32), size=size)
    return cv2.remap(values, places.astype(np.float32), None, cv2.INTER_LINEAR)


def missing_relief(people: Sequence[MeasuredPerson], splits: Splits, network: CorrectionNetwork) -> np.ndarray:
    """(408, 312) log-gain per ``mouthSmile`` that frames of people who are trained on lack; both halves alike."""
    head = load_head()
    strengths, residuals = [], []
    for crops in trained_pairs(people, splits, size_px=SIZE_PX):
        with suppress(InputError):
            neutral, peak = (crop.renderer(0) for crop in crops)
            control = own_units(peak.rig.fit.units) - own_units(neutral.rig.fit.units)
            strength = float(control[[head.unit_index[f"mouthSmile{side}"] for side in ("Left", "Right")]].mean())
            if strength <= _FAINTEST:
                continue
            rendering = neutral.render(control)
            correction = network.photo(crops[0].crop, neutral.rig).correct(control, rendering)
            frame = composed(crops[0].crop / np.float32(255), corrected(rendering, correction, SIZE_PX))
            shown = _in_plane_log(frame, neutral.rig, neutral.rig.moved(control))
            wanted = _in_plane_log(crops[1].crop / np.float32(255), peak.rig, peak.rig.source)
            residual = wanted - shown
            residuals.append(residual - np.median(residual[_cheeks_and_forehead()]))
            strengths.append(strength)
    relief = _weighted_median(np.array(residuals) / np.array(strengths)[:, None, None], np.array(strengths))
    return (relief + relief[:, ::-1]) / 2


def believed(relief: np.ndarray) -> np.ndarray:
    """A map (408, 312) without what does not lie in the same place in photos and frames: upper lids, brows, nostrils,
    the seam of the lips, the outline."""
    x, y = _plane()
    x = np.abs(x)
    above = _rising(y, 2.55, 2.85) * (1 - _rising(x, 4.9, 5.2) * (1 - _rising(y, 3.6, 4.2)))
    nostrils = 1 - _rising(np.hypot(x / 1.7, y + 0.45), 0.7, 1.15)
    seam = np.exp(-0.5 * ((y + 3.36 + 0.045 * x**2) / 0.28) ** 2) * (1 - _rising(x, 2.5, 3.0))
    within = (1 - _rising(x, 5.0, 6.0)) * _rising(y, -7.9, -6.8)
    kept = (1 - above) * (1 - 0.85 * nostrils) * (1 - seam) * within
    return smooth(np.clip(relief, *_LIMITS).astype(np.float32), 0.05 * PX_PER_CM) * kept.astype(np.float32)


def half_in_levels(relief: np.ndarray) -> np.ndarray:
    """A map (408, 312) as the package holds it: its left half (408, 156) uint8."""
    return np.clip(np.round(128 + LEVELS * relief[:, : relief.shape[1] // 2]), 0, 255).astype(np.uint8)


def _plane() -> tuple[np.ndarray, np.ndarray]:
    """x and y (408, 312) cm of the map's pixels."""
    columns = (np.arange(round(WIDTH_CM * PX_PER_CM)) + 0.5) / PX_PER_CM - WIDTH_CM / 2
    rows = TOP_CM - (np.arange(round((TOP_CM - BOTTOM_CM) * PX_PER_CM)) + 0.5) / PX_PER_CM
    x, y = np.meshgrid(columns, rows)
    return x, y


def _cheeks_and_forehead() -> np.ndarray:
    """(408, 312) bool where two photos are taken to be lit alike."""
    x, y = _plane()
    return (np.abs(x) < 4.5) & (y > 0.5) & (y < 8)


def _in_plane_log(image: np.ndarray, rig: Rig, points: np.ndarray) -> np.ndarray:
    luminance = in_head_plane(linear_luminance(image).astype(np.float32), rig, points)
    return np.log(np.maximum(smooth(luminance, 0.05 * PX_PER_CM), _DARKEST))


def _rising(values: np.ndarray, start: float, end: float) -> np.ndarray:
    return smoothstep((values - start) / (end - start))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(h, w) of values (n, h, w) with weights (n,)."""
    order = np.argsort(values, axis=0)
    reached = np.cumsum(weights[order], axis=0) >= weights.sum() / 2
    middle = np.take_along_axis(order, reached.argmax(0)[None], axis=0)
    return np.take_along_axis(values, middle, axis=0)[0]


def main(arguments: list[str]) -> None:
    """Write the map in the package and what frames still lack."""
    data, cache, path = map(Path, arguments)
    people = find_people([data])
    network = CorrectionNetwork.load(weight_path("generator", given=None), choose_placement("cpu", "fp32"))
    more = believed(missing_relief(measured_people(people, measure(people, cache)), Splits(), network))
    with path.open("wb") as file:
        np.savez_compressed(file, levels=half_in_levels(smile_relief() + more))
    print(f"{np.abs(more).max():.3f} at most, {more.std():.3f} on the whole")


if __name__ == "__main__":
    main(sys.argv[1:])
