"""Settings by name, and their trip through JSON."""

import json
from dataclasses import asdict

import pytest

from facemotion.errors import UsageError
from facemotion.training.config import Phase, TrainConfig, from_dict, override


def test_override_reaches_nested_fields_of_every_type():
    config = override(
        TrainConfig(),
        [
            "losses.landmark=0",
            "images=1.5M",
            "phases=0:128/256x16, 300k:256/512x8",
            "adversary.regions=mouth",
            "adversary.spectral_norm=true",
            "generator.widths=16,32,64,64,64",
            "precision=bf16",
        ],
    )
    assert config.losses.landmark == 0
    assert config.images == 1_500_000
    assert config.phases == (Phase(0, 128, 256, 16), Phase(300_000, 256, 512, 8))
    assert config.adversary.regions == ("mouth",)
    assert config.adversary.spectral_norm is True
    assert config.generator.widths == (16, 32, 64, 64, 64)
    assert config.losses.gradient == TrainConfig().losses.gradient


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("losses.lpips=1", "unknown setting 'losses.lpips'"),
        ("nothing=1", "unknown setting 'nothing'"),
        ("seed.more=1", "unknown setting 'seed.more'"),
        ("losses=1", "losses is a group"),
        ("images=many", "images: cannot read"),
        ("adversary.spectral_norm=perhaps", "cannot read"),
        ("losses.landmark", "needs NAME=VALUE"),
        ("precision=fp16", "precision must be"),
        ("phases=128", "phases: cannot read"),
        ("phases=5:128/256", "must start at image 0"),
        ("phases=0:128/256,0:256/512", "in order"),
        ("phases=0:100/200", "divisible by"),
        ("phases=0:128/128", "painted side of 2 times"),
        ("phases=0:128/256x0", "at least one source"),
        ("optimiser.schedule=steps", "cosine or constant"),
        ("optimiser.accumulate=0", "at least 1"),
        ("sampler.frames_per_source=0", "at least 1"),
        ("generator.preset=other", "preset must be"),
        ("images=-5", "images, log_images and"),
    ],
)
def test_what_makes_no_sense_is_refused(assignment, message):
    with pytest.raises(UsageError, match=message):
        override(TrainConfig(), [assignment])


def test_no_local_discriminators():
    assert override(TrainConfig(), ["adversary.regions="]).adversary.regions == ()


def test_unknown_setting_names_those_there_are():
    with pytest.raises(UsageError) as caught:
        override(TrainConfig(), ["losses.lpips=1"])
    assert "reconstruction, gradient, temporal" in caught.value.hint


def test_configuration_survives_json():
    config = override(TrainConfig(), ["phases=0:128/256x4,8:256/512x2", "losses.mouth=3"])
    assert from_dict(json.loads(json.dumps(asdict(config)))) == config


def test_phase_in_force():
    config = override(TrainConfig(), ["phases=0:128/256x16,100:256/512x8"])
    assert [config.phase_at(images).paint_px for images in (0, 99, 100, 1000)] == [256, 256, 512, 512]
