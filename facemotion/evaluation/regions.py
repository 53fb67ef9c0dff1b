"""Parts of a face: groups of the 68 landmarks, regions of pixels, and what each expression should move or leave alone.

Landmarks are iBUG-68 (x, y) px of an upright crop, pixel centres at integers; y grows downwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemotion.faces.ibug68 import inter_ocular

if TYPE_CHECKING:
    import numpy as np

POINTS: dict[str, tuple[int, ...]] = {
    "all": tuple(range(68)),
    "jaw": tuple(range(17)),
    "brows": tuple(range(17, 27)),
    "nose": tuple(range(27, 36)),
    "eyes": tuple(range(36, 48)),
    "mouth": tuple(range(48, 68)),
}
"""Landmarks by part of the face."""

ANCHORS = (36, 39, 42, 45)
"""Corners of the eyes: no expression moves them much, so that motion is measured against them."""

RIGID = (0, 1, 15, 16, 27, 28, 29, 30)
"""Temples and bridge of the nose: what moves here is the head, and no expression should move it."""

UNITS = (
    "brow_inner",
    "brow_outer",
    "brow_gap",
    "lids",
    "upper_lip",
    "corner_up",
    "corner_out",
    "corner_skew",
    "mouth_open",
    "jaw",
)
"""Facial units whose motion is measured; ``motion.unit_motion`` says what each one is."""

LEADING: dict[str, tuple[str, ...]] = {
    "smile": ("corner_out", "corner_up"),
    "surprise": ("brow_inner", "brow_outer", "mouth_open", "jaw"),
    "anger": ("brow_inner", "brow_gap"),
    "sadness": ("brow_inner", "corner_up"),
    "disgust": ("upper_lip", "lids"),
    "fear": ("brow_inner", "lids", "corner_out"),
    "contempt": ("corner_skew",),
    "blink": ("lids",),
    "closed-smile": ("corner_out", "corner_up"),
}
"""The units by which each expression is known (FACS: 12; 1 2 26; 4; 1 15; 9 10; 1 5 20; 14 on one side; 45;
12)."""

STILL: dict[str, tuple[str, ...]] = {
    "smile": ("brows",),
    "surprise": ("nose",),
    "contempt": ("brows", "eyes"),
    "blink": ("mouth", "jaw"),
    "closed-smile": ("brows",),
}
"""Parts that an expression has no business moving; measured as cross-talk."""

ONE_SIDED = frozenset({"contempt"})
"""Expressions that are not symmetric by definition."""

_MARGIN = {"face": 0.12, "mouth": 0.15, "eyes": 0.12}
PIXEL_REGIONS = tuple(_MARGIN)
"""Regions in which images are compared: the face, the mouth, and both eyes with their brows."""


def leading_units(expression: dict[str, float]) -> tuple[str, ...]:
    """The units that a (mixed) expression is known by; every unit for a name that is not in ``LEADING``."""
    units = {unit for name, weight in expression.items() if weight > 0 for unit in LEADING.get(name, UNITS)}
    return tuple(unit for unit in UNITS if unit in units)


def still_points(expression: dict[str, float]) -> tuple[int, ...]:
    """Landmarks that none of the expression's parts should move; empty where nothing is certain."""
    parts = [set(STILL.get(name, ())) for name, weight in expression.items() if weight > 0]
    return tuple(i for part in sorted(set.intersection(*parts)) for i in POINTS[part]) if parts else ()


def pixel_region(name: str, landmarks: list[np.ndarray], size: int) -> np.ndarray:
    """Where the region ``name`` lies in any of several frames: bool (size, size).

    landmarks: (68, 2) px each. The region is the union of the convex hulls of its points, ``_MARGIN`` inter-ocular
    distances wider; a mouth that opens is compared where it was and where it is.
    """
    import cv2
    import numpy as np

    mask = np.zeros((size, size), np.uint8)
    for points in landmarks:
        for group in _outlines(name):
            hull = cv2.convexHull(np.asarray(points, np.float32)[list(group)])
            cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    margin = round(_MARGIN[name] * inter_ocular(landmarks[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return cv2.dilate(mask, kernel).astype(bool)


def _outlines(name: str) -> list[tuple[int, ...]]:
    if name == "eyes":
        return [(*range(17, 22), *range(36, 42)), (*range(22, 27), *range(42, 48))]
    return [POINTS["mouth"] if name == "mouth" else POINTS["all"]]
