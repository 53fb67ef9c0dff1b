"""Samples are a pure function of seed and number, drawn in the promised shares."""

from collections import Counter

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.training.config import AugmentConfig, SamplerConfig
from facemotion.training.sampler import ClipFacts, Sampler


def facts(expression, *, origin="teacher", control=(0.0, 0.2, 0.5, 1.0), mirrored=False):
    return ClipFacts("person", origin, expression, np.array(control), mirrored)


CLIPS = [
    *[facts({"smile": 1.0}, origin="pairs") for _ in range(3)],
    *[facts({"smile": 1.0}) for _ in range(20)],
    *[facts({"anger": 1.0}) for _ in range(5)],
    facts({"blink": 1.0}, control=(0.0, 0.4)),
    facts({"contempt": 1.0}),
    facts({"contempt": 1.0}, mirrored=True),
]


def sampler(clips=CLIPS, seed=0, **changes):
    return Sampler(clips, config=SamplerConfig(**changes), augment=AugmentConfig(), seed=seed)


def test_same_seed_and_number_give_the_same_sample():
    one, other = sampler().sample(7), sampler().sample(7)
    assert (one.clip, one.frames) == (other.clip, other.frames)
    np.testing.assert_array_equal(one.augmentation.affine, other.augmentation.affine)
    changed = [sampler(seed=1).sample(n).augmentation.gamma for n in range(3)]
    assert changed != [sampler().sample(n).augmentation.gamma for n in range(3)]


def test_closed_smiles_are_among_the_photographic_ones():
    clips = [facts({name: 1.0}, origin="pairs") for name in ("smile", "closed-smile")]
    shares = sampler([*clips, facts({"closed-smile": 1.0}), facts({"anger": 1.0})], real_smile=0.4).shares
    assert shares == pytest.approx({"real smile": 0.4, "anger": 0.3, "closed-smile": 0.3})


def test_shares_of_groups():
    drawn = Counter()
    for number in range(2000):
        clip = CLIPS[sampler_of_all.sample(number).clip]
        drawn["real smile" if clip.real else clip.leading] += 1
    assert drawn["real smile"] / 2000 == pytest.approx(0.28, abs=0.03)
    for name in ("smile", "anger", "blink", "contempt"):
        assert drawn[name] / 2000 == pytest.approx(0.18, abs=0.03)


sampler_of_all = sampler()


def test_without_real_smiles_the_others_share_everything():
    assert sampler([facts({"anger": 1.0}), facts({"fear": 1.0})]).shares == {"anger": 0.5, "fear": 0.5}


def test_first_target_is_near_the_peak_and_the_second_another_frame():
    for number in range(50):
        sample = sampler_of_all.sample(number)
        control = CLIPS[sample.clip].control
        assert control[sample.frames[0]] >= min(0.7, control.max())
        if (control > 0).sum() > 1:
            assert sample.frames[1] != sample.frames[0]
        assert control[sample.frames[1]] > 0


def test_more_targets_than_frames_repeat():
    sample = sampler([facts({"blink": 1.0}, control=(0.0, 1.0))], frames_per_source=3).sample(0)
    assert sample.frames == (1, 1, 1)


def test_contempt_always_happens_on_one_side():
    samples = [sampler_of_all.sample(number) for number in range(300)]
    flips = {s.clip: s.augmentation.flip for s in samples if CLIPS[s.clip].leading == "contempt"}
    assert flips == {len(CLIPS) - 2: False, len(CLIPS) - 1: True}


def test_clips_without_motion_are_refused():
    with pytest.raises(InputError, match="control above 0"):
        sampler([facts({"smile": 1.0}, control=(0.0, 0.0))])
