"""Landmarks that come with a data set: an npz of many photos, or one text file a frame as in CK+."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facemotion.errors import InputError
from facemotion.faces.ibug68 import FROM_FACE_MESH


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
        if key not in arrays:
            return None
        points = arrays[key]
        if points.shape[0] == 478:
            # FaceMesh measures from the photo's edge: the centre of the first pixel is at 0.5
            points = points[list(FROM_FACE_MESH), :2] - 0.5
        if points.shape != (68, 2) or not np.isfinite(points).all():
            raise InputError(f"{self.path}: {key} is {points.shape}, neither 68 iBUG nor 478 FaceMesh points")
        return points.astype(np.float32)


@cache
def _arrays(path: Path) -> np.lib.npyio.NpzFile:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
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
        raise InputError(f"{path.name}: landmarks unreadable ({error})") from error
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise InputError(f"{path.name}: holds {points.shape} numbers, not 68 lines of x and y")
    return points.astype(np.float32)
