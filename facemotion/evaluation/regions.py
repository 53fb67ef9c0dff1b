"""Parts of a face: groups of the 68 landmarks, regions of pixels, one head laid on another.

Landmarks are iBUG-68 (x, y) px of an upright crop, pixel centres at integers; y grows downwards.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from facemotion.faces.geometry import fitted_similarity
from facemotion.faces.ibug68 import inter_ocular

ANCHORS = (36, 39, 42, 45)
"""Corners of the eyes: no expression moves them much, so that motion is measured against them."""

RIGID = (0, 1, 15, 16, 27, 28, 29, 30)
"""Temples and bridge of the nose: what moves here is the head, and no expression should move it."""

STILL = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 127, 356, 162, 389, 21, 251, 234, 454)
"""Face Mesh landmarks that no expression moves much: corners of the eyes, ridge and tip of the nose, temples, ears."""

FOREHEAD = (104, 69, 108, 151, 337, 299, 333, 107, 9, 336)
"""Face Mesh landmarks around the skin above the brows."""

_SMOOTHING = 2.5
"""Of the thin-plate spline, px²: landmarks are not followed closer than their own noise."""

_MARGIN = {"face": 0.12, "mouth": 0.15, "eyes": 0.12}
"""Regions in which images are compared: the face, the mouth, and both eyes with their brows."""


def head_similarity(landmarks: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`fitted_similarity` over what no expression moves: corners of the eyes, temples, bridge of the nose; (68, 2)."""
    points = list(ANCHORS + RIGID)
    return fitted_similarity(landmarks[points], target[points])


def laid_on(image: np.ndarray, points: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
    """An image (H, W, 3) uint8 with its head laid on another one's in a square of ``size`` px.

    points, target: (468 or more, 2) px of the image and of the square. A thin-plate spline (Bookstein 1989) through
    what no expression moves: it follows how heads are turned and lenses draw them, and leaves the mouth as it is.
    """
    still = list(STILL)
    back = RBFInterpolator(target[still], points[still], kernel="thin_plate_spline", smoothing=_SMOOTHING)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 2).astype(np.float64)
    at = back(grid).reshape(size, size, 2).astype(np.float32)
    return cv2.remap(image, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def forehead_region(points: np.ndarray, size: int) -> np.ndarray:
    """Bool (size, size) where the forehead lies; points (468 or more, 2) px."""
    mask = np.zeros((size, size), np.uint8)
    hull = cv2.convexHull(np.asarray(points, np.float32)[list(FOREHEAD)])
    return cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1).astype(bool)


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
