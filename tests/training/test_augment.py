"""Augmentation: unchanged when told so, the same for source and target, landmarks on their features."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facemotion.training.augment import augment
from facemotion.training.config import AugmentConfig, SamplerConfig
from facemotion.training.dataset import ClipPool
from facemotion.training.regions import FLIP
from facemotion.training.sampler import Sampler
from facemotion.training.validate import UNCHANGED

SIZE = 64


@pytest.fixture
def pool(clip_folder):
    return ClipPool.open([clip_folder], split="train", expressions=("smile", "surprise"))


def batch_of(pool, config, count=6):
    sampler = Sampler(pool.facts, config=SamplerConfig(), augment=config, seed=0)
    return pool.batch([sampler.sample(n) for n in range(count)], size=SIZE)


def test_no_augmentation_leaves_pixels_and_points(pool):
    batch = batch_of(pool, UNCHANGED)
    frames, landmarks = augment(batch, size=SIZE)
    expected = batch.frames.permute(0, 1, 4, 2, 3) / 127.5 - 1
    torch.testing.assert_close(frames, expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(landmarks, batch.landmarks, equal_nan=True)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_landmarks_follow_their_pixels(pool, flip):
    geometry = replace(UNCHANGED, identity=0.0, flip=flip, scale=0.1, shift=0.05, rotation_deg=15.0)
    batch = batch_of(pool, geometry)
    marked = torch.zeros_like(batch.frames)
    places = ((batch.landmarks[:, :, :68] * SIZE) - 0.5).round().long().clamp(0, SIZE - 1)
    corner = 48
    for b in range(marked.shape[0]):
        for k in range(marked.shape[1]):
            x, y = places[b, k, corner]
            marked[b, k, y - 1 : y + 2, x - 1 : x + 2] = 255
    frames, landmarks = augment(replace(batch, frames=marked), size=SIZE)
    light = (frames.mean(2) + 1).flatten(2)
    grid = (torch.arange(SIZE) + 0.5) / SIZE
    x = (light * grid.repeat(SIZE)).sum(-1) / light.sum(-1)
    y = (light * grid.repeat_interleave(SIZE)).sum(-1) / light.sum(-1)
    corner_now = FLIP.index(corner) if flip else corner
    expected = landmarks[:, :, corner_now]
    assert (torch.stack([x, y], -1) - expected).abs().max() * SIZE < 1.0


def test_flip_order_is_its_own_inverse_and_mirrors_the_mouth():
    assert sorted(FLIP) == list(range(78))
    assert [FLIP[i] for i in FLIP] == list(range(78))
    assert FLIP[48] == 54
    assert FLIP[36] == 45
    assert FLIP[68] == 72 and FLIP[75] == 75


def test_source_and_equal_target_stay_equal_under_every_degradation(pool):
    always = AugmentConfig(blur=1.0, noise=1.0, jpeg=1.0, grey=0.5)
    batch = batch_of(pool, always)
    same = replace(batch, frames=batch.frames[:, :1].expand(-1, 3, -1, -1, -1))
    frames, _ = augment(same, size=SIZE)
    assert torch.equal(frames[:, 0], frames[:, 1])
    assert frames.abs().max() <= 1
    assert not torch.allclose(frames[:, 0], same.frames[:, 0].permute(0, 3, 1, 2) / 127.5 - 1, atol=0.05)


def test_a_sample_does_not_depend_on_its_batch(pool):
    config = AugmentConfig(blur=0.5, noise=0.5, jpeg=0.5)
    whole, _ = augment(batch_of(pool, config, 6), size=SIZE)
    alone, _ = augment(batch_of(pool, config, 2), size=SIZE)
    torch.testing.assert_close(alone, whole[:2], atol=1e-5, rtol=0)


def test_jpeg_quality_orders_the_error(pool):
    batch = batch_of(pool, UNCHANGED, 2)
    plain, _ = augment(batch, size=SIZE)
    errors = []
    for quality in (30.0, 60.0, 95.0):
        rough, _ = augment(replace(batch, jpeg_quality=torch.full((2,), quality)), size=SIZE)
        errors.append((rough - plain).abs().mean().item())
    assert errors[0] > errors[1] > errors[2] > 0
    assert errors[2] < 0.03


def test_blur_keeps_the_mean(pool):
    batch = batch_of(pool, UNCHANGED, 2)
    plain, _ = augment(batch, size=SIZE)
    soft, _ = augment(replace(batch, blur_sigma=torch.full((2,), 0.02)), size=SIZE)
    assert np.isclose(soft.mean(), plain.mean(), atol=5e-3)
    assert soft.diff(dim=-1).abs().mean() < plain.diff(dim=-1).abs().mean()
