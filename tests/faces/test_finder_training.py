"""Training the finder: what is drawn and asked for, and a whole small training with resume."""

import json

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from facemotion.datasets.clips import Clip, write_clips
from facemotion.errors import InputError, TrainingError
from facemotion.faces.finder_networks import DetectorConfig, load_finder
from facemotion.faces.geometry import apply
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.train_finder.crops import Crops
from facemotion.train_finder.degrade import degrade
from facemotion.train_finder.expressive import read_expressive
from facemotion.train_finder.faceless import Faceless
from facemotion.train_finder.loop import Schedule
from facemotion.train_finder.photos import person_of, read_photos, validation_people
from facemotion.train_finder.run import FinderTraining, train_finder
from facemotion.train_finder.scenes import SCENE_PX, Scene, SceneFace, Scenes, targets
from tests.faces.faces import frontal_landmarks
from tests.faces.test_finder import TINY_DETECTOR, TINY_LANDMARKS

NAMES = ("london/neutral/001.jpg", "london/neutral/002.jpg", "canada/003f.jpg", "london/neutral/012.jpg")
PHOTO_SIZE_PX = 160


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder of drawn faces: three people to train on, one to validate on."""
    folder = tmp_path_factory.mktemp("data")
    points = {}
    for number, name in enumerate(NAMES):
        landmarks = frontal_landmarks(centre=(80.0, 85.0), eye_distance_px=26.0 + number)
        photo = np.full((PHOTO_SIZE_PX, PHOTO_SIZE_PX, 3), 90 + 20 * number, np.uint8)
        cv2.ellipse(photo, (80, 85), (36, 46), 0, 0, 360, (150, 180, 220), -1)
        for x, y in landmarks:
            cv2.circle(photo, (round(float(x)), round(float(y))), 1, (30, 30, 60), -1)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), photo)
        mesh = np.zeros((478, 3), np.float32)
        mesh[list(FROM_FACE_MESH), :2] = landmarks
        points[name] = mesh
    np.savez(folder / "landmarks.npz", **points)
    return folder


@pytest.fixture
def photos(data):
    return read_photos(data, validation=False)


def test_people_are_kept_apart(data, photos):
    assert {photo.person for photo in photos} == {"london-001", "london-002", "canada-003f"}
    (kept_apart,) = read_photos(data, validation=True)
    assert kept_apart.person == "london-012" and "london-012" in validation_people()
    assert person_of("portraits/Age_r1c2.jpg") == "portrait-Age_r1c2"


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"landmarks\.npz"):
        read_photos(tmp_path, validation=False)


def test_warping_a_photo_keeps_points_on_their_pixels(photos):
    photo = photos[0]
    transform = np.array([[0.21, 0.05, 3.0], [-0.05, 0.21, 9.0]])
    spot = np.zeros_like(photo.image)
    spot[60:68, 72:80] = 255
    drawn = type(photo)(photo.name, photo.person, spot, photo.landmarks).warp(transform, (48, 48))[..., 0].astype(float)
    rows, columns = np.mgrid[0:48, 0:48]
    centre = np.array([(drawn * columns).sum(), (drawn * rows).sum()]) / drawn.sum()
    np.testing.assert_allclose(centre, apply(transform, [75.5, 63.5]), atol=0.1)


def test_the_grid_says_yes_at_the_face_only():
    face = SceneFace(np.array([64.0, 40.0]), 40.0, np.array([[55.0, 35], [73, 35], [64, 42], [57, 52], [71, 52]]))
    target, weight = targets(Scene(np.zeros((SCENE_PX, SCENE_PX, 3), np.uint8), [face]), DetectorConfig())
    rows, columns = np.nonzero(target[0])
    assert len(rows) >= 4
    for row, column in zip(rows, columns, strict=True):
        cell = np.array([column, row]) * 8 + 3.5
        np.testing.assert_allclose(cell + 16 * target[1:3, row, column], face.centre)
        np.testing.assert_allclose(cell + 16 * target[4:6, row, column], face.points[0], rtol=1e-5)
        assert np.exp(target[3, row, column]) * np.sqrt(22 * 54) == pytest.approx(40)
    assert weight[target[0] > 0].all() and (weight == 0).any() and weight[-1].all()


@pytest.mark.parametrize(("size_px", "ignored"), [(15.0, True), (70.0, True), (120.0, False)])
def test_faces_out_of_range_are_not_asked_for(size_px, ignored):
    face = SceneFace(np.array([64.0, 64.0]), size_px, np.zeros((5, 2)))
    target, weight = targets(Scene(np.zeros((SCENE_PX, SCENE_PX, 3), np.uint8), [face]), DetectorConfig())
    assert not target.any()
    assert (weight == 0).any() == ignored


def test_a_face_cut_in_half_is_not_asked_for():
    face = SceneFace(np.array([2.0, 64.0]), 40.0, np.zeros((5, 2)))
    target, weight = targets(Scene(np.zeros((SCENE_PX, SCENE_PX, 3), np.uint8), [face]), DetectorConfig())
    assert not target.any() and (weight == 0).any()


def test_draws_repeat_with_the_seed_and_are_pictures(photos):
    faceless = Faceless([], photos)
    scenes, crops = Scenes(photos, faceless, TINY_DETECTOR), Crops(photos, faceless, TINY_LANDMARKS)
    kinds = set()
    for seed in range(40):
        scene, again = (scenes.draw(np.random.default_rng(seed)) for _ in range(2))
        assert scene.picture.shape == (SCENE_PX, SCENE_PX, 3) and scene.picture.dtype == np.uint8
        np.testing.assert_array_equal(scene.picture, again.picture)
        crop, landmarks = crops.draw(np.random.default_rng(seed))
        assert crop.shape == (64, 64, 3) and crop.dtype == np.uint8
        kinds.add((bool(scene.faces), landmarks is not None))
    assert {one for one, _ in kinds} == {other for _, other in kinds} == {True, False}


def test_no_degrading_at_strength_zero(photos):
    rng = np.random.default_rng(0)
    assert degrade(photos[0].image, rng, strength=0) is photos[0].image
    for seed in range(60):
        changed = degrade(photos[0].image, np.random.default_rng(seed))
        assert changed.shape == photos[0].image.shape and changed.dtype == np.uint8


def test_moved_frames_of_training_clips_join_in(tmp_path):
    frames = [np.full((512, 512, 3), 40 * k, np.uint8) for k in range(4)]
    landmarks = np.stack([frontal_landmarks(centre=(256.0, 256.0), eye_distance_px=130.0)] * 4)
    options = {
        "source": "drawn", "licence": "CC0-1.0", "origin": "teacher", "expression": {"blink": 1.0},
        "control": [0, 0.5, 1, 0.7], "landmarks": landmarks, "pose": np.zeros((4, 3)), "size_px": 512, "frames": frames,
    }  # fmt: skip
    people = {"a": ("train", "someone"), "b": ("validation", "another"), "c": ("train", "london-012")}
    clips = [Clip(id=name, person=person, split=split, **options) for name, (split, person) in people.items()]
    write_clips(tmp_path / "set", clips)
    photos = read_expressive([tmp_path / "set"])
    assert [photo.person for photo in photos] == ["someone"] * 2
    assert abs(int(photos[0].image[0, 0, 0]) - 80) < 3  # the peak comes first
    assert photos[1].image[0, 0, 0] > 20  # never the source
    np.testing.assert_allclose(photos[0].landmarks.mean(0), landmarks[0].mean(0) / 2, atol=0.5)


def small_training(data, out, steps: int) -> FinderTraining:
    schedule = Schedule(budget_s=1000, batch=2, warmup_steps=2, max_steps=steps)
    return FinderTraining(
        data, out, detector=TINY_DETECTOR, landmarks=TINY_LANDMARKS, detector_schedule=schedule,
        landmark_schedule=schedule, mined_draws=4,
    )  # fmt: skip


def test_training_resumes_and_leaves_a_finder(data, tmp_path):
    lines = []
    train_finder(small_training(data, tmp_path / "run", 2), report=lines.append)
    finished = train_finder(small_training(data, tmp_path / "run", 3), report=lines.append)
    detector, landmarks, record = load_finder(finished)
    assert detector.config == TINY_DETECTOR and landmarks.config == TINY_LANDMARKS
    assert record["people"] == 3
    entries = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [(entry["network"], entry["step"]) for entry in entries] == [
        ("detector", 2), ("landmarks", 2), ("detector", 3), ("landmarks", 3),
    ]  # fmt: skip
    assert all(np.isfinite(entry["total"]) for entry in entries)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "detector.pt", "finder.safetensors", "landmarks.pt", "log.jsonl",
    ]  # fmt: skip


def test_a_foreign_checkpoint_is_refused(data, tmp_path):
    (tmp_path / "run").mkdir()
    torch.save({"step": 1}, tmp_path / "run" / "detector.pt")
    with pytest.raises(TrainingError, match="Cannot resume"):
        train_finder(small_training(data, tmp_path / "run", 1), report=print)


def test_command_reports_missing_data_in_one_line(tmp_path):
    import typer

    from facemotion.cli.train_finder import register

    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "run"), "--time-budget", "0.1"])
    assert isinstance(result.exception, InputError)
