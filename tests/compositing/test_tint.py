import numpy as np
import pytest

from facemotion.compositing.tint import Tint

LUMA = np.array([0.299, 0.587, 0.114])


def coloured(seed=0) -> np.ndarray:
    """Skin, lips and eyes: a few colours, each in many shades."""
    rng = np.random.default_rng(seed)
    colours = np.array([[220, 175, 150], [190, 90, 95], [110, 140, 170]])
    shades = rng.uniform(0.4, 1.1, (90, 90, 1))
    return np.clip(colours[rng.integers(0, 3, (90, 90))] * shades, 0, 255).astype(np.uint8)


def sepia(picture: np.ndarray) -> np.ndarray:
    luminance = (picture @ LUMA)[..., None]
    return np.clip(luminance * [1.05, 0.98, 0.8] + [9, 2, -4], 0, 255).astype(np.uint8)


def test_a_colour_photo_has_no_tint():
    assert Tint.of(coloured()) is None


def test_grey_stays_exactly_grey():
    grey = coloured()[..., :1].repeat(3, axis=2)
    toned = Tint.of(grey).apply(coloured(1).astype(np.float32))
    assert np.ptp(toned, axis=2) == pytest.approx(0, abs=0.05)


def test_paint_in_a_sepia_photo_becomes_sepia_of_the_same_lightness():
    paint = np.clip(coloured(1), 60, 200)
    toned = Tint.of(sepia(coloured())).apply(paint.astype(np.float32))
    assert toned @ LUMA == pytest.approx(paint @ LUMA, abs=0.1)
    red, green, blue = np.moveaxis(toned, 2, 0)
    assert (red > green).all() and (green > blue).all()
    assert toned - (toned @ LUMA)[..., None] == pytest.approx(sepia(paint) - (sepia(paint) @ LUMA)[..., None], abs=4)


@pytest.mark.parametrize("pixels", [np.zeros((1, 1, 3), np.uint8), np.full((9, 9, 3), 255, np.uint8)])
def test_a_plain_picture_has_its_own_tint(pixels):
    assert np.isfinite(Tint.of(pixels).departures).all()
