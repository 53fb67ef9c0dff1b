"""How the landmark network frames a face: as the generator's crop does, but closer."""

import numpy as np

from facemotion.faces.geometry import photo_to_crop

ZOOM = 1.25
"""Magnification against `geometry.photo_to_crop` of the same size: landmarks need pixels, not hair and collar."""

RAISED = 0.06
"""How much higher the face sits than in the generator's crop, in crop widths: brows to chin in the middle."""


MIRROR_68 = np.array([
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
])  # fmt: skip
"""The order of the 68 iBUG points in the mirror: the left jaw becomes the right one, and so on."""


def tight_crop(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The similarity (2, 3) from photo px to a close upright crop of ``size`` px; landmarks: (68, 2) photo px."""
    transform = photo_to_crop(landmarks, size) * ZOOM
    middle = (size - 1) / 2
    transform[:, 2] += (1 - ZOOM) * middle
    transform[1, 2] -= RAISED * size
    return transform


def crop_of_points(points: np.ndarray, size: int) -> np.ndarray:
    """`tight_crop` from five points (5, 2): eye centres, nose tip, mouth corners."""
    landmarks = np.empty((68, 2))
    landmarks[:] = points[2]
    landmarks[36:42], landmarks[42:48] = points[0], points[1]
    landmarks[48:] = (points[3] + points[4]) / 2
    return tight_crop(landmarks, size)


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Eye centres, nose tip, mouth corners (5, 2) of 68 landmarks."""
    return np.stack([landmarks[36:42].mean(0), landmarks[42:48].mean(0), landmarks[30], landmarks[48], landmarks[54]])
