"""Occluders stay in front, and the face behind them moves on without folding or ghosts."""

import cv2
import numpy as np
import pytest

from facemotion.compositing.face_in_photo import FaceInPhoto
from facemotion.compositing.occluders import MAP_PX, occluders_of
from facemotion.faces import geometry
from facemotion.faces.occlusion import Occlusion, share_in_front
from tests.compositing.renderings import everything, placed, rendering, textured
from tests.faces.faces import frontal_landmarks

PHOTO_PX = 600
LANDMARKS = frontal_landmarks(centre=(300, 300), eye_distance_px=110)
TO_CROP = geometry.photo_to_crop(LANDMARKS, 128)


def covered(part: slice, *, grow_px: int = 20) -> tuple[np.ndarray, np.ndarray, Occlusion]:
    """A photo with a grey blob over some landmarks; where that lies (H, W) bool; and what a perfect eye would say."""
    blob = np.zeros((PHOTO_PX, PHOTO_PX), np.uint8)
    if part.stop:
        cv2.fillConvexPoly(blob, cv2.convexHull(np.rint(LANDMARKS[part]).astype(np.int32)), 1)
        blob = cv2.dilate(blob, np.ones((2 * grow_px + 1,) * 2, np.uint8))
    photo = textured(PHOTO_PX, PHOTO_PX)
    photo[blob > 0] = 128
    front = geometry.warp_crop(blob.astype(np.float32), TO_CROP, 128)
    shares = share_in_front(front, geometry.apply(TO_CROP, LANDMARKS))
    return photo, blob > 0, Occlusion(front, *(1 - share for share in shares))


def composite(photo: np.ndarray, occlusion: Occlusion) -> FaceInPhoto:
    return placed(photo, LANDMARKS, occluders=occluders_of(occlusion, photo, LANDMARKS))


@pytest.mark.parametrize("part", [slice(48, 60), slice(36, 42), slice(2, 15)], ids=["mouth", "eye", "mask"])
def test_the_occluder_keeps_its_very_pixels_under_all_motion_light_and_paint(part):
    photo, blob, occlusion = covered(part)
    frame = composite(photo, occlusion).frame(everything())
    assert np.array_equal(frame[blob], photo[blob])
    assert (frame[~blob] != photo[~blob]).any(axis=-1).mean() > 0.1


def test_without_occluders_there_are_no_maps():
    photo, _, occlusion = covered(slice(0, 0))
    assert occluders_of(occlusion, photo, LANDMARKS) is None
    noise = np.zeros((128, 128), np.float32)
    noise[60, 60], noise[90, 40] = 0.9, 0.3
    assert occluders_of(Occlusion(noise), photo, LANDMARKS) is None


def test_a_hidden_mouth_is_not_painted_even_where_the_occluder_ends():
    photo, _, occlusion = covered(slice(48, 60), grow_px=0)
    occluders = occluders_of(occlusion, photo, LANDMARKS)
    lips = geometry.apply(geometry.photo_to_crop(LANDMARKS, MAP_PX), LANDMARKS[48:60])
    x, y = np.rint(lips.mean(0)).astype(int)
    reach = int(0.6 * np.ptp(lips[:, 0]))
    assert not occluders.paint[y - 20 : y + 20, x - reach : x + reach].any()
    eyes = geometry.apply(geometry.photo_to_crop(LANDMARKS, MAP_PX), LANDMARKS[36:48]).mean(0)
    assert occluders.paint[int(eyes[1]), int(eyes[0])] == 1


def test_a_hidden_eye_is_not_painted_and_the_other_one_is():
    photo, _, occlusion = covered(slice(36, 42), grow_px=6)
    assert occlusion.eyes_hidden == (True, False)
    occluders = occluders_of(occlusion, photo, LANDMARKS)
    for side, painted in ((0, 0.0), (1, 1.0)):
        eye = geometry.apply(geometry.photo_to_crop(LANDMARKS, MAP_PX), LANDMARKS[36 + 6 * side : 42 + 6 * side])
        x, y = np.rint(eye.mean(0)).astype(int)
        assert occluders.paint[y, x] == painted


def test_lids_move_behind_glasses_whose_thin_rims_move_less():
    photo, _, _ = covered(slice(0, 0))
    rims = np.zeros((PHOTO_PX, PHOTO_PX), np.uint8)
    for eye in (LANDMARKS[36:42], LANDMARKS[42:48]):
        centre = np.rint(eye.mean(0)).astype(int).tolist()
        cv2.ellipse(rims, centre, (42, 34), 0, 0, 360, 1, 5)
    photo[rims > 0] = 10
    front = geometry.warp_crop(rims.astype(np.float32), TO_CROP, 128)
    shares = share_in_front(front, geometry.apply(TO_CROP, LANDMARKS))
    moved = rendering(flow=0.05, log_gain=0.3)
    frame = composite(photo, Occlusion(front, *(1 - share for share in shares))).frame(moved)
    core = cv2.erode(rims, np.ones((3, 3))) > 0
    change, without = (
        np.abs(each[core].astype(int) - photo[core]).mean() for each in (frame, placed(photo, LANDMARKS).frame(moved))
    )
    assert change < 0.75 * without
    x, y = np.rint(LANDMARKS[36:42].mean(0)).astype(int)
    assert (frame[y - 3 : y + 4, x - 8 : x + 9] != photo[y - 3 : y + 4, x - 8 : x + 9]).any(axis=2).mean() > 0.9


def test_nothing_folds_over_beside_an_occluder():
    """Places along a line through the occluder keep their order, under as much motion as a wide smile has."""
    photo, _, occlusion = covered(slice(48, 60))
    occluders = occluders_of(occlusion, photo, LANDMARKS)
    places = np.arange(MAP_PX) / MAP_PX
    for flow in (0.06, -0.06):
        moved = places + flow * occluders.motion
        assert (np.diff(moved, axis=1) > 0).all()


def test_grey_edges_guide_the_border_of_a_coarse_mask():
    """The mask has cells of several photo pixels; what is kept follows the edge in the picture."""
    photo, blob, occlusion = covered(slice(48, 60))
    photo[~blob] = 200
    photo[blob] = 40
    front = occluders_of(occlusion, photo, LANDMARKS).front
    exact = geometry.warp_crop(blob.astype(np.float32), geometry.photo_to_crop(LANDMARKS, MAP_PX), MAP_PX)
    assert np.abs(front - exact).mean() < 0.004
    assert front[exact == 1].min() > 0.9


def test_light_alone_leaves_the_occluder_alone():
    photo, blob, occlusion = covered(slice(48, 60))
    frame = composite(photo, occlusion).frame(rendering(log_gain=0.4))
    assert np.array_equal(frame[blob], photo[blob]) and (frame[280:300, 290:310] != photo[280:300, 290:310]).any()


def test_glasses_keep_their_shape_while_eyes_and_mouth_move():
    photo = textured(PHOTO_PX, PHOTO_PX)
    clear = np.zeros((128, 128), np.float32)
    occluders = occluders_of(Occlusion(clear, glasses=1.0), photo, LANDMARKS)
    assert occluders is not None
    in_map = geometry.apply(geometry.photo_to_crop(LANDMARKS, MAP_PX), LANDMARKS)
    span = float(np.linalg.norm(in_map[45] - in_map[36]))
    eye = in_map[36:42].mean(0)

    def motion(across: float, down: float) -> float:
        x, y = np.rint(eye + span * np.array([across, down])).astype(int)
        return float(occluders.motion[y, x])

    for across, down in ((-0.28, 0), (0.3, 0.02), (0, 0.26), (0, -0.2), (0.2, 0.2)):  # rims and bridge
        assert motion(across, down) < 0.02
    assert motion(0, 0) > 0.98
    assert all(occluders.motion[tuple(np.rint(point[::-1]).astype(int))] > 0.9 for point in in_map[48:60])
    assert np.array_equal(occluders.paint, occluders.motion)
    half = occluders_of(Occlusion(clear, glasses=0.5), photo, LANDMARKS)
    assert half.motion.min() == pytest.approx(0.5, abs=0.01)
