"""Folds that units deepen, as log-gains in the photo's own place; those of smiles are in `smile_relief`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from facemotion.head.model import FACE_VERTICES, Head
from facemotion.head.own_units import own_units
from facemotion.head.rig import Rig
from facemotion.rendering.light import on_skin, smooth

_BROW_RAISE = {"browInnerUp": 0.5, "browOuterUp": 0.5}
_CROW = {"cheekSquint": 0.6, "eyeSquint": 0.3}


@dataclass(frozen=True)
class FoldCurve:
    """A curve on the neutral head that darkens its valley and lightens its rims."""

    name: str
    curve: tuple[tuple[float, float], ...]
    """Points (x, y) cm; mirrored when ``mirrored``."""
    width_cm: float
    depth: float
    """Natural logarithm of the darkening, in linear light, at full strength."""
    units: dict[str, float]
    """Weight of each unit, written without side: each side's fold listens to its own side's unit."""
    mirrored: bool = True
    smile: float = 0.0
    """Weight of ``mouthSmile`` where a photo's own fold is to go; the fold of a new smile is in `smile_relief`."""


FOLDS = (
    FoldCurve("glabella", ((0.60, 4.9), (0.56, 5.7), (0.62, 6.6)), 0.25, 0.50, {"browDown": 0.9}),
    FoldCurve(
        "nose root", ((-0.75, 4.35), (0.0, 4.25), (0.75, 4.35)), 0.18, 0.6, {"noseSneer": 0.6, "browDown": 0.4}, False
    ),
    FoldCurve("nose bridge", ((-0.6, 3.75), (0.0, 3.65), (0.6, 3.75)), 0.16, 0.44, {"noseSneer": 0.9}, False),
    FoldCurve("bunny upper", ((0.55, 3.25), (1.0, 2.9), (1.5, 2.75)), 0.16, 0.5, {"noseSneer": 0.9}),
    FoldCurve("bunny lower", ((0.6, 2.6), (1.05, 2.2), (1.5, 2.0)), 0.17, 0.5, {"noseSneer": 0.9}),
    FoldCurve(
        "forehead low", ((-3.9, 7.7), (-2.0, 7.95), (0.0, 7.75), (2.0, 7.95), (3.9, 7.7)), 0.22, 0.4, _BROW_RAISE, False
    ),
    FoldCurve(
        "forehead middle",
        ((-3.6, 8.6), (-1.8, 8.85), (0.0, 8.7), (1.8, 8.85), (3.6, 8.6)),
        0.22,
        0.42,
        _BROW_RAISE,
        False,
    ),
    FoldCurve("forehead high", ((-3.0, 9.5), (0.0, 9.65), (3.0, 9.5)), 0.22, 0.3, _BROW_RAISE, False),
    FoldCurve(
        "nasolabial",
        ((1.5, -0.35), (2.0, -0.95), (2.7, -1.9), (3.2, -2.9), (3.35, -3.7)),
        0.34,
        0.6,
        {"noseSneer": 0.6, "mouthUpperUp": 0.45, "mouthStretch": 0.2},
        smile=0.85,
    ),
    FoldCurve("crow upper", ((4.85, 3.75), (5.5, 4.1)), 0.15, 0.32, _CROW, smile=0.3),
    FoldCurve("crow lower", ((4.85, 3.15), (5.5, 2.85)), 0.15, 0.36, _CROW, smile=0.3),
    FoldCurve(
        "lower lid",
        ((1.9, 2.55), (2.7, 2.25), (3.6, 2.2), (4.5, 2.6)),
        0.18,
        0.42,
        {"eyeSquint": 0.5, "cheekSquint": 0.5, "noseSneer": 0.3},
        smile=0.25,
    ),
    FoldCurve("mouth corner", ((2.75, -3.7), (3.05, -4.4), (3.1, -5.1)), 0.30, 0.5, {"mouthFrown": 0.9}),
    FoldCurve("dimple", ((3.0, -3.0), (3.15, -3.5), (3.05, -4.0)), 0.25, 0.5, {"mouthDimple": 0.8}),
    FoldCurve(
        "chin",
        ((-1.1, -5.35), (0.0, -5.15), (1.1, -5.35)),
        0.24,
        0.42,
        {"mouthShrugLower": 0.9, "mouthPress": 0.35},
        False,
    ),
)
_FAINTEST, _DEEPEST = 0.02, 1.4
"""Depths between which folds are drawn."""
_SMOOTHED = 0.8
"""How much of the photo's own fold goes with the units that made it; people have some at rest, too."""
_LEAST_SHOWN = 0.15
"""Depth below which a photo's own fold is not laid to its expression."""
_RELIEF = -0.7, 0.5
"""How dark or bright (natural logarithm) skin in a fold can be beside its surroundings; more is hair or a shadow."""
_DARKEST = 1e-3


@dataclass(frozen=True, eq=False)
class _PhotoFold:
    """A fold in the place where one photo has or would have it; maps are log-gains over a part of its crop."""

    where: tuple[slice, slice]
    deepened: np.ndarray
    """What a depth of 1 adds."""
    smoothed: np.ndarray
    """What takes away the fold that the photo shows."""
    shown: float
    """Depth that the photo's own units account for."""

    def log_gain(self, depth: float, smile: float) -> np.ndarray | None:
        """At a depth, and what a smile adds to it: a new fold is drawn, but only what the photo shows is taken away."""
        deeper, less = min(depth, _DEEPEST), depth + smile
        if deeper > _FAINTEST:
            return deeper * self.deepened
        if less < -_FAINTEST:
            return min(-less / max(self.shown, _LEAST_SHOWN), 1.0) * self.smoothed
        return None


class Wrinkles:
    """The folds of one photo, as maps of log-gain in its crop."""

    def __init__(self, rig: Rig, likeness: np.ndarray, luminance: np.ndarray):
        """likeness: (n, n) in [0, 1], where the crop looks like the face's skin. luminance: (n, n), in linear light."""
        self._size_px = luminance.shape[0]
        ratio = self._size_px / rig.size_px
        points = (rig.source[:FACE_VERTICES, :2] + 0.5) * ratio - 0.5
        skin = on_skin(likeness)
        log_luminance = np.log(np.maximum(luminance, _DARKEST))
        own = own_units(rig.fit.units)
        self._folds: list[_PhotoFold] = []
        weights, smiles = [], []
        for fold, side, nearest, weight in fold_paths(rig.head):
            path = (points[nearest] * weight[..., None]).sum(1)
            width = fold.width_cm * rig.fit.scale * ratio
            where, profile = _profile(path, width, self._size_px)
            if profile.size:
                weights.append(_weights_of(fold.units, side, rig.head.unit_index))
                smiles.append(_weights_of({"mouthSmile": fold.smile}, side, rig.head.unit_index))
                smoothed = _smoothing(log_luminance[where], profile, width) * skin[where]
                deepened = (fold.depth * profile * skin[where]).astype(np.float32)
                shown = float((weights[-1] + smiles[-1]) @ own)
                self._folds.append(_PhotoFold(where, deepened, smoothed, shown))
        self._weights = np.array([weights, smiles]).reshape(2, -1, len(rig.head.unit_names))

    def log_gain(self, control: np.ndarray) -> np.ndarray | None:
        """(n, n) log-gain of the folds that a control (U,) deepens or smooths; None where it does neither."""
        total = None
        for fold, depth, smile in zip(self._folds, *(self._weights @ control).tolist(), strict=True):
            gain = fold.log_gain(depth, smile)
            if gain is not None:
                if total is None:
                    total = np.zeros((self._size_px, self._size_px), np.float32)
                total[fold.where] += gain
        return total


def _smoothing(log_luminance: np.ndarray, profile: np.ndarray, width_px: float) -> np.ndarray:
    """Log-gain that takes `_SMOOTHED` of a photo's own fold away: of what is as wide as the fold and lies on it.

    log_luminance, profile: (h, w) around the fold.
    """
    sigma = _sigma(width_px)
    relief = smooth(log_luminance, 0.6 * sigma) - smooth(log_luminance, 3 * sigma)
    on_fold = np.clip(2 * np.abs(profile) / np.abs(profile).max(), 0, 1).astype(np.float32)
    return (-_SMOOTHED * np.clip(relief, *_RELIEF) * smooth(on_fold, sigma)).astype(np.float32)


@cache
def fold_paths(head: Head) -> list[tuple[FoldCurve, str, np.ndarray, np.ndarray]]:
    """Every fold with its side, and as what mean of which vertices its points lie: (24, 6) indices and weights."""
    vertices = head.vertices[:FACE_VERTICES]
    front = np.flatnonzero(vertices[:, 2] > 4)
    plane = vertices[front, :2]
    paths = []
    for fold in FOLDS:
        for side, sign in (("Left", 1.0), ("Right", -1.0)) if fold.mirrored else (("", 1.0),):
            curve = _dense(np.array(fold.curve) * (sign, 1))
            distance = ((curve[:, None] - plane[None]) ** 2).sum(-1)
            nearest = np.argpartition(distance, 6, axis=1)[:, :6]
            weight = 1 / (np.take_along_axis(distance, nearest, 1) + 0.01)
            paths.append((fold, side, front[nearest], weight / weight.sum(1, keepdims=True)))
    return paths


def _weights_of(units: dict[str, float], side: str, index: dict[str, int]) -> np.ndarray:
    """(U,) weights of units written without side, for one side's fold."""
    weights = np.zeros(len(index))
    for unit, value in units.items():
        names = [
            name for name in (unit, *(f"{unit}{s}" for s in ([side] if side else ["Left", "Right"]))) if name in index
        ]
        weights[[index[name] for name in names]] = value / max(len(names), 1)
    return weights


def _dense(curve: np.ndarray) -> np.ndarray:
    """A curve of few points, smoothed and resampled to 24."""
    t, s = np.linspace(0, 1, len(curve)), np.linspace(0, 1, 24)
    degree = min(len(curve) - 1, 3)
    return np.column_stack([np.polyval(np.polyfit(t, curve[:, j], degree), s) for j in range(2)])


def _sigma(width_px: float) -> float:
    return max(0.7, 0.5 * width_px)


def _profile(path: np.ndarray, width_px: float, size_px: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """Log-shading of a fold along a path (n, 2) px: -1 in the valley, lighter rims, fading out at both ends; and where
    in the crop it lies."""
    sigma = _sigma(width_px)
    margin = 8 * sigma + 2
    (x0, y0), (x1, y1) = np.floor(path.min(0) - margin).astype(int), np.ceil(path.max(0) + margin).astype(int)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, size_px), min(y1, size_px)
    where = slice(y0, y1), slice(x0, x1)
    if x1 - x0 < 3 or y1 - y0 < 3:
        return where, np.zeros((0, 0), np.float32)
    drawn = np.zeros((y1 - y0, x1 - x0), np.float32)
    taper = np.sin(np.pi * np.linspace(0.08, 0.92, len(path) - 1))
    fixed = np.round((path - (x0, y0)) * 16).astype(int)
    for a, b, value in zip(fixed[:-1], fixed[1:], taper, strict=True):
        cv2.line(drawn, tuple(a.tolist()), tuple(b.tolist()), float(value), 1, cv2.LINE_8, 4)
    valley = cv2.GaussianBlur(drawn, (0, 0), sigma) * sigma
    rims = cv2.GaussianBlur(drawn, (0, 0), 2.2 * sigma) * sigma
    return where, -np.sqrt(2 * np.pi) * (1.35 * valley - 1.1 * rims)
