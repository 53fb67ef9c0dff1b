import numpy as np
import pytest

from facemotion.faces.overlay import draw_faces
from facemotion.faces.types import Face
from tests.faces.faces import frontal_landmarks


def face_at(centre, eye_distance_px=40.0) -> Face:
    points = frontal_landmarks(centre=centre, eye_distance_px=eye_distance_px)
    return Face(points, (*points.min(0).tolist(), *points.max(0).tolist()), 0.9, (0.0, 0.0, 0.0))


def test_every_face_is_drawn_in_its_place_and_the_photo_is_left_alone():
    photo = np.zeros((300, 500, 3), np.uint8)
    picture = draw_faces(photo, [face_at((120, 150)), face_at((380, 150))])
    assert not photo.any()
    drawn = picture.any(axis=2)
    for x in (120, 380):
        assert drawn[:, x - 60 : x + 60].mean() > 0.05
    assert not drawn[:, 230:270].any()
    colours = {tuple(picture[150 - 10, x]) for x in range(500) if drawn[140, x]}
    assert len(colours) > 1  # each face has its own


def test_numbers_differ():
    photo = np.zeros((300, 300, 3), np.uint8)
    face = face_at((150, 170))
    one = draw_faces(photo, [face])
    x, y = int(face.box[0]), int(face.box[1])
    plate = np.s_[max(0, y - 30) : y, x : x + 30]
    assert (one[plate] != 0).mean() > 0.3
    off_photo = face_at((9000, 9000))
    two = draw_faces(photo, [off_photo, face])
    assert not np.array_equal(one[plate].any(axis=2), two[plate].any(axis=2))


@pytest.mark.parametrize("shape", [(1, 1), (20, 30), (2000, 3000)])
@pytest.mark.parametrize("centre", [(10, 10), (-500, 3), (1e7, -1e7)])
def test_any_photo_and_any_place(shape, centre):
    photo = np.full((*shape, 3), 40, np.uint8)
    assert draw_faces(photo, [face_at(centre)]).shape == photo.shape


def test_no_faces_leave_the_photo_as_it_is():
    photo = np.full((10, 10, 3), 40, np.uint8)
    assert np.array_equal(draw_faces(photo, []), photo)
