import numpy as np
import pytest

from facemotion.compositing.composite import Composite
from facemotion.compositing.shading import relit
from tests.faces.faces import frontal_landmarks

BRIGHT_CHEEK = (253, 220, 187)


def light(levels: np.ndarray) -> np.ndarray:
    """sRGB levels in linear light (IEC 61966-2-1)."""
    coded = np.asarray(levels, np.float64) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("shade", [-0.3, -0.07, 0.05, 0.4])
@pytest.mark.parametrize("colour", [BRIGHT_CHEEK, (255, 240, 205), (236, 170, 140), (92, 60, 44), (40, 25, 18)])
def test_channels_keep_their_ratio_in_linear_light(colour, shade):
    pixels = np.full((4, 4, 3), colour, np.uint8)
    result = relit(pixels, np.full((4, 4), shade, np.float32))[0, 0]
    ratios = light(result) / light(np.array(colour))
    assert ratios == pytest.approx(ratios.mean(), rel=0.01)
    assert (ratios.mean() > 1) == (shade > 0) or colour[0] == 255
    assert result.max() <= 255


def test_a_highlight_takes_no_more_light_than_it_can_show():
    pixels = np.full((1, 1, 3), (255, 240, 205), np.uint8)
    assert relit(pixels, np.full((1, 1), 0.3, np.float32))[0, 0] == pytest.approx((255, 240, 205))


def test_grey_levels_grow_by_the_shade_and_stay_grey():
    levels = np.arange(0, 180, dtype=np.uint8)
    pixels = np.stack([levels] * 3, -1)[None]
    for shade in (-0.5, -0.1, 0.2, 0.4):
        result = relit(pixels, np.full(pixels.shape[:2], shade, np.float32))[0]
        assert result == pytest.approx(pixels[0] * (1 + shade), abs=0.01)


def test_no_shade_gives_the_very_levels_and_no_light_is_black():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert np.array_equal(relit(pixels, np.zeros((20, 20), np.float32)), pixels)
    assert not relit(pixels, np.full((20, 20), -1.2, np.float32)).any()


@pytest.mark.parametrize("shade", [-0.07, 0.07])
def test_a_bright_cheek_keeps_its_hue_in_a_frame(shade):
    photo = np.full((400, 400, 3), BRIGHT_CHEEK, np.uint8)
    composite = Composite(photo, frontal_landmarks(centre=(200, 200), eye_distance_px=60), grain=False)
    flow, nothing, colour = (np.zeros((128, 128, *depth), np.float32) for depth in ((2,), (), (3,)))
    cheek = composite.frame(flow, nothing + shade, nothing, colour)[210, 170]
    ratios = light(cheek) / light(np.array(BRIGHT_CHEEK))
    assert ratios == pytest.approx(ratios.mean(), rel=0.01)
