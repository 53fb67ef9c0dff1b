"""The parts of a photo that the networks are shown, sampled as MediaPipe samples them.

MediaPipe does not smooth before it shrinks: crop pixel ``i`` of ``n`` shows the point ``i / n`` of the way along the
part. As it does the same with the answers, places come out in photo px with pixel centres at integers.

The networks notice differences of a grey level: with another interpolation than MediaPipe's, points move by up to a
pixel of the crop. Therefore `crop` does, step by step, what ``warpPerspective`` of OpenCV 4 does to a rotated
rectangle, which MediaPipe calls; later versions of OpenCV interpolate otherwise.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch

from facemotion.faces.ibug68 import LEFT_EYE, RIGHT_EYE
from facemotion.faces.landmarker.blazeface import Detections
from facemotion.faces.landmarker.roi import Roi

ROI_SCALE = 1.5
"""Sides of the part in units of those of the face's box."""

_EYES_OF_DETECTION = [0, 1]
_EYES_OF_POINTS = [33, 263]  # outer corners

_FOREHEAD = 0.25  # height of what is above the landmarks, in heights of these

_STEPS = 32  # OpenCV 4 interpolates at this many steps a pixel ...
_BLOCK_PX = 64  # ... and adds up places anew after this many pixels of a row
_FARTHEST = 32766  # places are 16 bits wide


def roi_of_picture(shape: tuple[int, ...]) -> Roi:
    """The square that holds a whole picture of shape (H, W, ...), centred."""
    height, width = shape[:2]
    return Roi((width / 2, height / 2), max(width, height), max(width, height), 0.0)


def rois_of_detections(found: Detections) -> list[Roi]:
    """The parts around detected faces, upright by their eyes."""
    rois = []
    for (x0, y0, x1, y1), keypoints in zip(found.boxes.tolist(), found.keypoints, strict=True):
        across, down = np.diff(keypoints[_EYES_OF_DETECTION], axis=0)[0].tolist()
        centre, angle = ((x0 + x1) / 2, (y0 + y1) / 2), math.atan2(down, across)
        rois.append(Roi(centre, ROI_SCALE * (x1 - x0), ROI_SCALE * (y1 - y0), angle))
    return rois


def roi_of_points(points: np.ndarray) -> Roi:
    """The square around a face whose points (478, 2 or 3) are known, to look again or in the next frame of a video."""
    places = np.asarray(points, np.float64)[:, :2]
    low, high = places.min(axis=0), places.max(axis=0)
    across, down = np.diff(places[_EYES_OF_POINTS], axis=0)[0].tolist()
    x, y = ((low + high) / 2).tolist()
    size = ROI_SCALE * float((high - low).max())
    return Roi((x, y), size, size, math.atan2(down, across))


def roi_of_landmarks(landmarks: np.ndarray) -> Roi:
    """The square around a face of which 68 landmarks (68, 2) are known."""
    points = np.asarray(landmarks, np.float64)
    across, down = (points[LEFT_EYE].mean(axis=0) - points[RIGHT_EYE].mean(axis=0)).tolist()
    angle = math.atan2(down, across)
    upright = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned = points @ upright.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    low[1] -= _FOREHEAD * (high[1] - low[1])
    x, y = (upright.T @ ((low + high) / 2)).tolist()
    size = ROI_SCALE * float((high - low).max())
    return Roi((x, y), size, size, angle)


def crop(image: np.ndarray, roi: Roi, size: int, *, repeat_edge: bool) -> np.ndarray:
    """A part of a photo (H, W, 3) uint8 as (size, size, 3) uint8, size a multiple of 64.

    Beyond the photo there is black, or with ``repeat_edge`` the photo's edge. Neither side of the photo may be longer
    than 32766 px.
    """
    x, y = _places(roi, size)
    corners = np.clip(np.stack([x // _STEPS, y // _STEPS], axis=-1), -_FARTHEST, _FARTHEST - 1).astype(np.int16)
    right, down = (torch.from_numpy(place % _STEPS).int()[..., None] for place in (x, y))
    border = cv2.BORDER_REPLICATE if repeat_edge else cv2.BORDER_CONSTANT

    def neighbour(dx: int, dy: int) -> torch.Tensor:
        places = corners + np.array([dx, dy], np.int16)
        return torch.from_numpy(cv2.remap(image, places, None, cv2.INTER_NEAREST, borderMode=border)).int()

    above = neighbour(0, 0) * (_STEPS - right) + neighbour(1, 0) * right
    below = neighbour(0, 1) * (_STEPS - right) + neighbour(1, 1) * right
    total = above * (_STEPS - down) + below * down
    return ((total + _STEPS**2 // 2) // _STEPS**2).byte().numpy()


def _places(roi: Roi, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a crop lie in the photo, x and y (size, size) int64 in steps of a pixel.

    Order and precision of the operations are OpenCV's, as half of all places lie on the edge between two steps.
    """
    corners = np.array([[0, size], [0, 0], [size, 0], [size, size]], np.float32)
    photo_to_crop = cv2.getPerspectiveTransform(_corners(roi), corners)
    _, crop_to_photo = cv2.invert(photo_to_crop)
    column = np.arange(size)
    block = column // _BLOCK_PX * _BLOCK_PX
    row = column[:, None]
    x, y, w = ((a * block + b * row + c) + a * (column - block) for a, b, c in crop_to_photo)
    scale = _STEPS / w
    return np.rint(x * scale).astype(np.int64), np.rint(y * scale).astype(np.int64)


def _corners(roi: Roi) -> np.ndarray:
    """The corners of a part from the lower left one clockwise, (4, 2) float32, as ``RotatedRect::points`` of OpenCV."""
    single = np.float32
    radians = np.deg2rad(np.float64(single(math.degrees(roi.angle))))
    cos, sin = single(np.cos(radians)) * single(0.5), single(np.sin(radians)) * single(0.5)
    x, y, width, height = (single(value) for value in (*roi.centre, roi.width_px, roi.height_px))
    lower = (x - sin * height - cos * width, y + cos * height - sin * width)
    upper = (x + sin * height - cos * width, y - cos * height - sin * width)
    opposite = [(2 * x - corner[0], 2 * y - corner[1]) for corner in (lower, upper)]
    return np.array([lower, upper, *opposite], np.float32)
