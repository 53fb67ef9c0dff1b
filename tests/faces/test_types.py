"""What a face says of itself."""

from dataclasses import replace

import numpy as np
import pytest

from facemotion.expressions.units import UNIT_INDEX
from facemotion.faces.landmarker import calibration
from facemotion.faces.landmarker.calibration import IDENTITY, Calibration, UnitMap
from facemotion.faces.measures import EYE_CORNERS, IRIS_CENTRES, eye_openings, gaze, mouth_opening
from facemotion.faces.types import Face
from tests.faces.faces import frontal_landmarks, rotation


def face(**more) -> Face:
    points = frontal_landmarks(centre=(100, 80), eye_distance_px=40)
    return Face(points, (60.0, 40.0, 140.0, 130.0), 0.9, (0.0, 0.0, 0.0), **more)


def test_without_points_nothing_is_said_of_units_and_gaze():
    plain = face(source="face-alignment")
    assert plain.units is plain.facs is plain.gaze is plain.points is None
    assert plain.inter_ocular_px == pytest.approx(40) and plain.size_px == 90


def test_units_are_calibrated_scores(monkeypatch):
    maps = [IDENTITY] * 52
    maps[UNIT_INDEX["jawOpen"]] = UnitMap((0.0, 0.5, 1.0), (0.0, 0.8, 0.9))
    monkeypatch.setattr(calibration, "shipped_calibration", lambda: Calibration(tuple(maps)))
    scores = np.zeros(52, np.float32)
    scores[[UNIT_INDEX["jawOpen"], UNIT_INDEX["eyeBlinkLeft"]]] = 0.5
    seen = face(scores=scores)
    assert seen.units[UNIT_INDEX["jawOpen"]] == pytest.approx(0.8)
    assert seen.units[UNIT_INDEX["eyeBlinkLeft"]] == pytest.approx(0.5)
    assert seen.facs["AU26/27"] == pytest.approx(0.8) and seen.facs["AU12L"] == 0


def test_one_facs_number_of_several_units_is_the_strongest(monkeypatch):
    monkeypatch.setattr(calibration, "shipped_calibration", lambda: Calibration((IDENTITY,) * 52))
    scores = np.zeros(52, np.float32)
    scores[[UNIT_INDEX["mouthRollLower"], UNIT_INDEX["mouthRollUpper"]]] = 0.2, 0.6
    assert face(scores=scores).facs["AU28"] == pytest.approx(0.6)


def test_openings_of_the_person_s_left_and_right_eye():
    points = face().landmarks.copy()
    for upper, lower in ((43, 47), (44, 46)):  # the person's left eye, on the right of the picture
        points[upper] = points[lower] = (points[upper] + points[lower]) / 2
    left, right = eye_openings(points)
    assert left < 0.05 < 0.2 < right
    assert replace(face(), landmarks=points).eye_openings == (left, right)
    points[65:68, 1] += 10
    assert mouth_opening(points) > face().mouth_opening + 0.2


def eyes(sideways: float, down: float, turned=(0.0, 0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
    """Points of a head and its rotation; irises of both eyes moved by some eye widths from the middle."""
    points = np.zeros((478, 3))
    for side, x in (("left", 30.0), ("right", -30.0)):
        outer, inner = EYE_CORNERS[side]
        points[outer], points[inner] = (x * 1.4, 0, 0), (x * 0.6, 0, 0)
        points[IRIS_CENTRES[side]] = (x + 24 * sideways, 24 * down, 0)
    turn = rotation(*turned)
    return points @ turn.T, turn


def test_gaze_is_relative_to_the_head():
    for turned in ((0, 0, 0), (20, -10, 30)):
        ahead = gaze(*eyes(0.0, -0.064, turned))
        right = gaze(*eyes(0.2, -0.064, turned))
        up = gaze(*eyes(0.0, -0.164, turned))
        assert right.left[0] > ahead.left[0] + 25 and right.right[0] > ahead.right[0] + 25
        assert right.left[1] == pytest.approx(ahead.left[1], abs=0.1)
        assert up.left[1] == pytest.approx(ahead.left[1] + 14.5, abs=0.5)
        assert ahead.left[0] == pytest.approx(-ahead.right[0]) and abs(ahead.left[1]) < 0.1


def test_a_face_of_a_photo_of_another_size():
    points = np.ones((478, 3), np.float32) * (10, 20, 4)
    twice = face(points=points).scaled(2.0)
    assert twice.points[0].tolist() == [20.5, 40.5, 8]
    assert twice.box == (120.5, 80.5, 280.5, 260.5)
    assert twice.landmarks == pytest.approx(face().landmarks * 2 + 0.5)
