from dataclasses import replace

import numpy as np
import pytest

from facemotion.faces.measures import eye_openings, mouth_opening
from facemotion.faces.types import Face
from facemotion.faces.warnings import face_warnings, outside_share
from tests.faces.faces import frontal_landmarks

SHAPE = (400, 400, 3)


def face(**changes) -> Face:
    points = frontal_landmarks(centre=(200, 200), eye_distance_px=70)
    return replace(Face(points, (120.0, 110.0, 280.0, 290.0), 0.9, (0.0, 0.0, 0.0)), **changes)


def test_a_good_face_needs_no_advice():
    assert face_warnings(face(), SHAPE) == []


def test_small():
    [line] = face_warnings(face(box=(100.0, 100.0, 160.0, 180.0)), SHAPE)
    assert "small (80 px)" in line and "96" in line


@pytest.mark.parametrize("pose", [(41.0, 0.0, 0.0), (-41.0, 3.0, 10.0), (0.0, -41.0, 0.0)])
def test_turned(pose):
    [line] = face_warnings(face(pose=pose), SHAPE)
    assert "turned by 41°" in line


def test_a_rolled_head_is_not_turned():
    assert face_warnings(face(pose=(0.0, 0.0, 80.0)), SHAPE) == []


def test_open_mouth():
    points = face().landmarks.copy()
    points[65:68, 1] += 25
    assert mouth_opening(points) > 0.3
    [line] = face_warnings(face(landmarks=points), SHAPE)
    assert "mouth is open" in line


def test_closed_eyes():
    points = face().landmarks.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        points[upper] = points[lower] = (points[upper] + points[lower]) / 2
    assert max(eye_openings(points)) < 0.1
    [line] = face_warnings(face(landmarks=points), SHAPE)
    assert "eyes seem closed" in line


def test_cut_off():
    points = face().landmarks - np.float32([160, 0])
    assert outside_share(points, SHAPE) > 0.1
    [line] = face_warnings(face(landmarks=points), SHAPE)
    assert "cut off" in line


def test_several_things_are_several_lines():
    assert len(face_warnings(face(box=(0.0, 0.0, 30.0, 30.0), pose=(50.0, 0.0, 0.0)), SHAPE)) == 2
