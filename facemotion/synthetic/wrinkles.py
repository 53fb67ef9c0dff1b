"""Folds and wrinkles that expressions add, drawn into the photo's skin before it is moved.

A fold is a curve on the head (centimetres, x to the person's left, y up, as the neutral head model) that darkens its
valley and lightens its rims; the recipes' file says where the folds are and which units deepen them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facemotion.synthetic.head import FACE_VERTICES, HeadModel

if TYPE_CHECKING:
    from facemotion.synthetic.portrait import Portrait


@dataclass(frozen=True)
class Fold:
    """A curve with a profile, deepened by units."""

    name: str
    curve: tuple[tuple[float, float], ...]
    """Points (x, y) cm on the neutral head; mirrored when ``mirrored``."""
    width_cm: float
    depth: float
    """Natural logarithm of the darkening at full strength."""
    units: dict[str, float]
    """Weight of each unit, written without side: each side's fold listens to its own side's unit."""
    mirrored: bool = True


_WARMTH = np.array([0.85, 1.05, 1.1], np.float32)
"""Shadows on skin take less of the red."""

FOLDS = (
    Fold("glabella", ((0.60, 4.9), (0.56, 5.7), (0.62, 6.6)), 0.25, 0.28, {"browDown": 0.55, "browTogether": 0.6}),
    Fold(
        "nose root", ((-0.75, 4.35), (0.0, 4.25), (0.75, 4.35)), 0.18, 0.30, {"noseSneer": 0.6, "browDown": 0.35}, False
    ),
    Fold("nose bridge", ((-0.6, 3.75), (0.0, 3.65), (0.6, 3.75)), 0.16, 0.22, {"noseSneer": 0.9}, False),
    Fold("bunny upper", ((0.55, 3.25), (1.0, 2.9), (1.5, 2.75)), 0.16, 0.26, {"noseSneer": 0.9}),
    Fold("bunny lower", ((0.6, 2.6), (1.05, 2.2), (1.5, 2.0)), 0.17, 0.26, {"noseSneer": 0.9}),
    Fold(
        "forehead low",
        ((-3.9, 7.7), (-2.0, 7.95), (0.0, 7.75), (2.0, 7.95), (3.9, 7.7)),
        0.22,
        0.20,
        {"browInnerUp": 0.5, "browOuterUp": 0.5},
        False,
    ),
    Fold(
        "forehead middle",
        ((-3.6, 8.6), (-1.8, 8.85), (0.0, 8.7), (1.8, 8.85), (3.6, 8.6)),
        0.22,
        0.22,
        {"browInnerUp": 0.5, "browOuterUp": 0.5},
        False,
    ),
    Fold(
        "forehead high",
        ((-3.0, 9.5), (0.0, 9.65), (3.0, 9.5)),
        0.22,
        0.16,
        {"browInnerUp": 0.5, "browOuterUp": 0.5},
        False,
    ),
    Fold(
        "nasolabial",
        ((1.5, -0.35), (2.0, -0.95), (2.7, -1.9), (3.2, -2.9), (3.35, -3.7)),
        0.34,
        0.30,
        {"mouthSmile": 0.85, "noseSneer": 0.6, "mouthUpperUp": 0.45, "mouthStretch": 0.2},
    ),
    Fold(
        "crow upper", ((4.85, 3.75), (5.5, 4.1)), 0.15, 0.16, {"cheekSquint": 0.6, "mouthSmile": 0.3, "eyeSquint": 0.3}
    ),
    Fold(
        "crow lower", ((4.85, 3.15), (5.5, 2.85)), 0.15, 0.18, {"cheekSquint": 0.6, "mouthSmile": 0.3, "eyeSquint": 0.3}
    ),
    Fold(
        "lower lid",
        ((1.9, 2.55), (2.7, 2.25), (3.6, 2.2), (4.5, 2.6)),
        0.18,
        0.20,
        {"eyeSquint": 0.5, "cheekSquint": 0.5, "noseSneer": 0.3, "mouthSmile": 0.25},
    ),
    Fold("mouth corner", ((2.75, -3.7), (3.05, -4.4), (3.1, -5.1)), 0.30, 0.26, {"mouthFrown": 0.9}),
    Fold("dimple", ((3.0, -3.0), (3.15, -3.5), (3.05, -4.0)), 0.25, 0.24, {"mouthDimple": 0.8}),
    Fold(
        "chin",
        ((-1.1, -5.35), (0.0, -5.15), (1.1, -5.35)),
        0.24,
        0.22,
        {"mouthShrugLower": 0.9, "mouthPress": 0.35},
        False,
    ),
)


@cache
def smile_shading() -> np.ndarray:
    """(9409,) log-shading of the face's vertices at the peak of a smile, the median of real smile pairs.

    Made by `facemotion.synthetic.pairs.mean_shading` from the training people of the London set.
    """
    with files("facemotion").joinpath("assets/smile_shading.npy").open("rb") as file:
        return np.load(file).astype(np.float32)


def skin(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Typical skin colour (3,) of a face (H, W, 3 float RGB), and how like it each pixel is, (H, W) in [0, 1]."""
    n = image.shape[0]
    cheeks = np.zeros(image.shape[:2], np.uint8)
    for eye, corner in ((slice(36, 42), 48), (slice(42, 48), 54)):
        centre = 0.55 * landmarks[eye].mean(0) + 0.45 * landmarks[corner]
        cv2.circle(cheeks, tuple(np.round(centre).astype(int).tolist()), max(2, n // 28), 1, -1)
    colour = np.median(image[cheeks > 0], axis=0) if cheeks.any() else image.reshape(-1, 3).mean(0)
    smooth = cv2.GaussianBlur(image, (0, 0), max(0.8, n / 250))
    brightness = smooth.mean(2) / (colour.mean() + 1e-3)
    chroma = smooth / (smooth.sum(2, keepdims=True) + 1e-3) - colour / (colour.sum() + 1e-3)
    distance = (chroma**2).sum(2) / 0.035**2 + np.where(
        brightness < 1, (np.log(np.maximum(brightness, 0.05)) / 0.55) ** 2, 0
    )
    likeness = np.exp(-0.5 * distance)
    return colour.astype(np.float32), cv2.GaussianBlur(likeness.astype(np.float32), (0, 0), n / 128)


class FoldMaps:
    """The folds of one portrait: their log-shading where they lie in the photo."""

    def __init__(self, portrait: Portrait):
        n = portrait.size_px
        vertices, points = portrait.head.vertices[FACE_VERTICES], portrait.source_points[FACE_VERTICES]
        front = np.flatnonzero(vertices[:, 2] > 4)
        plane = vertices[front, :2]
        likeness = np.clip(1.6 * portrait.skin_likeness - 0.2, 0, 1)
        self.maps: list[tuple[dict[str, float], np.ndarray]] = []
        for fold in FOLDS:
            for side, sign in (("L", 1.0), ("R", -1.0)) if fold.mirrored else (("", 1.0),):
                curve = _dense(np.array(fold.curve) * (sign, 1))
                distance = ((curve[:, None] - plane[None]) ** 2).sum(-1)
                nearest = np.argpartition(distance, 6, axis=1)[:, :6]
                weight = 1 / (np.take_along_axis(distance, nearest, 1) + 0.01)
                path = (points[front[nearest]] * (weight / weight.sum(1, keepdims=True))[..., None]).sum(1)
                profile = _profile(path, fold.width_cm * portrait.fit.scale, n)
                units = _units_of(fold, side, portrait.head)
                self.maps.append((units, (fold.depth * profile * likeness).astype(np.float32)))

    def applied(self, image: np.ndarray, strengths: np.ndarray, head: HeadModel, scale: float) -> np.ndarray:
        """The photo (N, N, 3) with its folds at the depth that these unit strengths (U,) give them."""
        total = None
        for units, shading in self.maps:
            depth = scale * min(
                1.4, sum(value * max(0.0, strengths[head.unit_index[name]]) for name, value in units.items())
            )
            if depth > 0.02:
                total = depth * shading if total is None else total + depth * shading
        return image if total is None else image * np.exp(total[..., None] * _WARMTH)


def _units_of(fold: Fold, side: str, head: HeadModel) -> dict[str, float]:
    """Weight of each of the head's units that deepen a fold on ``side``, or on both when that is empty."""
    weights = {}
    for unit, value in fold.units.items():
        sides = [f"{unit}_{letter}" for letter in side or "LR"]
        names = [name for name in (*sides, unit) if name in head.unit_index]
        weights |= {name: value / len(names) for name in names}
    return weights


def _dense(curve: np.ndarray) -> np.ndarray:
    """A curve of few points, smoothed and resampled to 24."""
    t = np.linspace(0, 1, len(curve))
    if len(curve) == 2:
        return curve[0] + np.linspace(0, 1, 24)[:, None] * (curve[1] - curve[0])
    degree = min(len(curve) - 1, 3)
    s = np.linspace(0, 1, 24)
    return np.column_stack([np.polyval(np.polyfit(t, curve[:, j], degree), s) for j in range(2)])


def _profile(path: np.ndarray, width_px: float, size_px: int) -> np.ndarray:
    """Log-shading (N, N) of a fold along a path: -1 in the valley, lighter rims, fading out at both ends."""
    drawn = np.zeros((size_px, size_px), np.float32)
    taper = np.sin(np.pi * np.linspace(0.08, 0.92, len(path) - 1))
    fixed = np.round(path * 16).astype(int)
    for a, b, value in zip(fixed[:-1], fixed[1:], taper, strict=True):
        cv2.line(drawn, tuple(a.tolist()), tuple(b.tolist()), float(value), 1, cv2.LINE_8, 4)
    sigma = max(0.7, 0.5 * width_px)
    valley = cv2.GaussianBlur(drawn, (0, 0), sigma) * sigma
    rims = cv2.GaussianBlur(drawn, (0, 0), 2.2 * sigma) * sigma
    return -np.sqrt(2 * np.pi) * (1.35 * valley - 1.1 * rims)
