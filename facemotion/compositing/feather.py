"""Where a face may change, where it may be painted, and how softly that ends."""

from __future__ import annotations

import cv2
import numpy as np

# All in crop widths.
_FULL_BEYOND_HULL = 0.02
_FADE = 0.12
_BORDER_ZERO = 0.01
_BORDER_ONE = 0.08
_FREE_OF_PAINT, _PAINT_FADE = 0.035, 0.05  # inwards from the outline of jaw and cheeks
_AROUND_FEATURES = 0.03  # eyes and mouth may be painted, and so far around them, wherever the outline is


def face_feather(landmarks: np.ndarray, size: int) -> np.ndarray:
    """How far each place of a crop may change: 1 on the face, falling smoothly to 0 before the crop's border.

    The face is the hull of its landmarks, with forehead, ears and the room of a dropped jaw.

    landmarks: (68, 2) px in the crop of ``size`` px. Returns (size, size) float32 in [0, 1].
    """
    points = np.asarray(landmarks, dtype=np.float64)
    up = points[36:48].mean(axis=0) - points[48:68].mean(axis=0)
    forehead, dropped_chin = points[17:27] + 0.7 * up, points[4:13] - 0.35 * up
    hull = cv2.convexHull(np.rint(np.vstack([points, forehead, dropped_chin])).astype(np.int32))
    outside = np.ones((size, size), np.uint8)
    cv2.fillConvexPoly(outside, hull, 0)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / size
    soft = cv2.GaussianBlur(_smoothstep(1 - (distance - _FULL_BEYOND_HULL) / _FADE), (0, 0), size / 100)
    from_edge = (np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5) / size
    border = _smoothstep((from_edge - _BORDER_ZERO) / (_BORDER_ONE - _BORDER_ZERO))
    feather = soft * border * border[:, None]
    feather[feather < 1 / 512] = 0
    feather[feather > 511 / 512] = 1
    return feather.astype(np.float32)


def paint_feather(landmarks: np.ndarray, size: int) -> np.ndarray:
    """How far each place of a photo's crop may be painted over: 1 within the face, falling to 0 at jaw and cheeks.

    There the photo's own pixels, moved, are a sharp outline; paint would be a blurred one with a halo beside it. Eyes
    and mouth may be painted even where a turned head has them at its outline.

    landmarks: (68, 2) px in the crop of ``size`` px. Returns (size, size) float32 in [0, 1].
    """
    points = np.rint(landmarks).astype(np.int32)
    jaw = points[:17]
    top = jaw[[16, 0]] + np.rint(2 * (points[[16, 0]] - points[8])).astype(np.int32)  # beyond the forehead
    inside = np.zeros((size, size), np.uint8)
    cv2.fillPoly(inside, [np.vstack([jaw, top])], 1)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / size
    within = _smoothstep((distance - _FREE_OF_PAINT) / _PAINT_FADE)
    away = np.ones((size, size), np.uint8)
    for feature in (points[36:42], points[42:48], points[48:60]):
        cv2.fillConvexPoly(away, cv2.convexHull(feature), 0)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / size
    return np.maximum(within, _smoothstep(2 - distance / _AROUND_FEATURES)).astype(np.float32)


def _smoothstep(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
