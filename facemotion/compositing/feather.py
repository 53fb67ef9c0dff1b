"""Where a face may change, and how softly that ends."""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.faces.geometry import smoothstep

# All in crop widths.
_FULL_BEYOND_HULL = 0.02
_FADE = 0.12
_BORDER_ZERO = 0.01
_BORDER_ONE = 0.08


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
    soft = cv2.GaussianBlur(smoothstep(1 - (distance - _FULL_BEYOND_HULL) / _FADE), (0, 0), size / 100)
    from_edge = (np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5) / size
    border = smoothstep((from_edge - _BORDER_ZERO) / (_BORDER_ONE - _BORDER_ZERO))
    feather = soft * border * border[:, None]
    feather[feather < 1 / 512] = 0
    feather[feather > 511 / 512] = 1
    return feather.astype(np.float32)
