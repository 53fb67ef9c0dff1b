"""Reading clips: sizes, caching, expressions that do not fit."""

import numpy as np
import pytest
import torch

from facemotion.datasets.clips import ClipSet
from facemotion.errors import InputError
from facemotion.training.config import AugmentConfig, SamplerConfig
from facemotion.training.dataset import ClipPool, decode_at
from facemotion.training.loader import Loader
from facemotion.training.sampler import Sampler

NAMES = ("smile", "surprise")


def test_reduced_decoding_is_area_averaging_edge_to_edge(clip_folder):
    clip = ClipSet.open(clip_folder)[0]
    full = clip.frame(2).astype(float)
    half = decode_at(clip, 2, size=32).astype(float)
    averaged = full.reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(half - averaged).mean() < 3
    assert decode_at(clip, 2, size=48).shape == (48, 48, 3)
    assert decode_at(clip, 2, size=128).shape == (128, 128, 3)


def test_batch_holds_source_targets_and_their_controls(clip_folder):
    pool = ClipPool.open([clip_folder], split="train", expressions=NAMES)
    sampler = Sampler(pool.facts, config=SamplerConfig(), augment=AugmentConfig(), seed=0)
    samples = [sampler.sample(n) for n in range(4)]
    batch = pool.batch(samples, size=32)
    assert batch.frames.shape == (4, 3, 32, 32, 3)
    assert batch.frames.dtype == torch.uint8
    assert batch.control.shape == (4, 2, 2)
    for row, sample in enumerate(samples):
        clip = pool.clips[sample.clip]
        np.testing.assert_allclose(batch.control[row, 0], clip.control_vector(sample.frames[0], NAMES))
        np.testing.assert_allclose(batch.landmarks[row, 0, :68] * clip.size_px - 0.5, clip.landmarks[0], atol=1e-4)
        assert batch.real[row] == (clip.origin == "pairs")


def test_cache_gives_the_same_pixels_and_keeps_to_its_room(clip_folder):
    pool = ClipPool.open([clip_folder], split="train", expressions=NAMES, cache_gb=2 * 64 * 64 * 3 / 2**30)
    clip = pool.clips[0]
    first = pool.frame(0, clip, 1, size=64)
    assert pool.frame(0, clip, 1, size=64) is first
    pool.frame(0, clip, 2, size=64)
    third = pool.frame(0, clip, 3, size=64)
    assert pool.frame(0, clip, 3, size=64) is not third


def test_unknown_expressions_and_empty_splits_are_refused(clip_folder):
    with pytest.raises(InputError, match="surprise, which the generator does not have"):
        ClipPool.open([clip_folder], split="train", expressions=("smile",))
    with pytest.raises(InputError, match="no clips of the test split"):
        ClipPool.open([clip_folder], split="test", expressions=NAMES)


def test_loader_keeps_the_order_and_passes_errors_on():
    tickets = iter(range(100))
    loader = Loader(lambda n: 1 // (5 - n) * 0 + n, lambda: next(tickets), workers=3)
    assert [next(loader) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        next(loader)
    loader.close()
