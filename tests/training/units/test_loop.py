"""The training of the unit generator on noise: exact resumes, mirrored samples, losses that see what they should."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from facemotion.datasets.unit_samples import UnitSample, UnitSampleFolder, write_shard
from facemotion.errors import TrainingError
from facemotion.head.model import load_head
from facemotion.models.unit_generator import UnitGeneratorConfig
from facemotion.models.unit_release import load_unit_release
from facemotion.training.checkpoint import load_state
from facemotion.training.distributed import World
from facemotion.training.units.config import UnitTrainConfig
from facemotion.training.units.data import augmented, collated, mirrored
from facemotion.training.units.loop import UnitTrainer
from facemotion.training.units.losses import pixel_loss, views_of
from facemotion.training.units.validate import psnr, scores, sheet, ssim
from tests.datasets.made_up_units import made_up_sample

TINY = UnitTrainConfig(
    generator=UnitGeneratorConfig(
        input_px=32,
        widths=(8, 8, 8, 8),
        residual_widths=(8, 8, 8),
        decoder_widths=(8, 8, 8, 8),
        mouth_px=(16, 32),
        mouth_widths=(8, 8, 8),
        eye_px=(16, 16),
        eye_widths=(8, 8, 8),
    ),
    steps=4,
    adversarial=0.08,
    features=0.4,
    batch=2,
    face_px=32,
    perceptual=0.0,
    adversarial_from=1,
    r1_every=2,
    save_every=100,
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> UnitSampleFolder:
    folder = tmp_path_factory.mktemp("samples")
    kinds = ("pair", "back", "still", "back")
    write_shard(folder / "0.safetensors", [made_up_sample(i, kind=kind) for i, kind in enumerate(kinds)])
    return UnitSampleFolder(folder)


def trained(samples: UnitSampleFolder, folder, *parts: int) -> dict:
    folder.mkdir(exist_ok=True)
    for until in parts:
        UnitTrainer(TINY, samples, folder, World(0, 1, torch.device("cpu"))).run(until=until)
    return load_state(folder / "state.pt")


def test_a_resumed_training_is_that_of_one_piece(samples, tmp_path):
    whole, parts = trained(samples, tmp_path / "whole", 4), trained(samples, tmp_path / "parts", 2, 4)
    assert whole["step"] == parts["step"] == 4
    for part in ("generator", "discriminators", "average"):
        for name, tensor in whole[part].items():
            assert torch.equal(tensor, parts[part][name]), name
    log = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    assert {"right_face", "right_mouth", "right_eye", "adversarial", "features"} <= set(log[-1])
    generator, record = load_unit_release(tmp_path / "whole" / "generator.safetensors")
    assert generator.config == TINY.generator and record["steps"] == 4 and "London" in record["data"]


def test_another_configuration_does_not_continue(samples, tmp_path):
    trained(samples, tmp_path / "t", 1)
    with pytest.raises(TrainingError, match="another configuration"):
        UnitTrainer(replace(TINY, seed=1), samples, tmp_path / "t", World(0, 1, torch.device("cpu")))


def test_the_shipped_configuration_is_read_and_comes_back():
    config = UnitTrainConfig.read()
    assert UnitTrainConfig.read().to_json() == config.to_json()
    assert config.generator.units == 52


def test_a_damaged_configuration_is_refused(tmp_path):
    (tmp_path / "c.json").write_text('{"steps": "many"}')
    with pytest.raises(TrainingError, match="no training configuration"):
        UnitTrainConfig.read(tmp_path / "c.json")


def test_mirrored_twice_is_the_sample():
    sample = made_up_sample(0)
    again = mirrored(mirrored(sample))
    for f in fields(UnitSample):
        if not f.name.endswith("landmarks"):
            assert np.array_equal(getattr(again, f.name), getattr(sample, f.name)), f.name


def test_left_and_right_change_places_in_the_mirror():
    index = load_head().unit_index
    sample = made_up_sample(0)
    sample.control[:] = 0
    sample.control[index["mouthSmileLeft"]] = 1
    other = mirrored(sample)
    assert other.control[index["mouthSmileRight"]] == 1 and not other.control[index["mouthSmileLeft"]]
    np.testing.assert_allclose(other.source_landmarks[61, 0], 1 - sample.source_landmarks[291, 0], atol=1e-6)
    assert np.array_equal(other.flow[:, ::-1, 0], -sample.flow[..., 0])


def test_colours_change_alike_in_source_and_target():
    sample = made_up_sample(0)
    same = UnitSample(**{f.name: getattr(sample, f.name) for f in fields(sample)} | {"target": sample.source})
    changed = augmented(same, np.random.default_rng(3))
    assert np.array_equal(changed.source, changed.target)
    assert np.abs(changed.source.astype(float).mean() - sample.source.mean()) > 1


def test_pixels_count_more_where_the_target_differs():
    sample = made_up_sample(0)
    batch = collated([sample], 32)
    trainer_config = replace(TINY, emphasis=5.0)
    from facemotion.models.unit_generator import UnitGenerator

    torch.manual_seed(0)
    correction = UnitGenerator(TINY.generator)(batch.photo, batch.coordinates, batch.own, batch.control, batch.rendered)
    views = views_of(correction, batch, trainer_config)
    assert views.weight["mouth"].max() > 3
    assert pixel_loss(views) > 0
    assert set(views.generated) == {"face", "mouth", "eye"}
    assert views.generated["eye"].shape[0] == 2


def test_measures_know_equal_from_different():
    image = torch.rand(1, 3, 32, 32)
    weight = torch.ones(1, 1, 32, 32)
    assert psnr(image, image, weight) > 70 and ssim(image, image, weight) == pytest.approx(1, abs=1e-4)
    assert psnr(image, 1 - image, weight) < 20 and ssim(image, 1 - image, weight) < 0.5


def test_an_untrained_generator_scores_as_the_renderer(samples):
    from facemotion.models.unit_generator import UnitGenerator

    generator = UnitGenerator(TINY.generator).eval()
    by_kind = scores(generator, samples, TINY)
    assert by_kind["back"]["mouth"].samples == 2
    for views in by_kind.values():
        for score in views.values():
            assert score.psnr_network == pytest.approx(score.psnr_renderer, abs=0.05)
    assert sheet(generator, samples, [0, 1]).shape == (96, 192, 3)
