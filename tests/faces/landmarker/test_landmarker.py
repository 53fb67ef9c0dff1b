"""The landmarker as it ships: mediapipe's answers, following, turned faces, files that are no weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from facemotion.errors import WeightsError
from facemotion.expressions.units import UNIT_NAMES
from facemotion.faces.landmarker import Landmarker, Roi
from facemotion.faces.landmarker.crops import roi_of_points

REFERENCE = json.loads((Path(__file__).parent / "reference" / "astronaut.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def landmarker():
    return Landmarker.load()


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="module")
def face(landmarker, astronaut):
    (face,) = landmarker.measure(astronaut)
    return face


def test_points_and_scores_are_those_of_mediapipe(face):
    off = np.abs(face.points - REFERENCE["points_px"]) * 256 / roi_of_points(face.points).size_px
    assert off.max() < 0.05
    assert face.points.shape == (478, 3) and face.points.dtype == np.float32
    scores = dict(zip(UNIT_NAMES, face.scores.tolist(), strict=True))
    expected = REFERENCE["scores"] | {"tongueOut": 0.0}
    del expected["_neutral"]
    assert scores == pytest.approx(expected, abs=0.01)


def test_sure_of_a_face_and_not_of_a_wall(landmarker, astronaut, face):
    assert face.presence > 0.9 and face.score > 0.9
    wall = astronaut[:150, 300:450]
    assert landmarker.measure(np.ascontiguousarray(wall)) == []
    whole = Roi((75.0, 75.0), 150.0, 150.0, 0.0)
    assert landmarker.measure_at(wall, [whole]) == [None]


def test_a_head_that_leans_has_its_points_where_they_were(landmarker, astronaut, face):
    """A quarter turn moves pixels exactly, so only the sampling of the crop differs."""
    lying = np.ascontiguousarray(np.rot90(astronaut))
    place = roi_of_points(face.points)
    (again,) = landmarker.measure_at(astronaut, [place])
    x, y = place.centre
    roi = replace(place, centre=(y, astronaut.shape[1] - 1 - x), angle=place.angle - np.pi / 2)
    (turned,) = landmarker.measure_at(lying, [roi])
    back = np.column_stack([astronaut.shape[1] - 1 - turned.points[:, 1], turned.points[:, 0]])
    assert np.abs(back - again.points[:, :2]).max() < 0.01 * place.size_px
    assert turned.pose[2] == pytest.approx(face.pose[2] - 90, abs=2)


def test_pose_has_the_sign_of_the_head(landmarker, astronaut, face):
    (mirrored,) = landmarker.measure(np.ascontiguousarray(astronaut[:, ::-1]))
    yaw, pitch, roll = face.pose
    assert roll > 2, "her head leans clockwise as seen in the photo"
    assert mirrored.pose == pytest.approx((-yaw, pitch, -roll), abs=3)


def test_following_finds_the_face_again_and_says_when_it_is_gone(landmarker, astronaut, face):
    moved = np.roll(astronaut, (3, 5), axis=(0, 1))
    followed = landmarker.follow(moved, face.points)
    assert np.abs(followed.points[:, :2] - face.points[:, :2] - (5, 3)).max() < 0.03 * face.size_px
    assert landmarker.follow(np.full_like(astronaut, 90), face.points) is None


def test_box_holds_the_points(face):
    x0, y0, x1, y1 = face.box
    assert (face.points[:, :2] >= (x0, y0)).all() and (face.points[:, :2] <= (x1, y1)).all()
    assert roi_of_points(face.points).size_px == pytest.approx(1.5 * max(x1 - x0, y1 - y0))


def test_only_pictures_are_measured(landmarker):
    with pytest.raises(ValueError, match="uint8"):
        landmarker.measure(np.zeros((8, 8, 3), np.float32))
    assert landmarker.measure(np.zeros((1, 1, 3), np.uint8)) == []


@pytest.mark.parametrize("tensors", [{}, {"blazeface.stem.weight": torch.zeros(1)}])
def test_foreign_weights_are_refused(tmp_path, tensors):
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"weights\.safetensors"):
        Landmarker.load(path)


def test_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"weights\.safetensors"):
        Landmarker.load(path)
