"""The training photos with their 68 landmarks, small and decoded once, split by person."""

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from facemotion.datasets.splits import built_in_validation, listed_people
from facemotion.errors import InputError
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.media.records import Arrays, MalformedError, numbers

PHOTO_PX = 448
"""Longest side kept in memory: the landmark crops show faces at some 80 px."""

_MESH_PX, _SEEN = 256, 1.5
"""Side of the square that FaceMesh looks at, in its own pixels and in longer sides of the face."""

_KNOWN = {"london": "london", "canada": "canada", "portraits": "portrait"}
"""Folders of the face data, and what the ids of their people begin with."""


@dataclass
class TrainingPhoto:
    """One photo of one face: RGB uint8 image and (68, 2) landmarks in its px, with halved copies for warping."""

    name: str
    person: str
    image: np.ndarray
    landmarks: np.ndarray
    halves: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self):
        self.halves = [self.image]
        while min(self.halves[-1].shape[:2]) >= 64:
            self.halves.append(cv2.resize(self.halves[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))

    def warp(
        self, photo_to_picture: np.ndarray, size: tuple[int, int], border: int = cv2.BORDER_REPLICATE
    ) -> np.ndarray:
        """The picture of ``size`` (width, height) that an affine transform (2, 3) takes from the photo, unaliased."""
        scale = float(np.sqrt(abs(np.linalg.det(photo_to_picture[:, :2]))))
        level = int(np.clip(np.floor(np.log2(0.75 / max(scale, 1e-6)) + 1), 0, len(self.halves) - 1))
        level_image = self.halves[level]
        ratio = np.array(self.image.shape[1::-1]) / np.array(level_image.shape[1::-1])
        transform = photo_to_picture.copy()
        transform[:, 2] += transform[:, :2] @ ((ratio - 1) / 2)
        transform[:, :2] *= ratio
        return cv2.warpAffine(level_image, transform, size, flags=cv2.INTER_LINEAR, borderMode=border)


def ibug_points(points: np.ndarray) -> np.ndarray:
    """(68, 2) float32 iBUG points, px, from those or from (478, 2 or 3) MediaPipe FaceMesh points.

    FaceMesh looks at a square of 256 px that is 1.5 times as wide as the face, and its points lie half a pixel of that
    square too far right and down: it learnt shares of a width, counted from the edge, of pixels that are sampled at
    whole numbers. In 1,001 photos of this project's data folder the irises, by their mirror symmetry, lie 0.9 ± 0.1
    of such half pixels further left than FaceMesh says, 1.1 px in the largest faces; that no constant number of photo
    pixels does it is as plain. Here the centre of a photo's first pixel is 0. Raises MalformedError for anything else.
    """
    if points.ndim == 2 and points.shape[0] == 478:
        places = numbers(points[:, :2], (478, 2), "FaceMesh points").astype(np.float64)
        seen_px = _SEEN * np.ptp(places, axis=0).max()
        points = places[list(FROM_FACE_MESH)] - 0.5 * seen_px / _MESH_PX
    return numbers(points, (68, 2), "iBUG points").astype(np.float32)


def people_with_glasses() -> frozenset[str]:
    """Those people of the known sets who wear glasses or sunglasses, by eye."""
    return listed_people((files("facemotion") / "assets" / "glasses.txt").read_text())


def person_of(name: str) -> str:
    """The person on a photo of the data folder, from its path below that folder."""
    path = Path(name)
    return f"{_KNOWN[path.parts[0]]}-{path.stem}"


def _is_known(name: str) -> bool:
    """Whether an array is the points of a photo in a folder of the data, and not of another kind or place."""
    parts = Path(name).parts
    return ":" not in name and len(parts) > 1 and parts[0] in _KNOWN and ".." not in parts


def read_photos(folder: Path, *, validation: bool) -> list[TrainingPhoto]:
    """All photos of a data folder on one side of the split by person, shrunk to `PHOTO_PX`.

    The folder holds ``landmarks.npz``: for every photo, by its path below the folder, (478, 3) MediaPipe points in px.
    Raises InputError where that or every photo is missing.
    """
    try:
        with Arrays(folder / "landmarks.npz") as arrays:
            points = {name: ibug_points(arrays[name]) for name in sorted(arrays.names) if _is_known(name)}
    except (OSError, MalformedError) as error:
        raise InputError(f"No readable landmarks.npz in {folder} ({error}).", "Give the face data folder.") from error
    held_out = built_in_validation()
    photos = []
    for name in points:
        if (person_of(name) in held_out) != validation:
            continue
        photo = cv2.imread(str(folder / name))
        if photo is None:
            continue
        scale = min(1.0, PHOTO_PX / max(photo.shape[:2]))
        small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        landmarks = (points[name].astype(np.float64) + 0.5) * scale - 0.5
        image = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
        photos.append(TrainingPhoto(name, person_of(name), image, landmarks))
    if not photos:
        raise InputError(f"None of the photos listed in {folder}/landmarks.npz can be read.", "Unpack them beside it.")
    return photos
