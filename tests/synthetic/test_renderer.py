"""Teacher and pairs on a head made in code; on three real people where the data folder is present."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.synthetic.head import HeadModel
from facemotion.synthetic.mouths import MouthLibrary
from facemotion.synthetic.pairs import PairSettings, mean_shading, pair_clips
from facemotion.synthetic.portrait import Portrait
from facemotion.synthetic.recipes import Recipes
from facemotion.synthetic.renderer import TeacherSettings, draw_controls, teacher_clips
from tests.synthetic import made_up_head

DATA = Path(__file__).parents[2].parent / "shared" / "data"
STEPS = TeacherSettings(crop_px=96, controls=(0, 0.3, 0.6, 1.0), turned=0, relit=0, jitter=0)
EXPRESSIONS = Recipes.load().expressions


def clips_of(settings: TeacherSettings, *, seed: int = 0, mouths: MouthLibrary | None = None):
    return list(
        teacher_clips(
            *made_up_head.photo(),
            head=made_up_head.head(),
            recipes=Recipes.load(),
            mouths=mouths,
            settings=settings,
            seed=seed,
        )
    )


@pytest.fixture(scope="module")
def stepped():
    return {next(iter(clip.expression)): clip for clip in clips_of(STEPS)}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_clip_starts_at_the_crop_and_moves_ever_further(stepped, expression):
    photo, landmarks = made_up_head.photo()
    clip = stepped[expression]
    crop = geometry.warp_crop(photo, geometry.photo_to_crop(landmarks, 96), 96)
    assert np.array_equal(clip.frames[0], crop)
    way = np.linalg.norm(clip.landmarks - clip.landmarks[0], axis=2)
    moved = np.delete(way, [61, 62, 63, 65, 66, 67], 1).max(1)  # inner lips lie on whole pixels, as rendered
    assert (np.diff(moved) > 0.05).all()
    changed = [np.abs(frame.astype(int) - crop).mean() for frame in clip.frames]
    assert changed == sorted(changed)
    assert all(frame.shape == (96, 96, 3) and frame.dtype == np.uint8 for frame in clip.frames)


def test_the_photos_own_landmarks_are_those_of_frame_0(stepped):
    _, landmarks = made_up_head.photo()
    expected = geometry.apply(geometry.photo_to_crop(landmarks, 96), landmarks)
    assert np.abs(stepped["smile"].landmarks[0] - expected).max() < 0.01


def test_a_blink_closes_the_eyes_and_leaves_nothing_white(stepped):
    clip = stepped["blink"]
    eye = clip.landmarks[:, 36:42]
    height = eye[:, [5, 4], 1].mean(1) - eye[:, [1, 2], 1].mean(1)
    assert height[-1] < 0.15 * height[0]
    x, y = np.round(eye[0].mean(0)).astype(int)
    assert clip.frames[-1][y - 1 : y + 2, x - 3 : x + 4].max() < clip.frames[0][y - 1 : y + 2, x - 3 : x + 4].max() - 10


def test_the_same_seed_gives_the_same_clips_and_another_seed_others():
    settings = TeacherSettings(crop_px=64, frames=3, expressions=("smile", "fear"), mixes=1, turned=1, relit=1)
    first, again, other = clips_of(settings), clips_of(settings), clips_of(settings, seed=1)
    assert [clip.expression for clip in first] == [clip.expression for clip in again]
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.frames, b.frames) and np.array_equal(a.landmarks, b.landmarks)
    assert not np.array_equal(first[0].frames, other[0].frames)
    assert len(first[2].expression) == 2 and sum(first[2].expression.values()) == pytest.approx(1)


def test_a_turned_clip_turns_source_and_target():
    clip = clips_of(TeacherSettings(crop_px=96, controls=(0, 1), expressions=("blink",), turned=1, yaw_deg=25), seed=2)[
        0
    ]
    straight = clips_of(TeacherSettings(crop_px=96, controls=(0, 1), expressions=("blink",), turned=0))[0]
    assert abs(clip.pose[0, 0] - straight.pose[0, 0]) > 3
    assert clip.pose[0, 0] == clip.pose[1, 0]


def test_controls_begin_with_0_and_1_and_stay_in_range():
    control = draw_controls(7, np.random.default_rng(0))
    assert control[0] == 0 and control[1] == 1 and len(set(control.tolist())) == 7
    assert (control[2:] > 0).all() and (control <= 1.25).all()


def test_an_unusable_photo_is_refused_with_the_reason():
    photo, landmarks = made_up_head.photo()
    scattered = landmarks + np.random.default_rng(0).normal(0, 12, landmarks.shape)
    arguments = {"head": made_up_head.head(), "recipes": Recipes.load(), "settings": STEPS}
    with pytest.raises(InputError, match="does not fit"):
        next(teacher_clips(photo, scattered, **arguments))
    green = photo.copy()
    green[np.all(abs(photo.astype(int) - (205, 160, 140)) < 40, axis=2)] = (20, 250, 20)
    for eye, corner in ((slice(36, 42), 48), (slice(42, 48), 54)):
        cheek = 0.55 * landmarks[eye].mean(0) + 0.45 * landmarks[corner]
        cv2.circle(green, tuple(np.round(cheek).astype(int).tolist()), 12, (205, 160, 140), -1)
    with pytest.raises(InputError, match="looks like skin"):
        next(teacher_clips(green, landmarks, **arguments))


def test_the_inside_of_the_mouth_is_painted_dark_with_teeth():
    photo, landmarks = smiling_photo()
    library = MouthLibrary.build([(photo, landmarks)])
    assert len(library.mouths) == 1
    settings = TeacherSettings(crop_px=192, controls=(0, 1), expressions=("surprise",), turned=0, relit=0, jitter=0)
    clip = clips_of(settings, mouths=library)[0]
    mouth = clip.landmarks[1, 60:68]
    x0, x1 = int(mouth[1, 0]), int(mouth[3, 0])
    inside = clip.frames[1][int(mouth[1:4, 1].mean()) : int(mouth[5:8, 1].mean()), x0:x1].astype(int)
    assert inside.min() < 60 and inside.mean() < clip.frames[0][int(mouth[2, 1]), x0:x1].mean()


def smiling_photo() -> tuple[np.ndarray, np.ndarray]:
    """The made-up face with parted lips and a white row of teeth."""
    photo, landmarks = made_up_head.photo()
    smile = landmarks.copy()
    smile[65:68, 1] += 16
    smile[61:64, 1] -= 3
    smile[[48, 60], 0] -= 6
    smile[[54, 64], 0] += 6
    cv2.fillPoly(photo, [np.round(smile[60:68]).astype(np.int32)], (240, 235, 225))
    return photo, smile


def test_pairs_start_at_the_neutral_crop_and_end_with_the_smile():
    neutral, neutral_landmarks = made_up_head.photo()
    peak, peak_landmarks = smiling_photo()
    settings = PairSettings(crop_px=128, controls=(0, 0.5, 1), clips=2)
    clips = list(
        pair_clips(neutral, neutral_landmarks, peak, peak_landmarks, head=made_up_head.head(), settings=settings)
    )
    assert len(clips) == 2
    crop = geometry.warp_crop(neutral, geometry.photo_to_crop(neutral_landmarks, 128), 128)
    assert np.array_equal(clips[0].frames[0], crop)
    width = np.linalg.norm(clips[0].landmarks[:, 54] - clips[0].landmarks[:, 48], axis=1)
    assert width[0] < width[1] < width[2]
    teeth = np.round(clips[0].landmarks[2, 60:68].mean(0)).astype(int)
    assert clips[0].frames[2][teeth[1], teeth[0]].min() > 180 > crop[teeth[1], teeth[0]].min()
    assert 0.4 <= clips[0].control[2] <= 1.4


def test_a_smile_with_closed_lips_is_an_expression_of_its_own():
    neutral, neutral_landmarks = made_up_head.photo()
    peak = neutral_landmarks.copy()
    peak[[48, 60]] += (-8, -8)
    peak[[54, 64]] += (8, -8)
    clip = next(
        pair_clips(neutral, neutral_landmarks, neutral, peak, head=made_up_head.head(), settings=PairSettings(64, 2))
    )
    assert clip.expression == {"closed-smile": 1.0}
    assert 0.4 <= clip.control[1] <= 1.4


def test_a_pair_without_a_smile_is_refused():
    photo, landmarks = made_up_head.photo()
    with pytest.raises(InputError, match="too faint"):
        next(
            pair_clips(photo, landmarks, photo, landmarks, head=made_up_head.head(), settings=PairSettings(crop_px=64))
        )


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")
@pytest.mark.parametrize("name", ["london/neutral/004.jpg", "london/neutral/006.jpg", "canada/045f.jpg"])
def test_real_people(name):
    head = HeadModel.load(DATA / "ict-facekit" / "ict_facekit.npz")
    photo = cv2.imread(str(DATA / name))[..., ::-1]
    with np.load(DATA / "landmarks.npz") as stored:
        landmarks = stored[name][list(FROM_FACE_MESH), :2].astype(np.float64)
    portrait = Portrait(photo, landmarks, head=head, crop_px=192)
    assert portrait.fit.inner_error < 0.02
    settings = TeacherSettings(crop_px=192, controls=(0, 0.25, 0.5, 0.75, 1.0), turned=0, relit=0, jitter=0)
    for clip in teacher_clips(photo, landmarks, head=head, recipes=Recipes.load(), settings=settings):
        assert np.array_equal(clip.frames[0], portrait.crop)
        moved = np.linalg.norm(clip.landmarks - clip.landmarks[0], axis=2).mean(1)
        assert (np.diff(moved) > 0).all(), clip.expression
        if "blink" in clip.expression:
            for start in (36, 42):
                eye = clip.landmarks[:, start : start + 6]
                height = eye[:, [5, 4], 1].mean(1) - eye[:, [1, 2], 1].mean(1)
                assert height[-1] < 0.1 * height[0]


def test_the_mean_shading_of_smiles_is_symmetric_and_small():
    neutral, (photo, smile) = made_up_head.photo(), smiling_photo()
    smile[[48, 60], 0] -= 8
    smile[[54, 64], 0] += 8
    head = made_up_head.head()
    shading = mean_shading([(*neutral, photo, smile)], head=head).astype(np.float64)
    assert shading.shape == (9409,) and np.abs(shading).max() <= 0.5
    grid = shading.reshape(made_up_head.SIDE, made_up_head.SIDE)
    assert np.allclose(grid, grid[:, ::-1], atol=1e-3)


def test_no_mean_shading_without_a_full_smile():
    photo = made_up_head.photo()
    with pytest.raises(InputError, match="full, open smile"):
        mean_shading([(*photo, *photo)], head=made_up_head.head())
