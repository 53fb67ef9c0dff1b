"""Where the crop lies in the photo, and the one place for pixel conventions.

Points are (x, y) with **pixel centres at integer coordinates** (OpenCV's convention; `grid_sample` with
``align_corners=True`` on them): an image of width W covers the continuous interval from -0.5 to W - 0.5.

A crop of any size, and every map the generator makes of it, covers the *same square edge to edge*: element ``i`` of
``n`` lies at ``(i + 0.5) / n`` crop widths from the square's left edge (`resized`). So a 256 px crop is exactly the
512 px crop shrunk by two, and resizing with `cv2.resize` or ``align_corners=False`` keeps everything in its place.

Transforms are (2, 3) float64 matrices named after both ends: ``apply(photo_to_crop, points_in_photo)``.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from facemotion.errors import InputError

CROP_SCALE = 2.3
"""Crop width in units of the larger of 1.6 eye distances and 1.8 eye-to-mouth distances."""

CENTRE = (0.5, 0.55)
"""Where the point halfway between eyes and mouth lies, in crop widths from the crop's upper left edge."""


def photo_to_crop(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The similarity that brings a face upright into a square crop of ``size`` px.

    The eyes become level, the point halfway between eyes and mouth comes to `CENTRE`, and the width of the crop
    follows from the distances between eyes and mouth; the expression of the face moves it little.

    landmarks: (68, 2) photo px, finite. Returns (2, 3) float64. Raises ValueError for a face without extent.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    left_eye, right_eye, mouth = (points[part].mean(axis=0) for part in (slice(36, 42), slice(42, 48), slice(48, 68)))
    eyes = (left_eye + right_eye) / 2
    along = right_eye - left_eye
    extent = max(1.6 * np.hypot(*along), 1.8 * np.hypot(*(mouth - eyes)))
    if not (np.isfinite(points).all() and extent > 0):
        raise ValueError("the landmarks of a face must be finite and must not all lie in one point")
    scale = size / (CROP_SCALE * extent)
    angle = math.atan2(along[1], along[0])
    linear = scale * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    target = np.array(CENTRE) * size - 0.5
    return np.hstack([linear, (target - linear @ ((eyes + mouth) / 2))[:, None]])


def resized(size: int, new_size: int) -> np.ndarray:
    """The transform between two sizes of the same square: edges stay on edges. Returns (2, 3) float64."""
    ratio = new_size / size
    shift = 0.5 * ratio - 0.5
    return np.array([[ratio, 0, shift], [0, ratio, shift]])


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) seen through an affine transform (2, 3)."""
    return np.asarray(points) @ transform[:, :2].T + transform[:, 2]


def invert(transform: np.ndarray) -> np.ndarray:
    """The affine transform back. Raises numpy.linalg.LinAlgError where there is none."""
    (a, b, _), (c, d, _) = transform.tolist()
    determinant = a * d - b * c
    if not determinant:
        raise np.linalg.LinAlgError("a transform onto a line has no way back")
    back = np.array([[d, -b, 0], [-c, a, 0]]) / determinant
    back[:, 2] = -(back[:, :2] @ transform[:, 2])
    return back


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The affine transform that does ``first``, then ``second``."""
    both = second[:, :2] @ first
    both[:, 2] += second[:, 2]
    return both


def fitted_similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift (2, 3) that brings points (N, 2) nearest to target (N, 2) in least squares.

    Umeyama 1991, by scikit-image. Raises InputError where the points of one side are all the same.
    """
    from skimage.transform import SimilarityTransform  # here: what else needs this module does without it

    a, b = (np.asarray(side, np.float64) for side in (points, target))
    if hasattr(SimilarityTransform, "from_estimate"):
        fitted = SimilarityTransform.from_estimate(a, b)
        found = bool(fitted)
    else:  # scikit-image before 0.26
        fitted = SimilarityTransform()
        found = fitted.estimate(a, b)
    if not found or not np.isfinite(fitted.params).all():
        raise InputError("The landmarks of a face lie all in one place.", "Use another picture.")
    return fitted.params[:2]


def scale_of(transform: np.ndarray) -> float:
    """Length of a unit step after a similarity."""
    (a, b, _), (c, d, _) = transform.tolist()
    return math.sqrt(abs(a * d - b * c))


def warp_crop(image: np.ndarray, photo_to_crop: np.ndarray, size: int) -> np.ndarray:
    """The square crop of ``size`` px that a similarity takes from an image.

    Bilinear where the crop enlarges; where it shrinks, each crop pixel is the mean over its area in the photo.
    Outside the photo, its edge is repeated.

    image: (H, W) or (H, W, C), uint8 or float32. Returns (size, size[, C]) of the same type.
    """
    oversampling = max(1, math.ceil(1 / scale_of(photo_to_crop) - 1e-6))
    fine_size = size * oversampling
    photo_to_fine = compose(photo_to_crop, resized(size, fine_size))
    x0, y0, x1, y1 = square_in_photo(photo_to_crop, size, image.shape)
    region = np.ascontiguousarray(image[y0:y1, x0:x1])
    region_to_fine = compose(np.array([[1.0, 0, x0], [0, 1.0, y0]]), photo_to_fine)
    fine = cv2.warpAffine(
        region, region_to_fine, (fine_size, fine_size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return fine if oversampling == 1 else cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)


def square_in_photo(photo_to_crop: np.ndarray, size: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Pixel bounds (x0, y0, x1, y1), ends excluded, of the crop's square within a photo of ``shape`` (H, W, ...).

    Two pixels wider than the square, for interpolation; never empty, also where the square misses the photo.
    """
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) - 0.5
    corners = apply(invert(photo_to_crop), corners)
    height, width = shape[:2]
    x0, y0 = np.floor(corners.min(axis=0)).astype(int) - 2
    x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + 3
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return int(x0), int(y0), int(max(min(x1, width), x0 + 1)), int(max(min(y1, height), y0 + 1))


def smoothstep(share: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, and between them 3 t² − 2 t³, which begins and ends without a kink."""
    t = np.clip(share, 0, 1)
    return t * t * (3 - 2 * t)
