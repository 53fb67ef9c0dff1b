import numpy as np
import pytest

from facemotion.compositing.composite import Composite
from facemotion.compositing.texture import ZERO, fine_texture, share_kept, unstretched_share
from tests.faces.faces import frontal_landmarks

EVERYWHERE = np.ones((120, 120), bool)


def skin(side=120, *, pores=3.0, seed=0) -> np.ndarray:
    levels = 150 + np.random.default_rng(seed).normal(0, pores, (side, side, 1))
    return np.rint(levels * [1, 0.8, 0.7]).astype(np.uint8)


def test_texture_is_what_is_fine():
    texture = fine_texture(skin(), EVERYWHERE, finer_than_px=2)
    assert texture.dtype == np.uint8 and texture.mean() == pytest.approx(ZERO, abs=0.1)
    assert texture.std() == pytest.approx(3 * 0.85, rel=0.15)


def test_edges_are_no_texture():
    photo = skin()
    photo[60:] //= 3
    texture = fine_texture(photo, EVERYWHERE, finer_than_px=2).astype(int) - ZERO
    assert np.abs(texture).max() <= 16  # of some 45 levels that the edge departs from its blur


def test_a_smooth_photo_has_none():
    ramp = np.linspace(90, 130, 120).astype(np.uint8)[None, :, None].repeat(120, axis=0).repeat(3, axis=2)
    assert fine_texture(ramp, EVERYWHERE, finer_than_px=2) is None
    assert fine_texture(skin(), ~EVERYWHERE, finer_than_px=2) is None


def test_a_glaze_keeps_all_texture_and_solid_paint_none():
    alpha = np.linspace(0, 1, 101)
    kept = share_kept(alpha)
    assert (kept[alpha <= 0.4] == 1).all() and kept[-1] == 0
    assert (np.diff(kept) <= 1e-12).all() and (kept >= 1 - alpha - 1e-12).all()


@pytest.mark.parametrize(("opacity", "left"), [(0.3, 1.0), (0.8, 0.2), (1.0, 0.0)])
def test_paint_over_the_skin_of_a_large_photo_leaves_its_pores(opacity, left):
    photo = skin(900)
    composite = Composite(photo, frontal_landmarks(centre=(450, 450), eye_distance_px=200), grain=False)
    mask = np.full((512, 512), opacity, np.float32)
    colour = np.full((512, 512, 3), 0.1, np.float32)
    still = np.zeros((128, 128, 2), np.float32), np.zeros((128, 128), np.float32)
    middle = np.s_[430:470, 430:470, 1]
    frame = composite.frame(*still, mask, colour)
    assert frame[middle].std() == pytest.approx(left * photo[middle].std(), abs=0.35)


def test_in_a_small_photo_paint_is_sharp_enough():
    composite = Composite(skin(200), frontal_landmarks(centre=(100, 100), eye_distance_px=40))
    assert composite._texture is None


@pytest.mark.parametrize(("stretch", "survives"), [(0.0, 1), (0.5, 1), (-0.15, 1), (-0.4, 0.5), (-0.9, 0)])
def test_texture_is_lost_where_the_photo_is_stretched(stretch, survives):
    flow = np.zeros((64, 64, 2), np.float32)
    flow[..., 1] = stretch * (np.arange(64)[:, None] + 0.5) / 64  # a frame px comes from 1 + stretch photo px
    assert unstretched_share(flow) == pytest.approx(survives, abs=0.01)
