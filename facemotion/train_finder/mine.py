"""Hard negatives for the landmark network: what a trained detector wrongly takes for faces."""

from collections.abc import Sequence

import numpy as np

from facemotion.faces.finder_crop import crop_of_points
from facemotion.faces.finder_detect import Candidate, candidates, merge, pyramid
from facemotion.faces.finder_networks import Detector
from facemotion.faces.geometry import warp_crop
from facemotion.train_finder.faceless import Faceless
from facemotion.train_finder.photos import Photo

LEAST_SCORE = 0.15
"""Detector score from which a mistake is worth learning from."""

PICTURE_PX = 320


def mine_crops(
    detector: Detector, faceless: Faceless, photos: Sequence[Photo], *, size: int, draws: int, seed: int = 7
) -> list[np.ndarray]:
    """Crops (size, size, 3) uint8 without a face, framed where the detector sees one.

    It is shown ``draws`` faceless pictures, and as many photos, of which everything counts that is not the face.
    """
    rng = np.random.default_rng(seed)
    crops: list[np.ndarray] = []
    for picture in (np.ascontiguousarray(faceless.draw(PICTURE_PX, rng)) for _ in range(draws)):
        crops += _crops_of(_mistakes(detector, picture), picture, size)
    for index in rng.permutation(len(photos))[:draws]:
        photo = photos[index]
        low, high = photo.landmarks.min(0), photo.landmarks.max(0)
        face_px = float((high - low).max())
        wrong = [
            candidate
            for candidate in _mistakes(detector, photo.image)
            if np.linalg.norm(candidate.centre - (low + high) / 2) > 0.5 * face_px or candidate.size_px < 0.4 * face_px
        ]
        crops += _crops_of(wrong, photo.image, size)
    return crops


def _mistakes(detector: Detector, picture: np.ndarray) -> list[Candidate]:
    levels = pyramid(picture, PICTURE_PX)
    found = [c for level in levels for c in candidates(detector, level, picture.shape, least_score=LEAST_SCORE)]
    return merge(found)


def _crops_of(wrong: Sequence[Candidate], picture: np.ndarray, size: int) -> list[np.ndarray]:
    framed = [crop_of_points(candidate.points, size) for candidate in wrong if np.ptp(candidate.points, 0).max() > 2]
    return [warp_crop(picture, transform, size) for transform in framed]
