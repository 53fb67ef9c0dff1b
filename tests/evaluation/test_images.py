"""Metrics of pictures and regions on constructed inputs."""

import numpy as np
import pytest

from facemotion.evaluation import images
from facemotion.evaluation.regions import head_similarity, pixel_region
from facemotion.faces import geometry
from tests.faces.faces import frontal_landmarks

EVERYWHERE = np.ones((32, 32), bool)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_psnr_of_a_constant_error_is_known_and_counts_the_region_only():
    truth = np.full((32, 32, 3), 128, np.uint8)
    image = truth.copy()
    image[:16] += 51  # a fifth of the range
    half = EVERYWHERE.copy()
    half[16:] = False
    assert images.psnr(image, truth, half) == pytest.approx(20 * np.log10(5), abs=1e-3)
    assert images.psnr(image, truth, EVERYWHERE) == pytest.approx(20 * np.log10(5) + 10 * np.log10(2), abs=1e-3)
    assert images.psnr(image, truth, ~half) == images.PSNR_LIMIT_DB


def test_ssim_is_one_for_equal_pictures_and_known_for_flat_ones():
    assert images.ssim(noise(), noise(), EVERYWHERE) == pytest.approx(1)
    flat, brighter = np.full((32, 32, 3), 102, np.uint8), np.full((32, 32, 3), 153, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 102 * 153 + c1) / (102**2 + 153**2 + c1)
    assert images.ssim(flat, brighter, EVERYWHERE) == pytest.approx(expected, abs=1e-3)


def test_ssim_looks_at_its_region_only():
    picture, other = noise(), noise()
    other[24:] = noise(1)[24:]
    top = EVERYWHERE.copy()
    top[16:] = False
    assert images.ssim(other, picture, top) == pytest.approx(1)
    assert images.ssim(other, picture, ~top) < 0.7


def test_regions_hold_their_landmarks_in_every_frame():
    points = frontal_landmarks(centre=(64, 64), eye_distance_px=30)
    lower = points.copy()
    lower[48:68, 1] += 8
    for name in ("face", "mouth", "eyes"):
        region = pixel_region(name, [points, lower], 128)
        assert region.shape == (128, 128) and 0 < region.mean() < 0.7
    mouth = pixel_region("mouth", [points, lower], 128)
    for each in (points, lower):
        assert all(mouth[round(y), round(x)] for x, y in each[48:60])
    assert not mouth[round(points[36, 1]), round(points[36, 0])]


def test_heads_are_laid_on_each_other_by_what_no_expression_moves():
    points = frontal_landmarks(centre=(64, 64), eye_distance_px=30)
    moved = geometry.apply(np.array([[0.9, -0.3, 5.0], [0.3, 0.9, -7.0]]), points)
    moved[48:68, 1] += 10
    rigid = [27, 28, 29, 30, 36, 39, 42, 45]
    np.testing.assert_allclose(geometry.apply(head_similarity(moved, points), moved)[rigid], points[rigid], atol=1e-3)
