"""The reader of units: what it is told, what it makes of it, and files that are none. The face is NASA's astronaut."""

import numpy as np
import pytest
from safetensors.numpy import load, save
from skimage.data import astronaut

from facemotion.errors import WeightsError
from facemotion.evaluation.landmark_units import LandmarkReader
from facemotion.evaluation.unit_scores import indices, target
from facemotion.expressions.units import MIRROR, UNIT_INDEX, UNIT_NAMES
from facemotion.faces.landmarker.head_pose import canonical_face, upright
from facemotion.faces.mesh import landmarker
from facemotion.faces.types import Face
from facemotion.faces.unit_reader import (
    LEAST_FRAMES,
    UnitReader,
    face_shape,
    mirrored_places,
    read_unit_reader,
    unit_reader,
)
from facemotion.weights.registry import weight_path

PHOTO = astronaut()[:320, 60:380]


@pytest.fixture(scope="module")
def face() -> Face:
    return landmarker().measure(PHOTO)[0]


def moved(face: Face, **strengths: float) -> np.ndarray:
    """The row of the face with its landmarks where the head takes them, added to what the photo shows."""
    from dataclasses import replace

    head = LandmarkReader.on(face)
    points = head.moved(head.own + target(**strengths))
    return unit_reader().row(replace(face, points=points, scores=landmarker().scores_of(points)))


@pytest.mark.parametrize("word", ["jawOpen", "browInnerUp", "mouthPucker", "mouthLeft"])
def test_units_are_read_off_changes_and_others_are_not(face, word):
    read = unit_reader().changes(moved(face, **{word: 0.6})[None], moved(face))[0]
    own = read[indices(word)].min()
    assert own > 0.25
    assert np.abs(np.delete(read, indices(word))).max() < own


def test_nothing_changes_where_nothing_does(face):
    row = unit_reader().row(face)
    assert not unit_reader().changes(row[None], row).any()


def test_a_mirrored_face_reads_as_its_mirror_image(face):
    reader = unit_reader()
    places, flip = mirrored_places(canonical_face()), np.array([-1, 1, 1])
    rows = []
    for one_sided in ({}, {"mouthSmileLeft": 0.5, "eyeBlinkLeft": 0.5}):
        head = LandmarkReader.on(face)
        points = head.moved(head.own + target(**one_sided))
        shapes = [upright(each, canonical_face()) for each in (points, (points * flip)[places])]
        scores = landmarker().scores_of(points)
        rows.append([
            np.concatenate([(shape[:, :2].ravel() - reader.middle) @ reader.basis, units])
            for shape, units in zip(shapes, (scores, scores[list(MIRROR)]), strict=True)
        ])  # fmt: skip
    ours, theirs = (reader.changes(np.array(rows[1][side])[None], np.array(rows[0][side]))[0] for side in (0, 1))
    assert ours[UNIT_INDEX["eyeBlinkLeft"]] > 0.2
    assert theirs[list(MIRROR)] == pytest.approx(ours, abs=0.1)


def test_a_turned_and_larger_face_has_the_same_shape(face):
    points, angle = face.require_points().astype(float), np.radians(20)
    roll = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    yaw = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    shape = face_shape(points, canonical_face())
    assert face_shape(1.7 * points @ (roll @ yaw).T + [30, -8, 2], canonical_face()) == pytest.approx(shape, abs=1e-6)
    assert 8 < np.ptp(shape[::2]) < 20, "cm"


def test_a_smile_that_never_ends_is_told_by_the_scores(face):
    rows = np.repeat(unit_reader().row(face)[None], LEAST_FRAMES, axis=0)
    units = unit_reader().units(rows)
    assert units[:, indices("mouthSmile")].min() > 0.4
    kept = {name.removesuffix("Left").removesuffix("Right") for name in np.array(UNIT_NAMES)[units[0] > 0.01]}
    assert kept <= {"mouthSmile", "mouthUpperUp", "mouthLowerDown", "jawOpen", "eyeBlink", "tongueOut"}
    few = unit_reader().units(rows[:-1])
    assert few[0] == pytest.approx(face.units, abs=1e-6)


def test_rest_is_where_least_is_shown(face):
    rows = np.stack([moved(face, jawOpen=0.1 * abs(n - 10)) for n in range(20)])
    assert np.abs(unit_reader().rest(rows) - rows[10]).max() < 0.25 * np.abs(rows[0] - rows[10]).max()
    jaw = unit_reader().units(rows)[:, UNIT_INDEX["jawOpen"]]
    assert jaw[9:12].max() < 0.1 < 0.5 < jaw[0]


@pytest.mark.parametrize("damage", ["cut", "other", "shape", "version"])
def test_files_that_hold_no_reader(tmp_path, damage):
    content = weight_path("unit_reader").read_bytes()
    if damage == "cut":
        content = content[:1000]
    elif damage == "other":
        content = weight_path("occlusion").read_bytes()
    else:
        arrays, version = load(content), "1" if damage == "shape" else "99"
        if damage == "shape":
            arrays["bias0"] = arrays["bias0"][:-1].copy()
        content = save(arrays, {"format": "facemotion-unit-reader", "version": version})
    path = tmp_path / "reader.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="holds no reader of units"):
        read_unit_reader(path)
    assert isinstance(read_unit_reader(weight_path("unit_reader")), UnitReader)
