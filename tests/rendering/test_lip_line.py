"""Closed lips are laid on the line where a photo shows them to meet."""

import cv2
import numpy as np
import pytest
from skimage import data

from facemotion.faces import geometry
from facemotion.faces.landmarker import Landmarker
from facemotion.head.rig import LOWER_LIP, UPPER_LIP, Rig
from facemotion.rendering.lip_line import on_lip_line

SIZE = 512


@pytest.fixture(scope="module")
def closed() -> Rig:
    """NASA's portrait with the lower lip's edge on the upper one's."""
    face = Landmarker.load().measure(data.astronaut())[0]
    to_crop = geometry.photo_to_crop(face.landmarks, SIZE)
    points = geometry.apply(to_crop, face.points[:, :2].astype(np.float64))
    points[list(LOWER_LIP)] = points[list(UPPER_LIP)]
    return Rig.on(points, SIZE)


def lips_meeting(rig: Rig, lower_by: float) -> np.ndarray:
    """Skin with a dark line as far below the landmarks, in distances of the outer eye corners."""
    image = np.full((SIZE, SIZE, 3), 0.6, np.float32)
    line = rig.landmarks[list(UPPER_LIP)] + (0, lower_by * rig.eye_px)
    cv2.polylines(image, [np.round(line).astype(np.int32)], False, (0.1, 0.05, 0.05), 3, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


@pytest.mark.parametrize("lower_by", [-0.02, -0.01, 0.0, 0.015])
def test_closed_lips_lie_on_the_dark_line(closed, lower_by):
    shifted = on_lip_line(closed, lips_meeting(closed, lower_by))
    for lip in (UPPER_LIP, LOWER_LIP):
        moved = (shifted.landmarks - closed.landmarks)[list(lip), 1] / closed.eye_px
        np.testing.assert_allclose(moved, lower_by, atol=0.004)
    assert np.array_equal(shifted.fit.units, closed.fit.units)
    at = closed.head.landmark_vertices[13]
    assert np.isclose((shifted.source - closed.source)[at, 1] / closed.eye_px, lower_by, atol=0.005)
    for landmark in (1, 0, 17):  # the nose and the lips' outer edges stay
        stays = closed.head.landmark_vertices[landmark]
        assert np.abs(shifted.source - closed.source)[stays].max() < 0.3 * abs(lower_by) * closed.eye_px + 0.05


def test_without_a_line_lips_lie_where_they_usually_do(closed):
    moved = on_lip_line(closed, np.full((SIZE, SIZE, 3), 0.6, np.float32)).landmarks - closed.landmarks
    assert np.allclose(moved[13, 1] / closed.eye_px, -0.009, atol=0.002)


def test_open_lips_stay(closed):
    points = closed.landmarks.copy()
    points[list(LOWER_LIP)[1:-1], 1] += 0.1 * closed.eye_px
    opened = Rig.on(points, SIZE)
    assert on_lip_line(opened, lips_meeting(closed, 0.01)) is opened
