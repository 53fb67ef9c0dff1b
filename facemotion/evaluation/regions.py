"""Parts of a face: groups of the 68 landmarks, regions of pixels, one head laid on another.

Landmarks are iBUG-68 (x, y) px of an upright crop, pixel centres at integers; y grows downwards.
"""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.faces.geometry import fitted_similarity
from facemotion.faces.ibug68 import inter_ocular

ANCHORS = (36, 39, 42, 45)
"""Corners of the eyes: no expression moves them much, so that motion is measured against them."""

RIGID = (0, 1, 15, 16, 27, 28, 29, 30)
"""Temples and bridge of the nose: what moves here is the head, and no expression should move it."""

_MARGIN = {"face": 0.12, "mouth": 0.15, "eyes": 0.12}
"""Regions in which images are compared: the face, the mouth, and both eyes with their brows."""


def head_similarity(landmarks: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`fitted_similarity` over what no expression moves: corners of the eyes, temples, bridge of the nose; (68, 2)."""
    points = list(ANCHORS + RIGID)
    return fitted_similarity(landmarks[points], target[points])


def pixel_region(name: str, landmarks: list[np.ndarray], size: int) -> np.ndarray:
    """Where the region ``name`` lies in any of several frames: bool (size, size).

    landmarks: (68, 2) px each. The region is the union of the convex hulls of its points, ``_MARGIN`` inter-ocular
    distances wider; a mouth that opens is compared where it was and where it is.
    """
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
    return [tuple(range(48, 68)) if name == "mouth" else tuple(range(68))]
