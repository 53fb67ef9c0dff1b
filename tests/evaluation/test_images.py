"""Metrics of pictures and regions on constructed inputs."""

import numpy as np
import pytest
import torch

from facemotion.evaluation import images
from facemotion.evaluation.regions import pixel_region
from tests.evaluation.faces import face_points

EVERYWHERE = torch.ones(32, 32, dtype=torch.bool)


def noise(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_psnr_of_a_constant_error_is_known_and_counts_the_region_only():
    truth = torch.full((3, 32, 32), 0.5)
    image = truth.clone()
    image[:, :16] += 0.1
    half = EVERYWHERE.clone()
    half[16:] = False
    assert images.psnr(image, truth, half) == pytest.approx(20, abs=1e-3)
    assert images.psnr(image, truth, EVERYWHERE) == pytest.approx(20 + 10 * np.log10(2), abs=1e-3)
    assert images.psnr(image, truth, ~half) == images.PSNR_LIMIT_DB


def test_ssim_is_one_for_equal_pictures_and_known_for_flat_ones():
    picture = noise()
    assert images.ssim(picture, picture, EVERYWHERE) == pytest.approx(1)
    flat, brighter = torch.full((3, 32, 32), 0.4), torch.full((3, 32, 32), 0.6)
    c1 = 0.01**2
    expected = (2 * 0.4 * 0.6 + c1) / (0.4**2 + 0.6**2 + c1)
    assert images.ssim(flat, brighter, EVERYWHERE) == pytest.approx(expected, abs=1e-3)


def test_ssim_looks_at_its_region_only():
    picture = noise()
    other = picture.clone()
    other[:, 24:] = noise(1)[:, 24:]
    top = EVERYWHERE.clone()
    top[16:] = False
    assert images.ssim(other, picture, top) == pytest.approx(1)
    assert images.ssim(other, picture, ~top) < 0.7


def test_sharpness_is_the_energy_of_the_laplacian():
    point = torch.zeros(3, 5, 5)
    point[:, 2, 2] = 1
    all25 = torch.ones(5, 5, dtype=torch.bool)
    assert images.sharpness(point, all25) == pytest.approx((16 + 4) / 25, rel=1e-4)
    ramp = torch.arange(32.0).expand(3, 32, 32) / 32
    inner = torch.zeros(32, 32, dtype=torch.bool)
    inner[2:-2, 2:-2] = True
    assert images.sharpness(ramp, inner) == pytest.approx(0, abs=1e-9)


def test_sharpness_kept_is_one_for_the_photo_less_for_a_blur_and_a_quarter_for_half_the_contrast():
    picture = noise()
    blurred = torch.nn.functional.avg_pool2d(picture[None], 3, 1, 1)[0]
    assert images.sharpness_kept(picture, picture, EVERYWHERE) == 1
    assert images.sharpness_kept(blurred, picture, EVERYWHERE) < 0.2
    assert images.sharpness_kept(0.5 * picture, picture, EVERYWHERE) == pytest.approx(0.25, rel=1e-3)
    assert images.sharpness_kept(picture, torch.zeros_like(picture), EVERYWHERE) == 1


def test_differences_are_in_levels_of_eight_bits():
    black = torch.zeros(3, 32, 32)
    spot = black.clone()
    spot[0, 3, 3] = 10 / 255
    assert images.largest_difference(spot, black) == pytest.approx(10)
    assert images.mean_difference(spot, black, EVERYWHERE) == pytest.approx(10 / (3 * 32 * 32))
    assert images.largest_difference(spot, black, ~EVERYWHERE) == 0


def test_to_unit_takes_read_only_pictures():
    picture = np.full((2, 4, 4, 3), 51, np.uint8)
    picture.setflags(write=False)
    unit = images.to_unit(picture)
    assert unit.shape == (2, 3, 4, 4)
    assert unit.max() == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["face", "mouth", "eyes"])
def test_regions_hold_their_landmarks_and_nothing_far_away(name):
    points = face_points()
    region = pixel_region(name, [points], 512)
    groups = {"face": range(68), "mouth": range(48, 68), "eyes": range(17, 48)}[name]
    inside = [i for i in groups if not (name == "eyes" and 27 <= i < 36)]
    assert all(region[int(y), int(x)] for x, y in points[inside])
    assert not region[5, 5]
    if name != "face":
        x, y = points[8].astype(int)
        assert not region[y, x]


def test_a_region_covers_the_mouth_before_and_after():
    points = face_points()
    opened = points.copy()
    opened[55:60, 1] += 60
    both = pixel_region("mouth", [points, opened], 512)
    assert both[int(points[57, 1]), 256]
    assert both[int(opened[57, 1]), 256]
    assert both.sum() > pixel_region("mouth", [points], 512).sum()
