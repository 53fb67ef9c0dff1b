import csv
from pathlib import Path

import numpy as np
import pytest

from facemotion.faces.pose import head_pose
from facemotion.faces.types import Face
from tests.faces.faces import frontal_landmarks


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


DATA = Path(__file__).parents[2].parent / "shared" / "data"
# The subset of the 478 FaceMesh points that lie where the 68 iBUG landmarks 17-47, 48 and 54 do.
RIGID_OF_478 = [70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327]
RIGID_OF_478 += [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61, 291]


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="no face data folder at ../shared/data")
def test_pose_agrees_with_the_angles_noted_for_the_portraits():
    """Their yaw and pitch have the other sign."""
    points = np.load(DATA / "landmarks.npz")
    with open(DATA / "portraits" / "manifest.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if abs(float(row["yaw"])) < 50]
    noted = np.array([[-float(row["yaw"]), -float(row["pitch"]), float(row["roll"])] for row in rows])
    found = []
    for row in rows:
        landmarks = np.zeros((68, 2))
        landmarks[[*range(17, 48), 48, 54]] = points[f"portraits/{row['file']}"][RIGID_OF_478, :2]
        found.append(head_pose(landmarks))
    found = np.array(found)
    assert np.median(np.abs(found - noted), axis=0) == pytest.approx([0, 0, 0], abs=8)
    assert np.corrcoef(found[:, 0], noted[:, 0])[0, 1] > 0.97
    assert np.corrcoef(found[:, 1], noted[:, 1])[0, 1] > 0.8
