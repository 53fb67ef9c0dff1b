"""From a photo to the places where the detector sees faces: picture pyramid, decoding, merging."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from facemotion.faces.finder_networks import OUTSIDE, Detector, detector_input

SMALLEST_LEVEL_PX = 40
"""Where the pyramid ends: a face filling this level is still within the detector's range."""

PADDING_PX = 16
"""What is shown to the detector beyond the photo's edges, for faces that reach over them."""


@dataclass(frozen=True)
class Candidate:
    """A place where the detector sees a face: centre (2,), longer side and five points (5, 2) in photo px."""

    score: float
    centre: np.ndarray
    size_px: float
    points: np.ndarray


def shrunk(image: np.ndarray, longer_px: int) -> np.ndarray:
    """The picture with its longer side at most ``longer_px``, every pixel the mean over its area."""
    scale = longer_px / max(image.shape[:2])
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def pyramid(image: np.ndarray, longer_px: int) -> list[np.ndarray]:
    """The picture at ``longer_px`` or less, and at halves of that."""
    levels = [shrunk(image, longer_px)]
    while max(levels[-1].shape[:2]) >= 2 * SMALLEST_LEVEL_PX:
        levels.append(shrunk(levels[-1], (max(levels[-1].shape[:2]) + 1) // 2))
    return levels


@torch.inference_mode()
def candidates(
    detector: Detector, level: np.ndarray, photo_shape: Sequence[int], *, least_score: float
) -> list[Candidate]:
    """Where the detector sees faces on one level of the pyramid of a photo of shape (H, W, ...)."""
    height, width = level.shape[:2]
    config = detector.config
    padded_shape = [-(-(side + 2 * PADDING_PX) // config.stride) * config.stride for side in (height, width)]
    padded = np.full((*padded_shape, 3), OUTSIDE, np.uint8)
    padded[PADDING_PX : PADDING_PX + height, PADDING_PX : PADDING_PX + width] = level
    out = detector(detector_input(padded[None]).contiguous(memory_format=torch.channels_last))[0].numpy()
    scores = 1 / (1 + np.exp(-out[0]))
    rows, columns = np.nonzero(scores > least_score)
    to_photo = np.array(photo_shape[1::-1]) / (width, height)
    found = []
    for row, column in zip(rows, columns, strict=True):
        answer = out[:, row, column]
        cell = (np.array([column, row]) + 0.5) * config.stride - 0.5 - PADDING_PX
        places = cell + Detector.offset_px * np.vstack([answer[1:3], answer[4:].reshape(5, 2)])
        places = (places + 0.5) * to_photo - 0.5
        size_px = float(np.exp(np.clip(answer[3], -2, 2))) * (config.smallest_px * config.largest_px) ** 0.5
        found.append(Candidate(float(scores[row, column]), places[0], size_px * to_photo.mean(), places[1:]))
    return found


def merge(found: Sequence[Candidate]) -> list[Candidate]:
    """One candidate for each place, the mean of its neighbours weighted by score (best first)."""
    left = sorted(found, key=lambda candidate: -candidate.score)
    merged = []
    while left:
        best = left[0]
        overlaps = [overlap(best, other) for other in left]
        alike = [other for other, shared in zip(left, overlaps, strict=True) if shared > 0.5]
        weights = np.array([other.score for other in alike])
        weights = weights / weights.sum()
        centre = np.tensordot(weights, np.stack([other.centre for other in alike]), 1)
        points = np.tensordot(weights, np.stack([other.points for other in alike]), 1)
        size_px = float(weights @ [other.size_px for other in alike])
        merged.append(Candidate(best.score, centre, size_px, points))
        left = [other for other, shared in zip(left[1:], overlaps[1:], strict=True) if shared < 0.3]
    return merged


def overlap(one: Candidate, other: Candidate) -> float:
    """Intersection over union of the squares of two candidates."""
    low = np.maximum(one.centre - one.size_px / 2, other.centre - other.size_px / 2)
    high = np.minimum(one.centre + one.size_px / 2, other.centre + other.size_px / 2)
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / max(one.size_px**2 + other.size_px**2 - shared, 1e-9)
