"""What smiles shade, in the plane of the head and on NASA's portrait."""

import cv2
import numpy as np

from facemotion.datasets.smile_relief import believed, half_in_levels, in_head_plane
from facemotion.head.rig import Rig
from facemotion.rendering.smile_relief import PX_PER_CM, TOP_CM, WIDTH_CM, SmileRelief, smile_relief
from tests.rendering.conftest import RIG_PX

SIZE = RIG_PX
SKIN = np.ones((SIZE, SIZE), np.float32)


def gain_at(gain: np.ndarray, rig: Rig, landmark: int) -> float:
    """Mean about a landmark."""
    x, y = np.round(rig.landmarks[landmark]).astype(int)
    return float(gain[y - 2 : y + 3, x - 2 : x + 3].mean())


def test_a_smile_darkens_beside_the_nose_and_lightens_the_chin(rig):
    gain = SmileRelief(rig, SKIN, 0.4 * SKIN).log_gain(
        rig.head.strengths({"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8})
    )
    assert gain_at(gain, rig, 206) < -0.1 and gain_at(gain, rig, 426) < -0.1
    assert gain_at(gain, rig, 18) > 0.02
    assert np.abs(gain[: int(rig.landmarks[9, 1])]).max() < 0.01  # nothing from the brows upwards


def test_half_a_smile_shades_its_own_side(rig):
    gain = SmileRelief(rig, SKIN, 0.4 * SKIN).log_gain(rig.head.strengths({"mouthSmileLeft": 0.8}))
    assert gain_at(gain, rig, 426) < -0.1 < gain_at(gain, rig, 206) + 0.09


def test_rest_and_other_units_shade_nothing(rig):
    relief = SmileRelief(rig, SKIN, 0.4 * SKIN)
    assert relief.log_gain(rig.head.strengths({"jawOpen": 0.8})) is None


def test_what_does_not_look_like_skin_stays(rig):
    hidden = SmileRelief(rig, 0 * SKIN, 0.4 * SKIN)
    assert not hidden.log_gain(rig.head.strengths({"mouthSmileLeft": 0.8})).any()


def test_a_fold_that_the_photo_shows_deepens(rig):
    x, y = rig.landmarks[206]
    dark = np.zeros((SIZE, SIZE), np.float32)
    cv2.line(dark, (int(x) - 4, int(y) + 8), (int(x) + 4, int(y) - 8), 1.0, 1)
    fold = cv2.GaussianBlur(dark, (0, 0), 1.0)
    smile = rig.head.strengths({"mouthSmileRight": 0.8, "mouthSmileLeft": 0.8})
    smooth, folded = (SmileRelief(rig, SKIN, 0.4 * np.exp(-0.8 * f)).log_gain(smile) for f in (0 * fold, fold))
    on_fold = fold > 0.25
    assert (folded - smooth)[on_fold].mean() < -0.05
    assert np.abs((folded - smooth)[cv2.dilate(fold, np.ones((25, 25))) == 0]).max() < 0.01


def test_a_smile_that_goes_takes_no_more_than_the_usual_shade(rig):
    relief = SmileRelief(rig, SKIN, 0.4 * SKIN)
    gone = relief.log_gain(rig.head.strengths({"mouthSmileLeft": -0.5, "mouthSmileRight": -0.5}))
    came = relief.log_gain(rig.head.strengths({"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}))
    np.testing.assert_allclose(gone, -came, atol=1e-6)


def test_a_crop_lies_in_the_plane_of_the_head_as_its_landmarks_do(rig):
    x, y = np.meshgrid(np.arange(SIZE, dtype=np.float32), np.arange(SIZE, dtype=np.float32))
    column, row = (in_head_plane(each, rig, rig.source) for each in (x, y))
    vertex = rig.head.landmark_vertices[4]  # the tip of the nose
    at = (rig.head.vertices[vertex, :2] - (-WIDTH_CM / 2, TOP_CM)) * (PX_PER_CM, -PX_PER_CM)
    i, j = np.round(at[::-1]).astype(int)
    np.testing.assert_allclose([column[i, j], row[i, j]], rig.source[vertex, :2], atol=1.0)


def test_the_map_is_kept_to_within_a_level_and_has_two_equal_halves():
    relief = smile_relief()
    assert np.array_equal(relief, relief[:, ::-1])
    half = half_in_levels(relief).astype(np.float32)
    np.testing.assert_allclose((half - 128) / 160, relief[:, : half.shape[1]], atol=0.5 / 160)


def test_upper_lids_and_the_seam_of_the_lips_are_not_believed():
    kept = believed(np.full(smile_relief().shape, -0.3, np.float32))
    row = lambda y: round((TOP_CM - y) * PX_PER_CM)  # noqa: E731
    column = lambda x: round((x + WIDTH_CM / 2) * PX_PER_CM)  # noqa: E731
    assert abs(kept[row(3.6), column(3.0)]) < 0.01  # an upper lid
    assert abs(kept[row(-3.4), column(0.0)]) < 0.02  # between the lips
    assert kept[row(-1.0), column(2.5)] < -0.28  # beside the nose
