"""The built-in face finder: a detector over a picture pyramid, then 68 landmarks for every face it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from facemotion.face.finder_crop import MIRROR_68, crop_of_points, tight_crop
from facemotion.face.finder_networks import (
    OUTSIDE,
    Detector,
    LandmarkNetwork,
    detector_input,
    fuse,
    landmark_input,
    load_finder,
)
from facemotion.face.geometry import apply, invert, warp_crop
from facemotion.face.pose import head_pose
from facemotion.face.types import Face

COARSE_PX, FINE_PX = 800, 1920
"""Longer side of the photo in the usual pass, and in the second one that looks for small faces."""

SMALL_FACE = 0.06
"""Share of the photo's longer side below which the largest face calls for the fine pass."""

SMALLEST_LEVEL_PX = 40
"""Where the pyramid ends: a face filling this level is still within the detector's range."""

PADDING_PX = 16
MOST_FACES = 64

CANDIDATE_SCORE = 0.25
"""Detector score from which the landmark network is asked; it has the last word."""

FACE_SCORE = 0.3
"""Score from which a find counts as a face."""

UNSURE_SCORE = 0.6
"""Score below which a second opinion is worth its time."""


@dataclass(frozen=True)
class Candidate:
    """A place where the detector sees a face: centre (2,), longer side and five points (5, 2) in photo px."""

    score: float
    centre: np.ndarray
    size_px: float
    points: np.ndarray


class Finder:
    """Finds faces of some 1.2 % of the photo's longer side and more, up to 45° askew."""

    def __init__(self, detector: Detector, landmarks: LandmarkNetwork):
        self._detector, self._landmarks = fuse(detector), fuse(landmarks)

    @classmethod
    def load(cls, path: Path | None = None) -> Finder:
        """The finder from a weight file, by default the one that comes with the package.

        Raises WeightsError for a file that is missing, damaged or foreign.
        """
        if path is None:
            from facemotion.weights import weight_path

            path = weight_path("finder")
        detector, landmarks, _ = load_finder(path)
        return cls(detector, landmarks)

    @torch.inference_mode()
    def find(self, image: np.ndarray) -> list[Face]:
        """All faces in a photo, largest first.

        image: (H, W, 3) uint8 RGB. Scores are the chance, roughly, that there is a face with landmarks in their
        places; below `UNSURE_SCORE` the finder is unsure.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a photo is (H, W, 3) uint8, not {image.shape} {image.dtype}")
        pyramid = [_shrunk(image, COARSE_PX)]
        while max(pyramid[-1].shape[:2]) >= 2 * SMALLEST_LEVEL_PX:
            pyramid.append(_shrunk(pyramid[-1], (max(pyramid[-1].shape[:2]) + 1) // 2))
        fine = _shrunk(image, FINE_PX)
        sources = [image, fine, *pyramid]
        faces = self._faces(image, sources, [found for level in pyramid for found in self._candidates(level, image)])
        side = max(image.shape[:2])
        if side > COARSE_PX and not any(face.size_px >= SMALL_FACE * side for face in faces):
            small = self._faces(image, sources, self._candidates(fine, image))
            faces = _distinct_faces([*faces, *small])
        return sorted(faces, key=lambda face: -face.size_px)

    def _candidates(self, level: np.ndarray, image: np.ndarray) -> list[Candidate]:
        """Where the detector sees faces on one level of the pyramid."""
        height, width = level.shape[:2]
        stride = self._detector.config.stride
        padded = np.full(
            [-(-(side + 2 * PADDING_PX) // stride) * stride for side in (height, width)] + [3], OUTSIDE, np.uint8
        )
        padded[PADDING_PX : PADDING_PX + height, PADDING_PX : PADDING_PX + width] = level
        pictures = detector_input(padded[None]).contiguous(memory_format=torch.channels_last)
        out = self._detector(pictures)[0].numpy()
        scores = 1 / (1 + np.exp(-out[0]))
        rows, columns = np.nonzero(scores > CANDIDATE_SCORE)
        config = self._detector.config
        to_photo = np.array(image.shape[1::-1]) / (width, height)
        candidates = []
        for row, column in zip(rows, columns, strict=True):
            answer = out[:, row, column]
            cell = (np.array([column, row]) + 0.5) * stride - 0.5 - PADDING_PX
            places = cell + Detector.offset_px * np.vstack([answer[1:3], answer[4:].reshape(5, 2)])
            places = (places + 0.5) * to_photo - 0.5
            size_px = float(np.exp(np.clip(answer[3], -2, 2))) * (config.smallest_px * config.largest_px) ** 0.5
            candidates.append(Candidate(float(scores[row, column]), places[0], size_px * to_photo.mean(), places[1:]))
        return candidates

    def _faces(self, image: np.ndarray, sources: Sequence[np.ndarray], candidates: list[Candidate]) -> list[Face]:
        """Faces with landmarks at the places the detector proposes."""
        merged = _merge(candidates)[:MOST_FACES]
        merged = [candidate for candidate in merged if _extent(candidate.points) > 1]
        if not merged:
            return []
        size = self._landmarks.config.input_px
        first = [crop_of_points(candidate.points, size) for candidate in merged]
        landmarks, chances, _ = self._look(image, sources, first)
        kept = [i for i in range(len(merged)) if chances[i] > 0.2 and _extent(landmarks[i]) > 1]
        if not kept:
            return []
        second = [tight_crop(landmarks[i], size) for i in kept]
        landmarks, chances, errors = self._look(image, sources, second, mirrored=True)
        faces = []
        for place, points, chance, error in zip(kept, landmarks, chances, errors, strict=True):
            certain = merged[place].score ** 0.5 * chance * float(np.clip(1.25 - error / 12, 0, 1))
            if certain < FACE_SCORE:
                continue
            box = (*points.min(0).tolist(), *points.max(0).tolist())
            faces.append(Face(points.astype(np.float32), box, min(float(certain), 1.0), head_pose(points)))
        return _distinct_faces(faces)

    def _look(
        self,
        image: np.ndarray,
        sources: Sequence[np.ndarray],
        transforms: Sequence[np.ndarray],
        *,
        mirrored: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Landmarks (N, 68, 2) in photo px, chance of a face (N,) and expected error (N,) in crop px.

        ``mirrored``: look at every crop in the mirror too, and average.
        """
        size = self._landmarks.config.input_px
        crops = np.stack([_crop(image, sources, transform, size) for transform in transforms])
        if mirrored:
            crops = np.concatenate([crops, crops[:, :, ::-1]])
        pictures = landmark_input(crops).contiguous(memory_format=torch.channels_last)
        landmarks, logits, log_errors = (part.double().numpy() for part in self._landmarks(pictures))
        chances, errors = 1 / (1 + np.exp(-logits)), np.exp(log_errors)
        count = len(transforms)
        if mirrored:
            back = landmarks[count:, MIRROR_68] * [-1, 1] + [size - 1, 0]
            landmarks = (landmarks[:count] + back) / 2
            chances, errors = (chances[:count] * chances[count:]) ** 0.5, (errors[:count] + errors[count:]) / 2
        placed = [apply(invert(transform), points) for transform, points in zip(transforms, landmarks, strict=True)]
        return np.stack(placed), chances, errors


def _shrunk(image: np.ndarray, longer_px: int) -> np.ndarray:
    """The picture with its longer side at most ``longer_px``, every pixel the mean over its area."""
    scale = longer_px / max(image.shape[:2])
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _crop(image: np.ndarray, sources: Sequence[np.ndarray], photo_to_crop: np.ndarray, size: int) -> np.ndarray:
    """`warp_crop` out of the smallest of the shrunk copies of the photo that still has the crop's detail."""
    zoom = np.hypot(*photo_to_crop[:, 0])
    for source in reversed(sources):
        ratio = np.array(image.shape[1::-1]) / source.shape[1::-1]
        if zoom * ratio.max() <= 1 or source is image:
            break
    transform = photo_to_crop.copy()
    transform[:, 2] += transform[:, :2] @ ((ratio - 1) / 2)
    transform[:, :2] *= ratio
    return warp_crop(source, transform, size)


def _extent(points: np.ndarray) -> float:
    return float(np.ptp(points, axis=0).max())


def _overlap(centre_a: np.ndarray, size_a: float, centre_b: np.ndarray, size_b: float) -> float:
    """Intersection over union of two upright squares."""
    low = np.maximum(centre_a - size_a / 2, centre_b - size_b / 2)
    high = np.minimum(centre_a + size_a / 2, centre_b + size_b / 2)
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / max(size_a**2 + size_b**2 - shared, 1e-9)


def _merge(candidates: list[Candidate]) -> list[Candidate]:
    """One candidate for each place, the mean of its neighbours weighted by score (best first)."""
    left = sorted(candidates, key=lambda candidate: -candidate.score)
    merged = []
    while left:
        best = left[0]
        overlaps = [_overlap(best.centre, best.size_px, other.centre, other.size_px) for other in left]
        alike = [other for other, overlap in zip(left, overlaps, strict=True) if overlap > 0.5]
        weights = np.array([other.score for other in alike])
        weights = weights / weights.sum()
        centre = np.tensordot(weights, np.stack([other.centre for other in alike]), 1)
        points = np.tensordot(weights, np.stack([other.points for other in alike]), 1)
        size_px = float(weights @ [other.size_px for other in alike])
        merged.append(Candidate(best.score, centre, size_px, points))
        left = [other for other, overlap in zip(left[1:], overlaps[1:], strict=True) if overlap < 0.3]
    return merged


def _distinct_faces(faces: list[Face]) -> list[Face]:
    """The surest of faces that lie on each other."""
    distinct: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        middle = face.landmarks.mean(0)
        if all(
            np.linalg.norm(middle - other.landmarks.mean(0)) > 0.35 * max(face.size_px, other.size_px)
            for other in distinct
        ):
            distinct.append(face)
    return distinct
