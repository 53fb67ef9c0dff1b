"""Rasteriser, warping, folds, eyes and mouths, each on numbers made here."""

import cv2
import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.synthetic import wrinkles as folds
from facemotion.synthetic.eyes import Eyes, lid_skin, openings
from facemotion.synthetic.mouths import MouthLibrary, Opening, borrowed, keep, paint
from facemotion.synthetic.portrait import Portrait
from facemotion.synthetic.rasterise import NOTHING, rasterise, vertex_normals
from facemotion.synthetic.warping import continued, pixel_grid, pull_push, smooth_seams
from tests.faces.faces import frontal_landmarks
from tests.synthetic import made_up_head
from tests.synthetic.test_renderer import smiling_photo


def test_the_nearer_triangle_wins_and_those_turned_away_are_left_out():
    points = np.array([[2, 2], [2, 18], [18, 2], [0, 0], [0, 19], [19, 0]], np.float32)
    depth = np.array([5, 5, 5, 1, 1, 1], np.float32)
    triangles = np.array([[3, 4, 5], [0, 1, 2]], np.int32)
    part_map, values = rasterise(points, depth, triangles, np.array([7, 3], np.int8), points, size_px=20)
    assert part_map[4, 4] == 3 and part_map[0, 0] == 7 and part_map[19, 19] == NOTHING
    assert values[4, 6] == pytest.approx([6, 4], abs=1e-4)
    away, _ = rasterise(points, depth, triangles[:, ::-1].copy(), np.array([7, 3], np.int8), points, size_px=20)
    assert (away == NOTHING).all()


def test_normals_of_a_flat_sheet():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)
    normals = vertex_normals(vertices, np.array([[0, 1, 2], [1, 3, 2]], np.int32))
    assert normals == pytest.approx(np.tile([0, 0, 1], (4, 1)))


def test_flow_goes_on_beyond_the_face_and_fades():
    known = np.zeros((64, 64), bool)
    known[20:44, 20:44] = True
    flow = np.where(known[..., None], np.array([3.0, -2.0]), 0)
    filled = continued(flow, known, 10)
    assert np.array_equal(filled[known], flow[known].astype(np.float32))
    assert filled[32, 47] == pytest.approx([3, -2], abs=1)
    assert np.abs(filled[0, 0]).max() < 0.1


def test_pull_push_fills_holes_with_what_is_around():
    weight = np.ones((32, 32), np.float32)
    weight[10:20, 10:20] = 0
    filled = pull_push(np.full((32, 32, 2), 5.0, np.float32) * weight[..., None], weight)
    assert filled == pytest.approx(5, abs=0.01)


def test_seams_are_softened_and_the_rest_is_left_alone():
    image = np.zeros((20, 20, 3), np.float32)
    image[:, 10:] = 1
    untouched = image.copy()
    smooth_seams(image, pixel_grid(20))
    assert np.array_equal(image, untouched)
    jump = pixel_grid(20)
    jump[:, 10:] += 30
    smooth_seams(image, jump)
    assert 0.2 < image[5, 9, 0] < 0.6 and np.array_equal(image[:, :5], untouched[:, :5])


def test_folds_deepen_with_their_units_and_darken():
    portrait = Portrait(*made_up_head.photo(), head=made_up_head.head(), crop_px=128)
    head = portrait.head
    light, strong = (
        portrait.fold_maps.applied(portrait.skin, head.strengths({"browDown_L": s, "browDown_R": s}), head, 1.0)
        for s in (0.4, 1.0)
    )
    assert portrait.fold_maps.applied(portrait.skin, head.strengths({}), head, 1.0) is portrait.skin
    change = [(image - portrait.skin).min() for image in (light, strong)]
    assert change[1] < change[0] < -0.005
    assert folds.smile_shading().shape == (9409,)


def test_widened_eyes_show_white_where_the_photo_shows_a_lid():
    photo, landmarks = made_up_head.photo()
    image = photo.astype(np.float32) / 255
    eyes = Eyes(image, landmarks)
    x, y = np.round(landmarks[[37, 38]].mean(0)).astype(int)
    above = (y - 3, x - 5)
    assert eyes.texture[above].mean() > image[above].mean() + 0.03
    below = (round(landmarks[36:42, 1].max()) + 6, x)
    assert np.allclose(eyes.texture[below], image[below], atol=0.02)
    assert eyes.lash_colour.mean() < image[y + 4, x - 6].mean()


def test_a_mouth_library_survives_saving(tmp_path):
    library = MouthLibrary.build([smiling_photo(), made_up_head.photo()])
    assert len(library.mouths) == 1  # closed lips lend nothing
    library.save(tmp_path / "mouths.npz")
    loaded = MouthLibrary.load(tmp_path / "mouths.npz")
    assert np.abs(loaded.mouths[0].image - library.mouths[0].image).max() < 1 / 254
    assert loaded.mouths[0].white == pytest.approx(library.mouths[0].white)
    assert loaded.near(loaded.mouths[0].skin, np.random.default_rng(0)) is loaded.mouths[0]
    (tmp_path / "other.npz").write_bytes(b"something else")
    with pytest.raises(InputError, match="no mouth library"):
        MouthLibrary.load(tmp_path / "other.npz")


def test_an_empty_library_lends_nothing(tmp_path):
    empty = MouthLibrary.build([made_up_head.photo()])
    assert empty.near(np.full(3, 0.5), np.random.default_rng(0)) is None
    empty.save(tmp_path / "empty.npz")
    assert MouthLibrary.load(tmp_path / "empty.npz").mouths == ()


def opening(height: int) -> Opening:
    inside = np.zeros((100, 100), bool)
    inside[50 : 50 + height, 30:70] = True
    edge = np.array([0, 0, 50 + 0.3 * height])
    return Opening(inside, np.array([[29.0, 50], [70, 50]]), 50.0, edge, np.array([0, 0, 50 + 0.9 * height]), 80.0)


def test_teeth_are_brighter_than_the_throat_and_nothing_else_changes():
    mouth = borrowed(*smiling_photo())
    image = np.full((100, 100, 3), 0.6, np.float32)
    paint(image, opening(24), mouth, skin=mouth.skin, white=mouth.white)
    assert image[53, 50].mean() > image[62, 50].mean() + 0.2
    assert image[62, 50].mean() < 0.35
    assert np.all(image[:40] == 0.6) and np.all(image[:, :20] == 0.6)


def test_lent_teeth_have_one_hue_whatever_the_light_of_the_lender():
    photo, landmarks = smiling_photo()
    bluish = np.clip(photo * np.array([0.8, 0.85, 1.0]), 0, 255).astype(np.uint8)
    frames = []
    for each in (photo, bluish):
        frames.append(np.full((100, 100, 3), 0.6, np.float32))
        paint(frames[-1], opening(24), borrowed(each, landmarks), skin=np.array([0.7, 0.55, 0.5]), white=0.7)
    tooth, other = (frame[53, 50] / frame[53, 50].mean() for frame in frames)
    assert np.abs(tooth - other).max() < 0.02
    assert tooth[0] > tooth[1] > tooth[2]  # ivory


def test_teeth_reach_up_to_the_lip_where_it_shows_more_than_the_lender_did():
    mouth = borrowed(*smiling_photo())
    shown = int(np.nanmedian(mouth.edge - mouth.top)) * 80 / 320  # of a tooth, in px of the frame
    tall = Opening(
        *(vars(opening(24))[name] for name in ("inside", "corners", "middle")),
        np.array([0, 0, 50 + 1.8 * shown]),
        np.array([0, 0, 90.0]),
        80.0,
    )
    image = np.full((100, 100, 3), 0.6, np.float32)
    paint(image, tall, mouth, skin=mouth.skin, white=mouth.white)
    top, middle = image[52, 50], image[50 + round(shown), 50]
    assert top[0] - top[1:].mean() < 0.1 and top.mean() > 0.75 * middle.mean()  # a tooth, not gums


def test_lips_are_marked_where_they_are_rendered():
    landmarks = np.full((68, 2), 10, np.float32)
    landmarks[60:68] = [(30, 50), (40, 48), (50, 48), (60, 48), (70, 50), (60, 60), (50, 60), (40, 60)]
    open_mouth = opening(24).at_lips(landmarks)
    assert open_mouth[61:64, 1] == pytest.approx(49.5, abs=1) and open_mouth[65:68, 1] == pytest.approx(73.5, abs=1)
    assert np.array_equal(
        np.delete(open_mouth, [61, 62, 63, 65, 66, 67], 0), np.delete(landmarks, [61, 62, 63, 65, 66, 67], 0)
    )
    shut = Opening(
        np.zeros((100, 100), bool),
        *(vars(opening(24))[name] for name in ("corners", "middle", "upper_edge", "lower_edge", "iod_px")),
    )
    assert np.array_equal(shut.at_lips(landmarks), landmarks)


def test_paint_of_no_strength_paints_nothing():
    mouth = borrowed(*smiling_photo())
    image = np.full((100, 100, 3), 0.6, np.float32)
    paint(image, opening(24), mouth, skin=mouth.skin, white=mouth.white, strength=0)
    assert np.all(image == np.float32(0.6))


def test_the_photos_own_mouth_is_kept():
    photo, landmarks = smiling_photo()
    image = photo.astype(np.float32) / 255
    landmarks = landmarks * (100 / 288)
    small = np.full((100, 100, 3), 0.6, np.float32)
    ratio = keep(small, opening(6), image[::3, ::3][:100, :100], landmarks)
    assert ratio > 0 and small[53, 50].mean() > 0.7


def test_a_closed_lid_has_the_colour_of_the_skin_beside_it_not_of_the_hair_above():
    size, landmarks = 256, frontal_landmarks(centre=(128, 128), eye_distance_px=70)
    skin = np.array([0.7, 0.5, 0.4], np.float32)
    image = np.broadcast_to(skin, (size, size, 3)).copy()
    opening = openings(image, landmarks) > 0.5
    image[opening] = 0.05  # dark eyes
    image[: np.flatnonzero(opening.any(1))[0] - 14] = 0.1  # dark hair to just above them
    lid, where = lid_skin(image, landmarks)
    hue = lid[opening] / lid[opening].sum(1, keepdims=True)
    assert np.abs(hue - skin / skin.sum()).max() < 0.02
    assert lid[opening].mean(0)[0] > 0.6 and where[opening].min() > 0.9
    far = where == 0
    assert np.abs(lid - cv2.GaussianBlur(image, (0, 0), 1))[far & (np.arange(size)[:, None] > 160)].max() < 0.05
