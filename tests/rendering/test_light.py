"""What a face tells about the light on it."""

from typing import NamedTuple

import numpy as np
import pytest

from facemotion.rendering.light import GAMMA, LUMA, light_on_face, relit


class Signs(NamedTuple):
    """Cheeks of somebody, and luminance of the bright skin around the mouth and of the eye whites."""

    skin: np.ndarray
    bright: float
    white: float


FAIR = Signs(np.array([0.79, 0.66, 0.60], np.float32), 0.70, 0.55)
DARK = Signs(np.array([0.47, 0.34, 0.26], np.float32), 0.475, 0.50)
"""Two people of the London set, in the same studio."""
EYE_WHITE = np.array([1.04, 1.0, 0.93], np.float32)


def seen(face: Signs, lamp: np.ndarray) -> np.ndarray:
    """The light found on a face under a lamp (3,), in linear light."""
    factor = np.asarray(lamp, np.float32) ** (1 / GAMMA)
    return light_on_face(face.skin * factor, face.bright * float(factor @ LUMA), face.white * EYE_WHITE * factor)


def test_a_dark_face_and_a_fair_one_under_the_same_lamp_have_the_same_light():
    fair, dark = (seen(face, np.ones(3)) for face in (FAIR, DARK))
    np.testing.assert_allclose(fair, 1, atol=0.12)
    np.testing.assert_allclose(dark, 1, atol=0.12)


@pytest.mark.parametrize("face", [FAIR, DARK])
def test_less_light_is_less(face):
    levels = [float(seen(face, np.full(3, lamp)) @ LUMA) for lamp in (1.0, 0.5, 0.2)]
    assert levels[0] > 1.15 * levels[1] > 1.3 * levels[2]


@pytest.mark.parametrize("face", [FAIR, DARK])
def test_a_warm_lamp_is_warm_and_makes_no_skin_darker(face):
    cold, warm = seen(face, np.ones(3)), seen(face, np.array([1.3, 1.0, 0.7]))
    assert warm[0] / warm[2] > 1.15 * cold[0] / cold[2]
    assert warm @ LUMA == pytest.approx(cold @ LUMA, rel=0.1)


def test_a_grey_photo_says_nothing_about_hue():
    grey = light_on_face(np.full(3, 0.6, np.float32), 0.65, np.full(3, 0.5, np.float32))
    assert grey @ LUMA == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("white", [None, np.array([0.02, 0.03, 0.05]), np.array([0.4, 0.6, 0.9])])
def test_closed_eyes_and_dark_glasses_say_nothing(white):
    for face in (FAIR, DARK):
        found = light_on_face(face.skin, face.bright, white)
        np.testing.assert_allclose(found, 1, atol=0.12)


def test_skin_in_shade_is_richer_in_colour_and_grey_stays_grey():
    skin = np.array([[[0.79, 0.6, 0.52]]], np.float32)
    darker = relit(skin, np.full((1, 1), -0.3, np.float32))
    change = GAMMA * np.log(darker / skin)[0, 0]
    np.testing.assert_allclose(change / -0.3, [0.79, 1.06, 1.25], atol=0.04)  # as measured in photographs
    assert np.isclose((darker @ LUMA).item(), (skin @ LUMA).item() * np.exp(-0.3 / GAMMA), rtol=1e-4)
    grey = relit(np.full((1, 1, 3), 0.5, np.float32), np.full((1, 1), -0.3, np.float32))
    assert np.ptp(grey) < 1e-6


def test_an_image_without_change_of_light_is_itself():
    image = np.random.default_rng(1).random((5, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(relit(image, np.zeros((5, 5), np.float32)), image, atol=1e-6)
