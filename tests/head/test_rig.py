"""The head on NASA's portrait: fitted, moved, and kept from doing what faces cannot."""

import numpy as np
import pytest

from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.faces.landmarker import Landmarker
from facemotion.head.model import load_head
from facemotion.head.rig import EYES, LOWER_LIP, UPPER_LIP, Rig

SIZE = 256


@pytest.fixture(scope="module")
def rig() -> Rig:
    from skimage import data

    face = Landmarker.load().measure(data.astronaut())[0]
    points = face.points[:, :2].astype(np.float64)
    return Rig.on(geometry.apply(geometry.photo_to_crop(points[list(FROM_FACE_MESH)], SIZE), points), SIZE)


def test_the_head_has_the_52_units_in_arkit_order():
    names = load_head().unit_names
    assert len(names) == 52 and names[0] == "eyeBlinkLeft" and names[-1] == "tongueOut"


def test_the_head_meets_the_landmarks(rig):
    placed = rig.source[rig.head.landmark_vertices, :2]
    away = np.linalg.norm(placed - rig.landmarks[:468], axis=1) / rig.eye_px
    assert rig.fit.error < 0.03
    assert np.median(away) < 0.02


def test_control_zero_moves_nothing(rig):
    assert np.array_equal(rig.moved(np.zeros(52)), rig.source)


def test_left_is_the_persons_left(rig):
    moved = rig.landmarks_at(rig.moved(rig.head.strengths({"mouthSmileLeft": 1.0}))) - rig.landmarks[:468]
    assert np.linalg.norm(moved[291]) > 5 * np.linalg.norm(moved[61])  # 291 is on the right of the picture


@pytest.mark.parametrize("side", EYES)
def test_a_blink_closes_this_very_eye(rig, side):
    upper, lower = (list(margin) for margin in EYES[side])
    at = rig.landmarks_at(rig.moved(rig.head.strengths({f"eyeBlink{side}": 1.0})))
    gap = (at[lower, 1] - at[upper, 1])[2:-2]
    own = (rig.landmarks[lower, 1] - rig.landmarks[upper, 1])[2:-2]
    assert gap.max() < 0.25 * own.max()


@pytest.mark.parametrize("unit", ["browDown", "eyeSquint", "cheekSquint", "noseSneer"])
def test_no_unit_draws_the_corners_of_the_eyes_together(rig, unit):
    both = rig.head.strengths({f"{unit}Left": 1.0, f"{unit}Right": 1.0})
    moved = rig.landmarks_at(rig.moved(both)) - rig.landmarks[:468]
    assert np.abs(moved[[33, 133, 362, 263], 0]).max() < 0.003 * rig.eye_px
    assert np.linalg.norm(moved, axis=1).max() > 0.03 * rig.eye_px


def test_a_wink_closes_the_eye_all_along_though_the_cheek_narrows_it(rig):
    upper, lower = (list(margin[2:-2]) for margin in EYES["Left"])
    units = {"eyeSquintLeft": 0.25, "cheekSquintLeft": 0.55, "browDownLeft": 0.1}
    at = rig.landmarks_at(rig.moved(rig.head.strengths(units)))
    left = (at[lower, 1] - at[upper, 1]) / (rig.landmarks[lower, 1] - rig.landmarks[upper, 1])
    assert np.ptp(left) < 0.12


def test_lips_never_pass_through_each_other(rig):
    for units in ({"mouthRollLower": 1.0}, {"jawOpen": -1.0}, {"mouthShrugLower": 1.0}):
        at = rig.landmarks_at(rig.moved(rig.head.strengths(units)))
        gaps = at[list(LOWER_LIP), 1] - at[list(UPPER_LIP), 1]
        assert gaps.min() > -0.02 * rig.eye_px


@pytest.mark.parametrize("unit", ["mouthRollUpper", "mouthShrugUpper", "mouthPress", "mouthFrown", "mouthPucker"])
def test_lips_that_touch_stay_closed_under_what_does_not_part_them(unit):
    head = load_head()
    deltas = sum(head.unit_deltas[i] for i, name in enumerate(head.unit_names) if name.startswith(unit))
    raised = deltas[head.landmark_vertices, 1]
    assert (raised[list(UPPER_LIP)] - raised[list(LOWER_LIP)]).max() < 0.1  # cm


def test_lips_are_kept_together_only_as_far_as_the_jaw_is_open(rig):
    shut = rig.moved(rig.head.strengths({"mouthClose": 1.0}))
    most = max(float(rig.fit.units[rig.head.unit_index["jawOpen"]]), 0)
    assert np.array_equal(shut, rig.moved(rig.head.strengths({"mouthClose": most})))
    opened = rig.moved(rig.head.strengths({"jawOpen": 0.6}))
    closed = rig.moved(rig.head.strengths({"jawOpen": 0.6, "mouthClose": 0.6}))
    assert rig.lip_gaps(closed).max() < 0.25 * rig.lip_gaps(opened).max()
