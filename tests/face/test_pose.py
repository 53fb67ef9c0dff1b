import numpy as np
import pytest

from facemotion.face.pose import head_pose
from facemotion.face.types import Face
from tests.face.faces import frontal_landmarks


@pytest.mark.parametrize(
    "turn", [(0, 0, 0), (25, 0, 0), (-40, 0, 0), (0, 15, 0), (0, -12, 0), (0, 0, 30), (20, 10, -15)], ids=str
)
def test_pose_of_a_turned_mean_face(turn):
    assert head_pose(frontal_landmarks(turn_deg=turn)) == pytest.approx(turn, abs=1.0)


def test_yaw_is_positive_towards_the_right_of_the_image():
    landmarks = frontal_landmarks()
    landmarks[27:36, 0] += 15  # the nose moves to the right of the image
    assert head_pose(landmarks)[0] > 10


def test_points_without_extent_give_a_finite_pose():
    assert np.isfinite(head_pose(np.zeros((68, 2)))).all()


def test_sizes_of_a_face():
    landmarks = frontal_landmarks(eye_distance_px=60)
    face = Face(landmarks=landmarks, box=(10.0, 20.0, 110.0, 170.0), score=0.9, pose=(0.0, 0.0, 0.0))
    assert face.size_px == 150
    assert face.inter_ocular_px == pytest.approx(60, rel=0.01)
    assert face.source == "builtin"
