import cv2
import numpy as np
import pytest

from facemotion.faces import geometry
from tests.faces.faces import frontal_landmarks


@pytest.mark.parametrize("roll", [0, 33, -120, 180])
def test_the_crop_is_upright_and_centred(roll):
    landmarks = frontal_landmarks(turn_deg=(0, 0, roll))
    in_crop = geometry.apply(geometry.photo_to_crop(landmarks, 256), landmarks)
    left, right, mouth = in_crop[36:42].mean(0), in_crop[42:48].mean(0), in_crop[48:68].mean(0)
    assert left[1] == pytest.approx(right[1])
    assert left[0] < right[0] and mouth[1] > left[1]
    middle = (left + right) / 4 + mouth / 2
    assert middle == pytest.approx([0.5 * 256 - 0.5, 0.55 * 256 - 0.5])
    assert 256 / (2.3 * max(1.6, 1.8 * 1.06)) == pytest.approx(right[0] - left[0], rel=0.05)


def test_the_crop_follows_the_face_exactly():
    """Scaling, turning and moving the face moves the crop with it: what the generator sees does not change."""
    landmarks = frontal_landmarks().astype(float)
    motion = np.array([[1.2, -0.7, 31.5], [0.7, 1.2, -12.25]])
    in_crop = geometry.apply(geometry.photo_to_crop(landmarks, 512), landmarks)
    moved = geometry.apply(motion, landmarks)
    assert geometry.apply(geometry.photo_to_crop(moved, 512), moved) == pytest.approx(in_crop, abs=1e-9)


def test_inverse_is_exact():
    transform = geometry.photo_to_crop(frontal_landmarks(turn_deg=(20, 5, 17)), 256)
    points = np.random.default_rng(0).uniform(-500, 5000, (50, 2))
    there = geometry.apply(transform, points)
    assert geometry.apply(geometry.invert(transform), there) == pytest.approx(points, abs=1e-8)
    assert geometry.compose(transform, geometry.invert(transform)) == pytest.approx(np.eye(3)[:2], abs=1e-8)


def test_sizes_of_one_crop_share_their_edges():
    landmarks = frontal_landmarks()
    small, large = (geometry.photo_to_crop(landmarks, size) for size in (256, 512))
    assert geometry.compose(small, geometry.resized(256, 512)) == pytest.approx(large)
    assert geometry.apply(geometry.resized(4, 8), [[-0.5, 3.5]]) == pytest.approx(np.array([[-0.5, 7.5]]))
    # cv2.resize means the same: a ramp stays a ramp.
    ramp = np.arange(8, dtype=np.float32)[None].repeat(8, 0)
    resized = cv2.resize(ramp, (32, 32), interpolation=cv2.INTER_LINEAR)
    where = geometry.apply(geometry.invert(geometry.resized(8, 32)), [[10, 0], [17, 0]])[:, 0]
    assert resized[0, [10, 17]] == pytest.approx(where)


@pytest.mark.parametrize("scale", [4.0, 1.0, 0.5, 0.16])
def test_warp_crop_puts_a_ramp_where_the_transform_says(scale):
    size, angle = 48, 0.3
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = np.array([250.0, 220.0])
    transform = np.hstack([linear, (np.array([24, 24]) - linear @ centre)[:, None]])
    y, x = np.mgrid[0:480, 0:500].astype(np.float32)
    crop = geometry.warp_crop(np.dstack([x, y]), transform, size)
    wanted = geometry.apply(geometry.invert(transform), np.dstack(np.meshgrid(np.arange(size), np.arange(size))))
    assert crop == pytest.approx(wanted, abs=0.05)


def test_shrinking_averages_instead_of_picking():
    noise = np.random.default_rng(1).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    crop = geometry.warp_crop(noise, geometry.resized(640, 32), 32)
    assert crop.dtype == np.uint8 and crop.shape == (32, 32, 3)
    assert crop.std() < 6  # 74 / 20 for the mean over 20 x 20 pixels


def test_crop_then_uncrop_is_the_identity():
    rng = np.random.default_rng(2)
    photo = cv2.GaussianBlur(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8), (0, 0), 4)
    transform = geometry.photo_to_crop(frontal_landmarks(turn_deg=(0, 0, 12)), 512)
    crop = geometry.warp_crop(photo, transform, 512)
    back = geometry.warp_crop(crop, geometry.invert(transform), 300)
    corners = geometry.apply(transform, np.dstack(np.meshgrid(np.arange(300), np.arange(300))))
    inside = ((corners > 2) & (corners < 509)).all(axis=2)
    assert inside.sum() > 20_000
    assert np.abs(back[inside].astype(int) - photo[inside]).max() <= 2


def test_outside_the_photo_its_edge_is_repeated():
    photo = np.full((40, 60, 3), 200, np.uint8)
    shifted = np.array([[1.0, 0, 30], [0, 1.0, 30]])
    assert (geometry.warp_crop(photo, shifted, 64) == 200).all()
    far_away = np.array([[1.0, 0, 5000], [0, 1.0, 5000]])
    assert (geometry.warp_crop(photo, far_away, 16) == 200).all()


@pytest.mark.parametrize("landmarks", [np.zeros((68, 2)), np.full((68, 2), np.nan)])
def test_a_face_without_extent_is_refused(landmarks):
    with pytest.raises(ValueError, match="landmarks"):
        geometry.photo_to_crop(landmarks, 256)
