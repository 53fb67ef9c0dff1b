"""Folds on NASA's portrait: units draw them, and take away what the photo shows of one, nothing else."""

import numpy as np

from facemotion.head.rig import Rig
from facemotion.rendering.wrinkles import Wrinkles
from tests.rendering.conftest import RIG_PX

SIZE = RIG_PX
SKIN = np.ones((SIZE, SIZE), np.float32)


def smiling(rig: Rig, strength: float) -> np.ndarray:
    return rig.head.strengths({"mouthSmileLeft": strength, "mouthSmileRight": strength})


def raised_lip(rig: Rig, strength: float) -> np.ndarray:
    return rig.head.strengths({"mouthUpperUpLeft": strength, "mouthUpperUpRight": strength})


def test_a_raised_lip_draws_folds_and_rest_draws_none(rig):
    wrinkles = Wrinkles(rig, SKIN, 0.4 * SKIN)
    assert wrinkles.log_gain(raised_lip(rig, 1.0)).min() < -0.1
    assert wrinkles.log_gain(raised_lip(rig, 0)) is None


def test_the_folds_of_a_new_smile_are_not_drawn_here(rig):
    """`smile_relief` has them."""
    assert Wrinkles(rig, SKIN, 0.4 * SKIN).log_gain(smiling(rig, 0.8)) is None


def test_skin_without_folds_is_left_alone_when_a_smile_goes(rig):
    assert np.abs(Wrinkles(rig, SKIN, 0.4 * SKIN).log_gain(smiling(rig, -0.8))).max() < 0.01


def test_a_fold_that_the_photo_shows_goes_with_its_smile(rig):
    fold = 2 * Wrinkles(rig, SKIN, 0.4 * SKIN).log_gain(raised_lip(rig, 1.0))
    wrinkles = Wrinkles(rig, SKIN, 0.4 * np.exp(fold))
    smoothed = fold + wrinkles.log_gain(smiling(rig, -1.0))
    assert np.abs(smoothed).max() < 0.75 * np.abs(fold).max()
    assert np.linalg.norm(smoothed) < 0.75 * np.linalg.norm(fold)
    half = wrinkles.log_gain(smiling(rig, -0.2))
    assert 0 < np.abs(half).max() <= np.abs(wrinkles.log_gain(smiling(rig, -1.0))).max()
