"""Training of the occlusion network on drawn faces: what is drawn, what counts, steps that can be taken up again."""

import json

import cv2
import numpy as np
import pytest
import torch

from facemotion.errors import TrainingError
from facemotion.faces.occlusion_network import OcclusionConfig, load_occlusion
from facemotion.training.occlusion import run
from facemotion.training.occlusion.occluders import DRAWINGS, Canvas
from facemotion.training.occlusion.photos import TrainingPhoto
from facemotion.training.occlusion.run import OcclusionTraining, occlusion_loss, train_occlusion
from facemotion.training.occlusion.scenes import Scenes, listed_occluders
from tests.conftest import draw_photo, face_at

SIZE = 64


@pytest.fixture(scope="module")
def photos() -> list[TrainingPhoto]:
    face = face_at((100, 120))
    return [TrainingPhoto(f"{name}.jpg", name, draw_photo([face]), face.landmarks.astype(float)) for name in "abcdefgh"]


def scenes(photos, **listed) -> Scenes:
    return Scenes(photos, SIZE, occluded=listed.get("occluded", {}), glasses=frozenset(listed.get("glasses", ())))


@pytest.mark.parametrize("number", range(len(DRAWINGS)))
def test_every_occluder_is_drawn_over_the_face(photos, number):
    canvas = Canvas(96, photos[0].landmarks * 0.48, photos[0], photos)
    for seed in range(4):
        occluder = DRAWINGS[number][1](canvas, np.random.default_rng(seed))
        assert occluder.alpha.shape == occluder.hides.shape == (96, 96) and occluder.layer.shape == (96, 96, 3)
        assert np.isfinite(occluder.layer).all() and occluder.hides.min() >= 0 and occluder.hides.max() <= 1.01
        assert 0.002 < occluder.hides.mean() < 0.9


def test_scenes_are_the_same_for_the_same_seed(photos):
    one, other = (scenes(photos).draw(np.random.default_rng(3), occluders=1.0) for _ in range(2))
    assert np.array_equal(one.crop, other.crop) and np.array_equal(one.front, other.front)
    assert one.crop.shape == (SIZE, SIZE, 3) and one.crop.dtype == np.uint8
    assert one.front.min() >= 0 and one.front.max() <= 1.01 and one.front.max() > 0.5


def test_without_occluders_nothing_is_in_front(photos):
    for seed in range(8):
        assert not scenes(photos).draw(np.random.default_rng(seed), occluders=0).front.any()


def test_listed_people_count_as_they_are(photos):
    """Hidden lips: never drawn. Dark glasses: eyes in front. Hands beside: only lips and eyes count."""
    listed = {"a": "lips", "b": "partly", "c": "eyes", "d": "beside"}
    assert {photo.person for photo in scenes(photos, occluded=listed).photos} == set("cdefgh")
    dark = scenes([photos[2]], occluded=listed).draw(np.random.default_rng(0), occluders=0)
    assert dark.front.any() and not dark.front[: SIZE // 5].any()
    beside = scenes([photos[3]], occluded=listed).draw(np.random.default_rng(0), occluders=0)
    assert 0 < (beside.weight > 0).mean() < 0.3


def test_people_on_the_list_are_of_the_known_sets():
    listed = listed_occluders()
    assert set(listed.values()) == {"lips", "eyes", "partly", "beside"}
    assert all(person.startswith("portrait-") for person in listed)


def test_the_loss_falls_with_the_truth(photos):
    drawn = [scenes(photos).draw(np.random.default_rng(k), occluders=1.0) for k in range(4)]
    front = torch.from_numpy(np.stack([scene.front for scene in drawn]))[:, None]
    right, wrong, unsure = (occlusion_loss(logits, drawn) for logits in (20 * front - 10, 10 - 20 * front, 0 * front))
    assert right < unsure < wrong


def test_training_goes_on_where_it_was_stopped(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "read_photos", lambda folder, *, validation: photos[:2] if validation else photos[2:])
    lines = []

    def train(out: str, steps: int) -> dict[str, torch.Tensor]:
        training = OcclusionTraining(
            data=tmp_path,
            out=tmp_path / out,
            network=OcclusionConfig(input_px=SIZE, widths=(8, 8, 8, 8)),
            steps=steps,
            batch=2,
            warmup_steps=2,
            checkpoint_steps=2,
            validation_scenes=4,
        )
        return load_occlusion(train_occlusion(training, report=lines.append)).state_dict()

    monkeypatch.setattr(run.math, "cos", lambda _: 1.0)  # the same rates, whatever the number of steps
    threads = cv2.getNumThreads(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = train("whole", 4)
        train("halves", 2)
        halves = train("halves", 4)
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    entries = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [2, 4] and "lips_alarms" in entries[0]
    (tmp_path / "halves" / "state.pt").write_bytes(b"nonsense")
    with pytest.raises(TrainingError):
        train("halves", 6)
