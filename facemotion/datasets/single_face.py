"""The one face of a training photo; a photo with none or several teaches the wrong thing."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from facemotion.errors import InputError, NoFaceError
from facemotion.faces.types import Face
from facemotion.media.photos import read_photo

FindFaces = Callable[[np.ndarray], Sequence[Face]]
"""RGB uint8 (H, W, 3) -> faces, largest first."""

RIVAL_SIZE = 0.5
"""A second face counts when it is at least this large, relative to the largest; smaller ones are bystanders."""


def one_face(image: np.ndarray, find_faces: FindFaces) -> np.ndarray:
    """Landmarks (68, 2) float32 of the only face that matters.

    Raises NoFaceError without a face, InputError where a second one rivals the largest.
    """
    faces = find_faces(image)
    if not faces:
        raise NoFaceError("no face found")
    rivals = [face for face in faces if face.size_px >= RIVAL_SIZE * faces[0].size_px]
    if len(rivals) > 1:
        raise InputError(f"{len(rivals)} faces found, one expected")
    return np.asarray(faces[0].landmarks, np.float32)


def read_pixels(path: Path) -> np.ndarray:
    """RGB uint8 (H, W, 3) of a photo. Raises InputError whose message names the file but not where it lies."""
    try:
        return read_photo(path).pixels
    except InputError as error:
        raise InputError(error.message.replace(str(path), path.name)) from error


def find_faces(image: np.ndarray) -> Sequence[Face]:
    """The project's own face finder; its networks are loaded with the first photo."""
    from facemotion.faces.find import find_faces as find

    return find(image)
