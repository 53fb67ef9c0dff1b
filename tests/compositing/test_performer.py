"""A face of a photo that performs."""

from itertools import pairwise

import numpy as np
import pytest
from skimage.data import astronaut

from facemotion.compositing.performer import Performer
from facemotion.expressions.units import UNIT_COUNT, UNIT_INDEX
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.faces.landmarker import Landmarker

PHOTO = np.ascontiguousarray(astronaut()[:400, 60:400])


@pytest.fixture(scope="module")
def performer() -> Performer:
    """NASA's portrait, which smiles; the face is 110 px wide, so that its eyes and mouth are drawn finer than that."""
    (face, *_) = Landmarker.load().measure(PHOTO)
    points = face.require_points()
    return Performer(PHOTO, points, points[list(FROM_FACE_MESH), :2], scores=face.require_scores())


@pytest.mark.parametrize("units", [("eyeBlinkLeft", "eyeBlinkRight"), ("mouthPucker",)])
def test_no_step_of_a_movement_is_much_larger_than_the_others(performer, units):
    """The first one, from the photo itself, was, where layers that draw it anew came in all at once."""
    control = np.zeros(UNIT_COUNT, np.float32)
    control[[UNIT_INDEX[unit] for unit in units]] = 0.8
    shares = np.linspace(0, 1, 25, dtype=np.float32)[1:]
    frames = [PHOTO.astype(np.float32)]
    frames += [performer.composite(performer.render(share * control)).astype(np.float32) for share in shares]
    steps = np.array([np.abs(second - first).mean() for first, second in pairwise(frames)])
    assert steps.max() < 2 * steps.mean()
