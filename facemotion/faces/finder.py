"""The built-in face finder: a detector over a picture pyramid, then 68 landmarks for every face it found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facemotion.faces.finder_crop import MIRROR_68, crop_of_points, tight_crop
from facemotion.faces.finder_detect import candidates, merge, pyramid, shrunk
from facemotion.faces.finder_networks import Detector, LandmarkNetwork, fuse, landmark_input, load_finder
from facemotion.faces.geometry import apply, invert, warp_crop
from facemotion.faces.pose import head_pose
from facemotion.faces.types import Face

COARSE_PX, FINE_PX = 800, 1920
"""Longer side of the photo in the usual pass, and in the second one that looks for small faces."""

SMALL_FACE = 0.06
"""Share of the photo's longer side below which the largest face calls for the fine pass."""

MOST_FACES = 64

CANDIDATE_SCORE = 0.25
"""Detector score from which the landmark network is asked; it has the last word."""

FACE_SCORE = 0.4
"""Score from which a find counts as a face."""

UNSURE_SCORE = 0.8
"""Score below which the fallback detector is worth its time."""

LEAST_CHANCE = 0.1
"""Chance of a face below which a followed frame counts as one without it."""

_STEPS_ASIDE = ((0, 0), (2, 1), (-1, 2), (-2, -1), (1, -2))
"""Shifts in crop px of the looks that `Finder.follow` averages: off the grid of the network's strides."""

# logistic regression on what the detector found in training photos and training pictures without faces
DETECTOR_EVIDENCE, FIRST_LOOK_EVIDENCE, SECOND_LOOK_EVIDENCE, ERROR_EVIDENCE = 1.1, 0.26, 0.2, -2.0


class Finder:
    """Finds faces of some 1.2 % of the photo's longer side and more, up to 45° askew."""

    def __init__(self, detector: Detector, landmarks: LandmarkNetwork):
        self._detector, self._landmarks = fuse(detector), fuse(landmarks)

    @classmethod
    def load(cls, path: Path | None = None) -> Finder:
        """The finder from a weight file, by default the one that comes with the package.

        Raises WeightsError for a file that is missing, damaged or foreign.
        """
        from facemotion.weights.registry import known_sha256, weight_path

        path = path or weight_path("finder")
        detector, landmarks, _ = load_finder(path, sha256=known_sha256("finder", path))
        return cls(detector, landmarks)

    @torch.inference_mode()
    def find(self, image: np.ndarray) -> list[Face]:
        """All faces in a photo, largest first.

        image: (H, W, 3) uint8 RGB. Scores are the chance, roughly, that there is a face with landmarks in their
        places; below `UNSURE_SCORE` the finder is unsure.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a photo is (H, W, 3) uint8, not {image.shape} {image.dtype}")
        fine = shrunk(image, FINE_PX)
        coarse = pyramid(fine, COARSE_PX)
        sources = [image, fine, *coarse]
        faces = self._faces(image, sources, coarse)
        side = max(image.shape[:2])
        if side > COARSE_PX and not any(face.size_px >= SMALL_FACE * side for face in faces):
            faces = _distinct_faces([*faces, *self._faces(image, sources, [fine])])
        return sorted(faces, key=lambda face: -face.size_px)

    @torch.inference_mode()
    def follow(self, frames: np.ndarray) -> np.ndarray:
        """The landmarks of the one face of a clip whose head stays in its place: (T, 68, 2) px, nan where it is gone.

        frames: (T, H, W, 3) uint8 RGB. The largest face of the first frame that shows one says where to look in all
        of them. What a search in every frame adds to the motion, the trembling of its own frame, cannot arise, and
        several looks, each a little aside, are averaged.
        """
        landmarks = np.full((len(frames), 68, 2), np.nan)
        face = next((faces[0] for frame in frames if (faces := self.find(np.ascontiguousarray(frame)))), None)
        if face is None:
            return landmarks
        place = tight_crop(face.landmarks.astype(np.float64), self._landmarks.config.input_px)
        looks = [np.column_stack([place[:, :2], place[:, 2] + step]) for step in _STEPS_ASIDE]
        for k, frame in enumerate(frames):
            seen, chances, _ = self._look(frame, pyramid(frame, max(frame.shape[:2])), looks, mirrored=True)
            if chances.mean() >= LEAST_CHANCE:
                landmarks[k] = seen.mean(0)
        return landmarks

    def _faces(self, image: np.ndarray, sources: Sequence[np.ndarray], levels: Sequence[np.ndarray]) -> list[Face]:
        """Faces with landmarks at the places that the detector proposes on some levels of the pyramid."""
        found = [
            candidate
            for level in levels
            for candidate in candidates(self._detector, level, image.shape, least_score=CANDIDATE_SCORE)
        ]
        merged = [candidate for candidate in merge(found)[:MOST_FACES] if _extent(candidate.points) > 1]
        if not merged:
            return []
        size = self._landmarks.config.input_px
        first = [crop_of_points(candidate.points, size) for candidate in merged]
        landmarks, first_chances, _ = self._look(image, sources, first)
        kept = [i for i in range(len(merged)) if first_chances[i] > 0.05 and _extent(landmarks[i]) > 1]
        if not kept:
            return []
        second = [tight_crop(landmarks[i], size) for i in kept]
        landmarks, chances, errors = self._look(image, sources, second, mirrored=True)
        faces = []
        for place, points, chance, error in zip(kept, landmarks, chances, errors, strict=True):
            score = face_score(merged[place].score, first_chances[place], chance, error)
            if score < FACE_SCORE:
                continue
            box = (*points.min(0).tolist(), *points.max(0).tolist())
            faces.append(Face(points.astype(np.float32), box, score, head_pose(points)))
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


def face_score(detector: float, first_look: float, second_look: float, error_px: float) -> float:
    """The chance, roughly, that there is a face with its landmarks in place.

    From the detector's score, the landmark network's chance of a face in the detector's crop and in its own, and the
    landmark error in crop px that it expects.
    """
    evidence = (
        DETECTOR_EVIDENCE * _logit(detector)
        + FIRST_LOOK_EVIDENCE * _logit(first_look)
        + SECOND_LOOK_EVIDENCE * _logit(second_look)
        + ERROR_EVIDENCE * math.log(error_px)
    )
    return 1 / (1 + math.exp(-evidence))


def _logit(chance: float) -> float:
    bounded = min(max(chance, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))


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


def _distinct_faces(faces: list[Face]) -> list[Face]:
    """The surest of faces that lie on, or within, each other."""
    distinct: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        middle = face.landmarks.mean(0)
        if all(
            np.linalg.norm(middle - other.landmarks.mean(0)) > 0.5 * max(face.size_px, other.size_px)
            for other in distinct
        ):
            distinct.append(face)
    return distinct
