"""A rendered face in its photo: what changes, where it ends, and what stays the very photo."""

import numpy as np
import pytest

from facemotion.faces.ibug68 import OUTLINE
from facemotion.rendering.face import FLOW_PX
from tests.compositing.renderings import everything, placed, rendering, still, textured
from tests.faces.faces import frontal_landmarks


def test_nothing_to_do_gives_the_very_photo():
    photo = textured()
    before = photo.copy()
    frame = placed(photo, frontal_landmarks(turn_deg=(0, 0, 7)), grain=True).frame(still())
    assert np.array_equal(frame, photo) and frame is not photo
    assert np.array_equal(photo, before)


def test_outside_of_the_region_no_pixel_changes():
    photo = textured()
    face = placed(photo, frontal_landmarks(centre=(150, 160), eye_distance_px=30))
    changed = (face.frame(rendering(flow=0.05, log_gain=0.3)) != photo).any(axis=2)
    x0, y0, x1, y1 = face.region(turns=False)
    assert x0 > 0 and y0 > 0 and x1 < 300 and y1 < 320
    assert changed[y0:y1, x0:x1].mean() > 0.4
    changed[y0:y1, x0:x1] = False
    assert not changed.any()


def test_a_turn_of_the_head_ends_before_one_and_a_half_face_widths():
    photo = textured(600, 600)
    landmarks = frontal_landmarks(centre=(300, 300), eye_distance_px=60)
    turn = np.full((FLOW_PX, FLOW_PX, 2), 0.1, np.float32)
    face = placed(photo, landmarks)
    frame = face.frame(rendering(turn=turn))
    low, high = landmarks[OUTLINE].min(0), landmarks[OUTLINE].max(0)
    rows, columns = np.indices(photo.shape[:2])
    x, y = (low + high) / 2
    widths = np.hypot(columns - x, rows - y) / (high - low)[0]
    changed = (frame != photo).any(axis=2)
    assert changed[widths < 1].mean() > 0.9
    assert not changed[widths > 1.5].any()
    x0, y0, x1, y1 = face.region(turns=True)
    changed[y0:y1, x0:x1] = False
    assert not changed.any()


def test_everything_fades_out_before_the_border_of_the_crop():
    photo = np.full((400, 400, 3), 100, np.uint8)
    face = placed(photo, frontal_landmarks(centre=(200, 200), eye_distance_px=60))
    light = face.frame(rendering(log_gain=0.8))[..., 0].astype(int) - 100
    assert light.max() > 30
    steps = max(np.abs(np.diff(light, axis=axis)).max() for axis in (0, 1))
    assert steps <= 8  # no seam: the light falls over many pixels


def test_a_flow_shifts_the_middle_of_the_face():
    photo = textured(400, 400)
    face = placed(photo, frontal_landmarks(centre=(200, 200), eye_distance_px=60))
    width = 256 / np.linalg.norm(face._photo_to_crop[0, :2])
    shift = 8
    frame = face.frame(rendering(flow=shift / width))
    expected = photo[190 + shift : 210 + shift, 190 + shift : 210 + shift]
    assert np.abs(frame[190:210, 190:210].astype(int) - expected).mean() < 2


@pytest.mark.parametrize("centre", [(10, 20), (295, 318)])
def test_a_face_partly_outside_the_photo(centre):
    photo = textured()
    frame = placed(photo, frontal_landmarks(centre=centre, eye_distance_px=60)).frame(everything())
    assert frame.shape == photo.shape and (frame != photo).any()


def test_a_grey_photo_stays_grey():
    photo = np.repeat(textured()[..., :1], 3, axis=2)
    frame = placed(photo, frontal_landmarks(centre=(150, 160))).frame(everything())
    assert np.abs(np.ptp(frame.astype(int), axis=2)).max() <= 1


def test_two_faces_in_one_frame():
    photo = textured(300, 600)
    one, two = (placed(photo, frontal_landmarks(centre=(x, 150), eye_distance_px=30)) for x in (130, 470))
    moved = rendering(flow=0.04, log_gain=0.2)
    both = two.frame(moved, onto=one.frame(moved))
    assert np.array_equal(both[:, :300], one.frame(moved)[:, :300])
    assert np.array_equal(both[:, 300:], two.frame(moved)[:, 300:])


def test_the_outline_moves_along_with_the_face():
    photo = textured(400, 400)
    face = placed(photo, frontal_landmarks(centre=(200, 200), eye_distance_px=60))
    outline = np.zeros((400, 400), np.uint8)
    outline[:200] = 255
    moved = outline.copy()
    face.move_along(everything(), outline, moved)
    assert (moved[:150] == 255).all() and (moved[380:] == 0).all()
    assert (moved[180:200, 190:210] < 255).any()
