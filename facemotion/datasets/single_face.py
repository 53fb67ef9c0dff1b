"""The one face of a training picture, measured; a picture with none or several teaches the wrong thing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemotion.errors import InputError, NoFaceError
from facemotion.media.photos import read_photo

if TYPE_CHECKING:
    from facemotion.faces.landmarker import Landmarker
    from facemotion.faces.types import Face

RIVAL_SIZE = 0.5
"""A second face counts when it is at least this large, relative to the largest; smaller ones are bystanders."""


@cache
def _landmarker() -> Landmarker:
    from facemotion.faces.landmarker import Landmarker

    return Landmarker.load()


def measured_face(image: np.ndarray) -> Face:
    """The only face that matters in an RGB uint8 image (H, W, 3), with its 478 points and 52 scores.

    Raises NoFaceError without a face, InputError where a second one rivals the largest.
    """
    faces = [face for face in _landmarker().measure(image) if face.points is not None and face.scores is not None]
    if not faces:
        raise NoFaceError("no face found")
    largest = max(faces, key=lambda face: face.size_px)
    rivals = [face for face in faces if face.size_px >= RIVAL_SIZE * largest.size_px]
    if len(rivals) > 1:
        raise InputError(f"{len(rivals)} faces found, one expected")
    return largest


def read_pixels(path: Path) -> np.ndarray:
    """RGB uint8 (H, W, 3) of a photo. Raises InputError whose message names the file but not where it lies."""
    try:
        return read_photo(path).pixels
    except InputError as error:
        raise InputError(error.message.replace(str(path), path.name)) from error
