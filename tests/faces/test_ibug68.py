"""The scheme of the 68 landmarks."""

import numpy as np
import torch

from facemotion.faces.ibug68 import FROM_FACE_MESH, MIRROR, inter_ocular
from tests.faces.faces import frontal_landmarks


def test_mirroring_twice_is_nothing():
    assert [MIRROR[i] for i in MIRROR] == list(range(68))


def test_a_mirrored_frontal_face_keeps_its_order():
    points = frontal_landmarks(centre=(0, 0), eye_distance_px=40)
    mirrored = (points * (-1, 1))[list(MIRROR)]
    assert np.abs(mirrored - points).max() < 2


def test_every_landmark_is_a_point_of_its_own():
    assert len(set(FROM_FACE_MESH)) == 68
    assert max(FROM_FACE_MESH) < 468


def test_distance_of_the_eyes_of_arrays_and_tensors():
    points = frontal_landmarks(centre=(100, 80), eye_distance_px=40)
    assert inter_ocular(points) == np.float32(40)
    assert inter_ocular(torch.from_numpy(points)[None].expand(3, -1, -1)).tolist() == [40, 40, 40]
