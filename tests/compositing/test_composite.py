import cv2
import numpy as np
import pytest

from facemotion.compositing.composite import Composite
from facemotion.compositing.feather import paint_feather
from facemotion.faces import geometry
from facemotion.faces.geometry import scale_of
from tests.faces.faces import frontal_landmarks

PAINT_PX, MAP_PX = 512, 128


def textured(height=320, width=300, *, seed=0, blur_px=2.0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.convertScaleAbs(cv2.GaussianBlur(noise, (0, 0), blur_px), alpha=3, beta=-256)


def still() -> dict[str, np.ndarray]:
    return {
        "flow": np.zeros((MAP_PX, MAP_PX, 2), np.float32),
        "shade": np.zeros((MAP_PX, MAP_PX), np.float32),
        "mask": np.zeros((PAINT_PX, PAINT_PX), np.float32),
        "colour": np.zeros((PAINT_PX, PAINT_PX, 3), np.float32),
    }


def everything() -> dict[str, np.ndarray]:
    """Motion, light and paint all over the crop, its border included."""
    maps = still()
    maps["flow"] += 0.05
    maps["shade"] += 0.3
    maps["mask"] += 0.7
    maps["colour"] += 0.9
    return maps


def test_nothing_to_do_gives_the_very_photo():
    photo = textured()
    before = photo.copy()
    frame = Composite(photo, frontal_landmarks(turn_deg=(0, 0, 7))).frame(**still())
    assert np.array_equal(frame, photo) and frame is not photo
    assert np.array_equal(photo, before)


def test_outside_of_the_region_no_pixel_changes():
    photo = textured()
    composite = Composite(photo, frontal_landmarks(centre=(150, 160), eye_distance_px=30))
    changed = (composite.frame(**everything()) != photo).any(axis=2)
    x0, y0, x1, y1 = composite.region
    assert x0 > 0 and y0 > 0 and x1 < 300 and y1 < 320
    assert changed[y0:y1, x0:x1].mean() > 0.5
    changed[y0:y1, x0:x1] = False
    assert not changed.any()


def test_everything_fades_out_before_the_border_of_the_crop():
    photo = np.full((400, 400, 3), 100, np.uint8)
    composite = Composite(photo, frontal_landmarks(centre=(200, 200), eye_distance_px=60), grain=False)
    maps = still() | {"shade": np.full((MAP_PX, MAP_PX), 0.5, np.float32)}
    light = composite.frame(**maps)[..., 0].astype(int) - 100
    assert light.max() == 50  # half as much again, on the face
    steps = max(np.abs(np.diff(light, axis=axis)).max() for axis in (0, 1))
    assert steps <= 8  # no seam: the light falls over many pixels
    from_border = composite.crop(256)  # of the photo, then of the light
    assert (from_border == 100).all()
    in_crop = Composite(np.dstack([light.astype(np.uint8)] * 3), frontal_landmarks(centre=(200, 200))).crop(256)
    assert in_crop[[0, -1]].max() == 0 and in_crop[:, [0, -1]].max() == 0


def test_no_light_is_black_however_little_it_is():
    photo = np.full((400, 400, 3), 100, np.uint8)
    landmarks = frontal_landmarks(centre=(200, 200), eye_distance_px=60)
    composite = Composite(photo, landmarks, grain=False)
    frames = []
    for shade in (-1.0, -1.6):
        maps = still() | {"shade": np.full((MAP_PX, MAP_PX), shade, np.float32)}
        maps["mask"] += 0.5
        maps["colour"][:] = 0.5
        frames.append(composite.frame(**maps)[200, 200])
    assert np.array_equal(*frames) and frames[0].min() > 80  # half of the paint, and no less for the light


@pytest.mark.parametrize("roll", [0, 25])
@pytest.mark.parametrize("shift", [(3, 0), (-2, 5)])
def test_a_constant_flow_of_whole_pixels_shifts_by_exactly_these(roll, shift):
    """Flow is measured in crop widths and in the axes of the crop, and turned back with it."""
    photo = textured()
    composite = Composite(photo, frontal_landmarks(turn_deg=(0, 0, roll)))
    in_crop_px = composite.photo_to_crop[:, :2] @ np.array(shift)
    maps = still()
    maps["flow"][:] = in_crop_px / composite.crop_px
    frame = composite.frame(**maps)
    x, y = 150, 160  # the middle of the face
    moved = photo[y + shift[1] - 40 : y + shift[1] + 40, x + shift[0] - 40 : x + shift[0] + 40]
    assert np.array_equal(frame[y - 40 : y + 40, x - 40 : x + 40], moved)


def test_maps_cover_the_square_edge_to_edge():
    """A ramp of light lies where it should to a fraction of a photo pixel, whatever the size of its map."""
    photo = np.full((600, 600, 3), 100, np.uint8)
    composite = Composite(photo, frontal_landmarks(centre=(300, 300), eye_distance_px=100), grain=False)
    frames = []
    for size in (32, 128):
        ramp = ((np.arange(size, dtype=np.float32) + 0.5) / size).repeat(size).reshape(size, size).T
        maps = still() | {"flow": np.zeros((size, size, 2), np.float32), "shade": np.ascontiguousarray(ramp)}
        frames.append(composite.frame(**maps)[300, 220:380, 0])
    across = (composite.photo_to_crop[0] @ [np.arange(220, 380), np.full(160, 300), np.ones(160)] + 0.5) / 256
    for frame in frames:
        assert frame == pytest.approx(100 * (1 + across), abs=0.7)


@pytest.mark.parametrize("eye_distance_px", [20, 60, 250], ids=["shrunk", "like the paint", "enlarged"])
def test_paint_lies_where_the_mask_says(eye_distance_px):
    side = round(eye_distance_px * 6)
    photo = np.random.default_rng(0).integers(30, 120, (side, side, 3), dtype=np.uint8)  # of more than one tone
    photo[..., 0] = 50
    landmarks = frontal_landmarks(centre=(side / 2, side / 2), eye_distance_px=eye_distance_px)
    composite = Composite(photo, landmarks, grain=False)
    maps = still()
    centre = np.array([270.0, 280.0])  # well within the outline of the jaw
    y, x = np.mgrid[0:PAINT_PX, 0:PAINT_PX]
    maps["mask"][np.hypot(x - centre[0], y - centre[1]) < 45] = 1
    maps["colour"][:] = (0.9, -0.9, 0)
    frame = composite.frame(**maps)
    painted = frame[..., 0] > 146  # half way between 50 and 242
    found = np.argwhere(painted).mean(axis=0)[::-1]
    expected = composite._photo_to_map
    wanted = np.linalg.solve(expected[:, :2], centre - expected[:, 2])
    assert found == pytest.approx(wanted, abs=0.15)
    assert painted.sum() == pytest.approx(np.pi * (45 / scale_of(expected)) ** 2, rel=0.04)
    x, y = np.rint(wanted).astype(int)
    assert frame[y, x] == pytest.approx([242, 13, 128], abs=1)


def test_enlarged_paint_is_sharpened_and_other_paint_is_not():
    rises = {}
    for eye_distance_px in (50, 200):
        side = 6 * eye_distance_px
        photo = np.full((side, side, 3), 60, np.uint8)
        landmarks = frontal_landmarks(centre=(side / 2, side / 2), eye_distance_px=eye_distance_px)
        composite = Composite(photo, landmarks, 256, grain=False)
        maps = still()
        maps["mask"] += 1
        maps["colour"][:, 256:] = 0.4
        enlarged = composite._crop_in_photo_px > PAINT_PX
        row = composite.frame(**maps)[int(landmarks[33, 1]), :, 0].astype(int)
        inner = row[int(landmarks[39, 0]) : int(landmarks[42, 0])]
        rises[enlarged] = inner.max() - inner.min()
    assert rises[False] == pytest.approx(51, abs=1)  # 0.4 of the way from grey to white
    assert 60 < rises[True] < 90


@pytest.mark.parametrize("shift_px", [0, 12])
def test_paint_ends_before_the_outline_of_the_face_wherever_that_has_moved(shift_px):
    photo = np.full((500, 500, 3), 60, np.uint8)
    landmarks = frontal_landmarks(centre=(250, 250), eye_distance_px=100)
    composite = Composite(photo, landmarks, 256, grain=False)
    maps = still()
    maps["mask"] += 1
    maps["colour"] += 0.5
    maps["flow"][..., 0] -= shift_px / composite._crop_in_photo_px
    frame = composite.frame(**maps)[..., 0]
    x, y = np.rint(landmarks).astype(int).T
    assert (frame[y[1:16], x[1:16] + shift_px] == 60).all()  # jaw and cheeks
    assert (frame[y[36:68], x[36:68] + shift_px] > 180).all()  # eyes and mouth


def test_eyes_at_the_outline_of_a_turned_head_are_painted():
    points = frontal_landmarks(centre=(256, 256), eye_distance_px=120)
    points[:5, 0] = points[36, 0] - 2
    feather = paint_feather(points, 512)
    assert feather[tuple(np.rint(points[36]).astype(int)[::-1])] == 1
    assert feather[tuple(np.rint(points[4]).astype(int)[::-1])] == 0


@pytest.mark.parametrize("size", ["_TILE_PX", "_STRIP_PX"])
def test_pixels_do_not_depend_on_the_parts_in_which_they_are_worked_on(monkeypatch, size):
    photo, maps = textured(600, 560), everything()
    maps["mask"][200:260, 180:240] = 0
    maps["mask"][:, 300:] = 0
    frames = []
    for side in (96, 10_000):
        monkeypatch.setattr(f"facemotion.compositing.composite.{size}", side)
        frames.append(Composite(photo, frontal_landmarks(centre=(280, 300), eye_distance_px=130)).frame(**maps))
    difference = np.abs(frames[0].astype(int) - frames[1])
    assert difference.max() <= 2  # OpenCV rounds places to 1/32 px, from the corner of each part
    assert difference.mean() < 0.01
    assert (frames[0] != photo).any()


def test_colour_may_be_bytes():
    photo = textured()
    composite = Composite(photo, frontal_landmarks())
    floats = everything()
    levels = np.rint((floats["colour"] + 1) * 127.5).astype(np.uint8)
    difference = composite.frame(**floats).astype(int) - composite.frame(**floats | {"colour": levels})
    assert np.abs(difference).max() <= 1


def test_a_faint_mask_paints_nothing():
    photo = textured()
    maps = still()
    maps["mask"] += 0.01
    assert np.array_equal(Composite(photo, frontal_landmarks()).frame(**maps), photo)


@pytest.mark.parametrize("centre", [(5, 160), (295, 10), (150, 330), (-200, -200)], ids=str)
def test_a_face_partly_or_wholly_outside_the_photo(centre):
    photo = textured()
    composite = Composite(photo, frontal_landmarks(centre=centre))
    assert np.array_equal(composite.frame(**still()), photo)
    frame = composite.frame(**everything())
    assert frame.shape == photo.shape and composite.crop(64).shape == (64, 64, 3)
    x0, y0, x1, y1 = composite.region
    frame[y0:y1, x0:x1] = photo[y0:y1, x0:x1]
    assert np.array_equal(frame, photo)


def test_outside_of_the_photo_its_edge_is_repeated():
    photo = np.full((300, 200, 3), 90, np.uint8)
    composite = Composite(photo, frontal_landmarks(centre=(0, 150)), grain=False)
    maps = still()
    maps["flow"][:] = -0.4
    assert (composite.frame(**maps) == 90).all()


def test_a_grey_photo_stays_grey():
    grey = textured()[..., :1].repeat(3, axis=2)
    maps = everything()
    maps["colour"][:] = (0.9, -0.5, 0.1)
    frame = Composite(grey, frontal_landmarks()).frame(**maps)
    assert not np.array_equal(frame, grey)
    assert np.ptp(frame.astype(int), axis=2).max() <= 1


def test_two_faces_in_one_frame():
    photo = textured(320, 640)
    left, right = (Composite(photo, frontal_landmarks(centre=(x, 160), eye_distance_px=40)) for x in (170, 300))
    assert left.region[2] > right.region[0]  # their boxes meet
    both = right.frame(**everything(), onto=left.frame(**everything()))
    alone = left.frame(**everything())
    assert np.array_equal(both[:, : right.region[0]], alone[:, : right.region[0]])
    assert np.array_equal(both[:, left.region[2] :], right.frame(**everything())[:, left.region[2] :])


def test_frames_in_one_buffer_equal_frames_in_copies():
    photo = textured()
    composite = Composite(photo, frontal_landmarks(eye_distance_px=40))
    buffer = composite.frame(**everything())
    assert composite.frame(**still(), onto=buffer) is buffer
    assert np.array_equal(buffer, photo)


def test_paint_takes_the_grain_of_the_photo_and_the_grain_stands_still():
    rng = np.random.default_rng(3)
    smooth = np.full((500, 500, 3), 120.0)
    noisy = np.rint(smooth + rng.normal(0, 6, (500, 500, 1))).astype(np.uint8)
    landmarks = frontal_landmarks(centre=(250, 250), eye_distance_px=90)
    maps = still()
    maps["mask"][200:400, 200:320] = 1
    maps["colour"] += 0.2
    middle = np.s_[235:265, 235:265, 0]
    frames = [Composite(noisy, landmarks, grain=grain).frame(**maps)[middle] for grain in (True, True, False)]
    assert frames[0].std() == pytest.approx(6, rel=0.2)
    assert np.array_equal(frames[0], frames[1])
    assert frames[2].std() == 0
    clean = Composite(smooth.astype(np.uint8), landmarks).frame(**maps)[middle]
    assert clean.std() == 0


def test_structure_of_the_face_is_no_grain():
    maps = everything()
    photo = textured(blur_px=3.0)
    with_grain, without = (Composite(photo, frontal_landmarks(), grain=grain).frame(**maps) for grain in (True, False))
    assert np.array_equal(with_grain, without)


def test_motion_is_smooth_in_between_whole_pixels():
    """No wobble: a slow shift moves a blob by equal steps, not in jumps."""
    y, x = np.mgrid[0:320, 0:300]
    blob = 200 * np.exp(-((x - 150) ** 2 + (y - 160) ** 2) / (2 * 12**2))
    photo = np.dstack([np.rint(blob).astype(np.uint8)] * 3)
    composite = Composite(photo, frontal_landmarks(), grain=False)
    centres = []
    for step in range(6):
        maps = still()
        maps["flow"][..., 0] = -0.25 * step * scale_of(composite.photo_to_crop) / composite.crop_px
        levels = composite.frame(**maps)[..., 0].astype(float)
        centres.append((levels * x).sum() / levels.sum())
    assert np.diff(centres) == pytest.approx(0.25, abs=0.05)


@pytest.mark.slow
def test_a_side_longer_than_opencv_can_address():
    photo = np.zeros((300, 33_000, 3), np.uint8)
    photo[:, 32_700:] = 90
    composite = Composite(photo, frontal_landmarks(centre=(32_800, 150)), grain=False)
    assert np.array_equal(composite.frame(**still()), photo)
    assert (composite.crop(64) == 90).mean() > 0.5


def test_what_is_kept_is_the_photo_in_the_middle_of_what_moves():
    photo = np.random.default_rng(0).integers(0, 255, (600, 560, 3), np.uint8)
    composite = Composite(photo, frontal_landmarks(), grain=False)
    kept = np.zeros((PAINT_PX, PAINT_PX), np.float32)
    kept[192:320, 192:320] = 1
    alone, with_kept = composite.frame(**everything()), composite.frame(**everything(), kept=kept)
    x, y = np.round(geometry.apply(geometry.invert(composite.photo_to_crop), np.array([[128.0, 128.0]]))[0]).astype(int)
    inner = np.s_[y - 8 : y + 8, x - 8 : x + 8]
    assert np.array_equal(with_kept[inner], photo[inner]) and not np.array_equal(alone[inner], photo[inner])
    assert np.array_equal(composite.frame(**still(), kept=kept), photo)
