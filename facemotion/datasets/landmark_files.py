"""Landmarks that come with a data set: an npz of many photos, or one text file a frame as in CK+."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facemotion.errors import InputError
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.media.records import Arrays, MalformedError, first_line, numbers

_MESH_PX, _SEEN = 256, 1.5
"""Side of the square that FaceMesh looks at, in its own pixels and in longer sides of the face."""


@dataclass(frozen=True)
class LandmarkFile:
    """An npz with the landmarks of many photos, each under the photo's path below the npz's folder.

    An array is (68, 2) iBUG points or (478, 2 or 3) MediaPipe FaceMesh points, photo px.
    """

    path: Path

    def get(self, photo: Path) -> np.ndarray | None:
        """(68, 2) float32 of ``photo``; None where the file knows nothing of it."""
        try:
            key = photo.resolve().relative_to(self.path.resolve().parent).as_posix()
        except ValueError:
            return None
        arrays = _arrays(self.path)
        if key not in arrays.names:
            return None
        try:
            return ibug_points(arrays[key])
        except (OSError, MalformedError) as error:
            raise InputError(f"{self.path}: {key} holds neither 68 iBUG nor 478 FaceMesh points ({error})") from error


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


@cache
def _arrays(path: Path) -> Arrays:
    try:
        return Arrays(path)
    except (OSError, MalformedError) as error:
        raise InputError(f"{path}: no npz of landmarks ({error})", "Leave --landmarks out.") from error


def find_landmark_file(folder: Path) -> LandmarkFile | None:
    """The ``landmarks.npz`` in ``folder`` or at most two folders above it."""
    for place in [folder.resolve(), *folder.resolve().parents[:2]]:
        if (place / "landmarks.npz").is_file():
            return LandmarkFile(place / "landmarks.npz")
    return None


def read_landmark_text(path: Path) -> np.ndarray:
    """(68, 2) float32 from 68 lines ``x y``. Raises InputError for anything else."""
    try:
        points = np.array(
            [[float(word) for word in line.split()] for line in path.read_text().split("\n") if line.strip()]
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: landmarks unreadable ({first_line(error)})") from error
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise InputError(f"{path.name}: holds {points.shape} numbers, not 68 lines of x and y")
    return points.astype(np.float32)
