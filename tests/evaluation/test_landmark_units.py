"""Units read off landmarks: what the head did to them is found again, and an unchanged photo reads as unchanged."""

import numpy as np
import pytest
from skimage.data import astronaut

from facemotion.evaluation.landmark_units import ENCODINGS, LandmarkReader, encoded_anew
from facemotion.evaluation.sparse_fit import sparse_fit
from facemotion.evaluation.unit_readings import Shown, changes
from facemotion.evaluation.unit_scores import indices, target
from facemotion.faces.find import find_faces
from facemotion.faces.mesh import landmarker, measure_face

PHOTO = astronaut()[:320, 60:380]


@pytest.fixture(scope="module")
def reader() -> LandmarkReader:
    return LandmarkReader.on(measure_face(PHOTO, find_faces(PHOTO, aligner="builtin")[0]))


@pytest.mark.parametrize("word", ["jawOpen", "mouthSmile", "browDown", "mouthLeft", "noseSneer", "eyeLookOut"])
def test_what_the_head_does_to_landmarks_is_read_off_them(reader, word):
    rest = reader.moved(target())
    low, high = (reader.read(reader.moved(target(**{word: strength})), rest) for strength in (0.4, 0.8))
    others = np.abs(np.delete(high, indices(word)))
    assert 0.15 < low[indices(word)].min() < high[indices(word)].min() <= 0.85
    assert others.max() < 0.2 * high[indices(word)].min()


def test_no_unit_falls_below_rest_beyond_what_faces_at_rest_have(reader):
    read = reader.read(reader.moved(target()), reader.moved(target(jawOpen=0.8)))
    assert read.min() > -0.3
    assert not reader.read(reader.moved(target()), reader.moved(target())).any()


def test_a_head_that_turns_is_no_expression(reader):
    rest, smiling = reader.moved(target()), reader.moved(target(mouthSmile=0.6))
    angle = np.radians(6)
    depth = reader.rig.source[reader.rig.head.landmark_vertices, 2] / np.linalg.norm(reader.to_crop[0, :2])
    turned = smiling.copy()
    turned[:468, 0] += np.sin(angle) * (depth - depth.mean())
    turned[468:, 0] += np.sin(angle) * (depth[[33, 133, 263, 362]].mean() - depth.mean())
    straight, held, free = (
        reader.read(points, rest, turned=may) for points, may in ((smiling, True), (turned, False), (turned, True))
    )
    assert np.abs(free - straight).max() < 0.05
    assert np.abs(held - straight).max() > 0.1
    assert free[indices("mouthSmile")].min() > 0.35


def test_irises_tell_the_gaze(reader):
    points = reader.face.require_points()
    looking = points.copy()
    looking[468:478, 0] += 0.03 * np.linalg.norm(points[263] - points[33])  # towards the person's left
    read = reader.read(looking, points)
    sideways = {word: read[indices(word)[0]] for word in ("eyeLookOutLeft", "eyeLookInRight", "eyeLookInLeft")}
    assert sideways["eyeLookOutLeft"] > 0.2 < sideways["eyeLookInRight"]
    assert sideways["eyeLookInLeft"] <= 0


def test_an_eye_that_shuts_looks_nowhere(reader):
    points = reader.face.require_points()
    shut = reader.moved(target(eyeBlinkLeft=1.0))
    down, read = indices("eyeLookDownLeft")[0], []
    for each in (points, shut):
        lower = each.copy()
        lower[473:478, 1] += 0.03 * np.linalg.norm(points[263] - points[33])
        read.append([reader.read(at, points) for at in (each, lower)])
    (open_, open_lower), (closed, closed_lower) = read
    assert open_[down] == 0 < 0.15 < open_lower[down]
    assert closed_lower == pytest.approx(closed)
    assert closed[indices("eyeBlinkLeft")[0]] > 0.5


def test_a_fit_takes_few_units_within_bounds():
    columns = np.array([[1.0, 0.0, 0.0], [0.9, 0.5, 0.0], [0.0, 0.0, 1.0]])
    normal = columns @ columns.T + 1e-6 * np.eye(3)
    bounds = {"low": np.array([-0.1, -0.1, -0.1]), "high": np.full(3, 1.2)}
    for price, expected in ((0.0, [0.8, 0.0, -0.1]), (0.05, [0.75, 0.0, -0.1]), (1.0, [0.0, 0.0, 0.0])):
        found = sparse_fit(normal, columns @ [0.8, 0.0, -0.5], price=np.full(3, price), **bounds)
        assert found == pytest.approx(expected, abs=2e-3)
    beyond = sparse_fit(normal, columns @ [5.0, 0.0, 0.0], price=np.zeros(3), **bounds)
    assert beyond.max() == 1.2


def test_moved_landmarks_are_scored_as_those_of_pictures(reader):
    face = reader.face
    assert landmarker().scores_of(face.require_points())[:51] == pytest.approx(face.require_scores()[:51], abs=1e-5)


def test_a_photo_encoded_anew_reads_as_unchanged(reader):
    versions = list(encoded_anew(PHOTO, seed=0))
    assert len(versions) == ENCODINGS
    picture, to_picture = versions[0]
    assert (picture.shape, picture.dtype) == (PHOTO.shape, np.uint8)
    assert np.abs(picture.astype(int) - PHOTO).mean() < 30
    assert np.abs(to_picture[:, :2] - np.eye(2)).max() <= 0.02


def test_a_frame_without_a_face_changes_by_nothing_that_is_known(reader):
    photo, empty = Shown(PHOTO, reader.face), Shown(PHOTO, None)
    assert np.isnan(changes(reader, empty, photo)).all()
    assert np.isnan(changes(reader, photo, empty)).all()
    assert np.abs(changes(reader, photo, photo)).max() < 0.01


def test_pixels_are_followed_from_frame_to_frame(reader):
    lower = np.roll(PHOTO, 3, axis=0)
    points = reader.face.require_points()[:, :2]
    assert np.median(reader.carried(points, PHOTO, lower) - points, axis=0) == pytest.approx([0, 3], abs=0.3)
