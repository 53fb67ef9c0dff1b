"""From a photo to a finished clip, with a tiny generator and a finder that knows the face."""

import dataclasses
import errno
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facemotion
from facemotion.api import AnimateSettings, Animator
from facemotion.errors import ImageError, NoFaceError, OutputError, UsageError, WeightsError
from facemotion.media.formats import FORMATS
from facemotion.media.photos import read_photo
from tests.clips import open_clip
from tests.conftest import PHOTO_SIZE_PX, draw_photo, face_at

WRITE_SHEET = "facemotion.api._write_sheet"
SHAPE = (PHOTO_SIZE_PX[1], PHOTO_SIZE_PX[0], 3)


@pytest.fixture
def animator(tiny_weights):
    """Makes an animator with settings of the test's choice."""
    return lambda **settings: Animator(AnimateSettings(**{"frames": 4, **settings}), weights=tiny_weights)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "clip.png", "clip"])
def test_every_format_starts_with_the_photo_and_then_moves(animator, photo, tmp_path, name):
    result = animator(frames=6).animate_file(photo, tmp_path / name)
    clip = open_clip(tmp_path / name)
    original = read_photo(photo).pixels
    assert len(clip.frames) == result.frames == 6
    assert clip.frames[0].shape == SHAPE
    assert result.size_px == PHOTO_SIZE_PX
    assert np.abs(clip.frames[0].astype(int) - original).mean() < 6
    assert np.abs(clip.frames[-1].astype(int) - clip.frames[0]).mean() > 0.5
    assert {path.name for path in tmp_path.iterdir()} == {photo.name, name}


def test_png_frames_are_exact_at_control_0_and_outside_the_face(animator, photo, tmp_path):
    animator().animate_file(photo, tmp_path / "frames")
    original = read_photo(photo).pixels
    first, *_, last = open_clip(tmp_path / "frames").frames
    np.testing.assert_array_equal(first, original)
    np.testing.assert_array_equal(last[:20], original[:20])
    np.testing.assert_array_equal(last[:, :15], original[:, :15])
    assert (last[80:150, 60:140] != original[80:150, 60:140]).any()


def test_photo_and_nothing_added_to_it_change_nothing(animator, photo, tmp_path):
    original = read_photo(photo).pixels
    for number, settings in enumerate(({"intensity": 0.0, "relative": True}, {"expression": "photo"})):
        animator(**settings).animate_file(photo, tmp_path / f"still-{number}")
        for frame in open_clip(tmp_path / f"still-{number}").frames:
            np.testing.assert_array_equal(frame, original)


def test_loop_and_pulse_come_back(animator, photo, tmp_path):
    for shape in ("loop", "pulse"):
        animator(frames=5, shape=shape, curve="linear").animate_file(photo, tmp_path / shape)
    pulse, loop = (open_clip(tmp_path / shape).frames for shape in ("pulse", "loop"))
    np.testing.assert_array_equal(pulse[0], pulse[-1])
    np.testing.assert_array_equal(loop[1], loop[-1])
    assert (loop[2] != loop[1]).any()


def test_crop_is_the_photos_own_pixels_and_says_where_they_lie(animator, photo, tmp_path):
    result = animator(crop=True).animate_file(photo, tmp_path / "crop")
    first = open_clip(tmp_path / "crop").frames[0]
    x0, y0, x1, y1 = result.box
    np.testing.assert_array_equal(first, read_photo(photo).pixels[y0:y1, x0:x1])
    assert first.shape[0] % 2 == first.shape[1] % 2 == 0
    assert first.shape[1] < PHOTO_SIZE_PX[0]


@pytest.mark.parametrize(("settings", "size"), [({"size": 120}, (100, 120)), ({"size": 480}, (400, 480))])
def test_size_is_the_longer_side(animator, photo, tmp_path, settings, size):
    result = animator(**settings).animate_file(photo, tmp_path / "clip.mp4")
    assert result.size_px == size
    assert open_clip(tmp_path / "clip.mp4").frames[0].shape == (size[1], size[0], 3)


def test_crop_and_size_together(animator, photo, tmp_path):
    result = animator(crop=True, size=96).animate_file(photo, tmp_path / "clip.webp")
    assert max(result.size_px) == 96
    assert max(open_clip(tmp_path / "clip.webp").frames[0].shape) == 96


def test_odd_photos_keep_their_size(animator, known_faces, tmp_path):
    Image.fromarray(draw_photo(known_faces)[:-1, :-1]).save(tmp_path / "odd.png")
    for name, size_px in (("clip.mp4", (200, 240)), ("clip.webm", (200, 240)), ("clip.png", (199, 239))):
        result = animator().animate_file(tmp_path / "odd.png", tmp_path / name)
        assert result.size_px == size_px  # of what was written
        assert open_clip(tmp_path / name).frames[0].shape == (*size_px[::-1], 3)


@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.png", "clip.mp4"])
def test_frames_that_browsers_would_slow_down_are_left_out_and_that_is_said(animator, photo, tmp_path, name):
    result = animator(fps=120, frames=60).animate_file(photo, tmp_path / name)
    clip = open_clip(tmp_path / name)
    said = [note for note in result.notes if "Browsers" in note]
    if name == "clip.mp4":
        assert not said and len(clip.frames) == 60
    else:
        assert len(said) == 1 and f"{len(clip.frames)} of 60" in said[0]
        assert sum(clip.delays_ms) == 500


def test_compare_puts_the_photo_to_the_left(animator, photo, tmp_path):
    animator(compare=True).animate_file(photo, tmp_path / "frames")
    last = open_clip(tmp_path / "frames").frames[-1]
    width = PHOTO_SIZE_PX[0]
    assert last.shape == (SHAPE[0], 2 * width, 3)
    np.testing.assert_array_equal(last[:, :width], read_photo(photo).pixels)
    assert (last[:, width:] != last[:, :width]).any()


def test_contact_sheet(animator, photo, tmp_path):
    result = animator(frames=20, sheet=True).animate_file(photo, tmp_path / "clip.mp4")
    assert result.sheet == str(tmp_path / "clip-sheet.png")
    with Image.open(result.sheet) as sheet:
        assert sheet.width > 400
        assert "AI-generated" in sheet.info["Comment"]
        assert sheet.width == 4 * (320 + 6) + 6
    with pytest.raises(OutputError):
        animator(sheet=True).animate_file(photo, tmp_path / "clip.mp4", overwrite=False)


def test_a_sheet_shows_every_face_large(animator, two_faces, tmp_path):
    """Each face in rows of its own, enlarged where it is small, and of photo and clip side by side the clip."""
    settings = {"frames": 20, "face": "all", "sheet": True, "compare": True}
    result = animator(**settings).animate_file(two_faces, tmp_path / "clip.mp4")
    with Image.open(result.sheet) as sheet:
        assert sheet.size == (4 * (320 + 6) + 6, 2 * (320 + 21 + 6) + 6)
        pixels = np.asarray(sheet).astype(int)
    for row in range(2):
        top = 6 + row * 347
        first, last = (pixels[top : top + 320, left : left + 320] for left in (6, 6 + 3 * 326))
        assert np.abs(first - last).max() > 20  # the clip moves, the photo beside it would not


@pytest.mark.parametrize("name", ["clip.mp4", "take.2", "x" * 246 + ".mp4"])
def test_a_clip_and_its_sheet_appear_together_or_not_at_all(animator, photo, tmp_path, monkeypatch, name):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    format = FORMATS["mp4" if name.endswith(".mp4") else "frames"]
    with monkeypatch.context() as patch:
        patch.setattr("facemotion.media.animated_images.png_bytes" if format.name == "mp4" else WRITE_SHEET, full)
        with pytest.raises(OutputError, match="No space"):
            animator(sheet=True).animate_file(photo, tmp_path / name, format=format)
    assert [path.name for path in tmp_path.iterdir()] == [photo.name]
    result = animator(sheet=True).animate_file(photo, tmp_path / name, format=format)
    assert Path(result.sheet).is_file()
    assert Path(result.out).exists()
    assert Path(result.sheet).name == "take.2-sheet.png" or format.name == "mp4"


def test_alpha_is_written_where_the_format_can_and_laid_on_white_elsewhere(animator, known_faces, tmp_path):
    pixels = draw_photo(known_faces)
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:, :30] = 0
    alpha[:, 30:40] = 100
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "cut.png")
    animator().animate_file(tmp_path / "cut.png", tmp_path / "frames")
    first, *_, last = open_clip(tmp_path / "frames").frames
    np.testing.assert_array_equal(first, np.dstack([pixels, alpha]))
    np.testing.assert_array_equal(last[..., 3][:, :30], 0)
    for name in ("clip.webm", "clip.gif", "clip.webp", "clip.png"):
        animator().animate_file(tmp_path / "cut.png", tmp_path / name)
        assert open_clip(tmp_path / name).frames[0].shape[2] == 4, name
    animator().animate_file(tmp_path / "cut.png", tmp_path / "clip.mp4")
    assert open_clip(tmp_path / "clip.mp4").frames[0][:, :25].min() > 248


@pytest.fixture
def two_faces(known_faces, tmp_path):
    """A photo with a large face to the left and a smaller one to the right."""
    known_faces[:] = [face_at((90.0, 100.0)), face_at((230.0, 110.0), eye_distance_px=30)]
    path = tmp_path / "two.png"
    Image.fromarray(draw_photo(known_faces, size_px=(320, 200))).save(path)
    return path


@pytest.mark.parametrize(
    ("choice", "moves"),
    [
        ("largest", (True, False)),
        ("1", (True, False)),
        ("2", (False, True)),
        ("230,110", (False, True)),
        ("all", (True, True)),
    ],
)
def test_faces_are_chosen(animator, two_faces, tmp_path, choice, moves):
    notes = []
    result = animator(face=choice).animate_file(two_faces, tmp_path / "frames", on_note=notes.append)
    first, *_, last = open_clip(tmp_path / "frames").frames
    changed = (first != last).any(axis=2)
    assert (changed[:, :160].any(), changed[:, 190:].any()) == moves
    assert len(result.faces) == sum(moves)
    assert any("2 faces found" in note for note in notes) == (choice != "all")
    assert result.notes == notes


@pytest.mark.parametrize(("choice", "message"), [("3", "no face 3 in .*: 2 faces found"), ("5,5", "no face at 5,5")])
def test_a_face_that_is_not_there(animator, two_faces, tmp_path, choice, message):
    with pytest.raises(NoFaceError, match=message) as caught:
        animator(face=choice).animate_file(two_faces, tmp_path / "clip.mp4")
    assert "facemotion faces" in caught.value.hint


def test_no_face_at_all(animator, photo, known_faces, tmp_path):
    known_faces.clear()
    with pytest.raises(NoFaceError, match=r"No face found in .*photo\.png") as caught:
        animator().animate_file(photo, tmp_path / "clip.mp4")
    assert caught.value.hint
    assert not (tmp_path / "clip.mp4").exists()


def test_advice_about_the_face(animator, photo, known_faces, tmp_path):
    known_faces[0] = dataclasses.replace(known_faces[0], pose=(45.0, 0.0, 0.0))
    result = animator().animate_file(photo, tmp_path / "clip.mp4")
    assert any("turned" in note for note in result.notes)
    assert any("small" in note for note in result.notes)


def test_the_photo_is_asked_for_first_and_the_output_checked_before_the_work(animator, photo, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"old")
    with pytest.raises(OutputError):
        animator().animate_file(tmp_path / "missing.jpg", tmp_path / "clip.mp4")
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(ImageError):
        animator().animate_file(tmp_path / "text.jpg", tmp_path / "new.mp4")


def test_a_stop_in_the_middle_leaves_nothing(animator, photo, tmp_path):
    for name in ("clip.mp4", "clip.webm", "clip.gif", "clip.webp", "clip.png", "clip"):
        frames = iter((None, None))

        def stop(frames=frames):
            if next(frames, "end") == "end":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            animator(frames=9).animate_file(photo, tmp_path / name, on_frame=stop)
        assert [path.name for path in tmp_path.iterdir()] == [photo.name]


def test_settings_without_sense_are_refused():
    wrong_timing = ({"fps": 0}, {"fps": 0.0004}, {"fps": float("inf")}, {"frames": 10**12}, {"repeats": -1})
    for wrong in ({"size": 3}, {"face": "prettiest"}, {"face": "0"}, {"aligner": "magic"}, *wrong_timing):
        with pytest.raises(UsageError):
            AnimateSettings(**wrong)


def test_weights_that_are_none(photo, tmp_path):
    (tmp_path / "foreign.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError):
        Animator(AnimateSettings(), weights=tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError):
        Animator(AnimateSettings(), weights=tmp_path / "missing.safetensors")


def test_api(photo, tiny_weights):
    frames = facemotion.animate(photo, {"smile": 1.0}, frames=5, weights=tiny_weights)
    assert frames.dtype == np.uint8
    assert frames.shape == (5, *SHAPE)
    np.testing.assert_array_equal(frames[0], read_photo(photo).pixels)


@pytest.mark.parametrize("expression", ["smile", {"happy": 1}, [{"smile": 1.0}]])
def test_api_takes_words_and_mappings_paths_arrays_and_pictures(photo, tiny_weights, expression):
    pixels = read_photo(photo).pixels
    expected = facemotion.animate(pixels, "smile", frames=2, weights=tiny_weights)
    for image in (photo, str(photo), Image.open(photo)):
        frames = facemotion.animate(image, expression, frames=2, weights=tiny_weights)
        np.testing.assert_array_equal(frames, expected)
    grey = facemotion.animate(pixels[..., 0], expression, frames=1, weights=tiny_weights)
    assert grey.shape == (1, *SHAPE)
    with pytest.raises(UsageError, match="no picture"):
        facemotion.animate(pixels.astype(float), expression, weights=tiny_weights)


PICTURE = np.zeros((40, 30, 3), np.uint8)


@pytest.mark.parametrize(
    "arguments",
    [
        {"expression": ["smile", "surprise"]},
        {"expression": {"smile": "0.5"}},
        {"expression": {"smile": None}},
        {"expression": {"smile": float("nan")}},
        {"expression": {1: 0.5}},
        {"expression": []},
        {"expression": [{"smile": 1.0}, "neutral"]},
        {"expression": None},
        {"expression": 1.0},
        {"expression": b"smile"},
        {"face": 1},
        {"face": None},
        {"frames": "32"},
        {"frames": 2.5},
        {"frames": 0},
        {"frames": True},
        {"intensity": "1"},
        {"intensity": 2},
        {"curve": 1},
        {"shape": None},
        {"crop": "yes"},
        {"size": "large"},
        {"size": 3.5},
        {"aligner": None},
        {"weights": 3},
        {"device": 0},
        {"device": None},
        {"precision": 16},
        {"image": b"\x89PNG"},
        {"image": io.BytesIO(b"\x89PNG")},
        {"image": None},
        {"image": [[0, 0], [0, 0]]},
        {"image": np.zeros((0, 0, 3), np.uint8)},
        {"image": np.zeros((40, 0), np.uint8)},
        {"image": np.zeros((40, 30, 3))},
        {"image": np.zeros((40, 30, 5), np.uint8)},
        {"image": np.zeros(40, np.uint8)},
        {"image": np.zeros((40, 30), object)},
        {"image": Image.new("RGB", (0, 0))},
        {"image": "a name with \0 in it.jpg"},
        {"image": "x" * 5000},
        {"image": Path("missing.jpg")},
    ],
    ids=str,
)
def test_what_the_api_cannot_use_is_told_in_words(tiny_weights, known_faces, arguments):
    with pytest.raises(facemotion.FacemotionError) as caught:
        facemotion.animate(**{"image": PICTURE, "frames": 2, "weights": tiny_weights, **arguments})
    assert caught.value.message
    assert caught.value.hint


def test_a_picture_whose_file_is_damaged(photo, tiny_weights, tmp_path):
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:300])
    with Image.open(tmp_path / "cut.png") as image, pytest.raises(ImageError, match="damaged"):
        facemotion.animate(image, weights=tiny_weights)


@pytest.mark.parametrize(
    "image",
    [PICTURE.astype(float), PICTURE[..., 0], PICTURE[:0], np.dstack([PICTURE, PICTURE]), "photo.jpg", b"", None, [[1]]],
    ids=lambda image: type(image).__name__,
)
def test_what_find_faces_cannot_use_is_told_in_words(image):
    with pytest.raises(UsageError, match="no picture"):
        facemotion.find_faces(image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4000, 3), (4000, 1, 3), (2, 2, 3)])
def test_pictures_too_small_for_a_face_have_none(shape):
    assert facemotion.find_faces(np.zeros(shape, np.uint8), aligner="builtin") == []


def test_animators_say_what_they_cannot_use(animator, photo, tmp_path):
    with pytest.raises(UsageError, match="no settings"):
        Animator({"expression": "smile"})
    for paths in ((None, tmp_path / "clip.mp4"), (photo, None), (photo, b"clip.mp4"), (5, tmp_path / "clip.mp4")):
        with pytest.raises(UsageError, match="no path"):
            animator().animate_file(*paths)
    with pytest.raises(UsageError, match="no photo"):
        next(animator().frames(PICTURE))


def test_numbers_of_numpy_are_numbers(photo, tiny_weights):
    blend = {"smile": np.float32(0.5)}
    frames = facemotion.animate(photo, blend, frames=np.int64(2), intensity=np.float64(1), weights=tiny_weights)
    assert len(frames) == 2


def test_the_package_lists_its_api():
    assert {"animate", "find_faces", "read_photo", "Animator", "AnimateSettings"} <= set(dir(facemotion))
    assert {name for name in facemotion.__all__ if not hasattr(facemotion, name)} == set()


def test_pictures_are_turned_upright_like_files(photo, tiny_weights, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photo).rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    expected = facemotion.animate(photo, frames=1, weights=tiny_weights)
    turned = facemotion.animate(Image.open(tmp_path / "turned.png"), frames=1, weights=tiny_weights)
    np.testing.assert_array_equal(turned, expected)


def test_animators_stream(animator, photo):
    stream = animator(frames=1000).frames(read_photo(photo))
    assert [next(stream).shape for _ in range(3)] == [SHAPE] * 3


def test_one_animator_from_several_threads(animator, photo, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    shared = animator()
    with ThreadPoolExecutor(3) as executor:
        list(executor.map(lambda n: shared.animate_file(photo, tmp_path / f"frames-{n}"), range(3)))
    first, *others = (open_clip(tmp_path / f"frames-{n}").frames for n in range(3))
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_the_way_back_of_a_loop_is_remembered(photo, monkeypatch):
    """Frames of a linear loop come twice; they are rendered once, and are the same."""
    from facemotion.animation import Animation

    settings = AnimateSettings("smile", frames=12, curve="linear", shape="loop")
    rendered = []
    render = Animation._rendered
    monkeypatch.setattr(Animation, "_rendered", lambda clip, number: (rendered.append(number), render(clip, number))[1])
    remembered = list(Animator(settings).frames(read_photo(photo)))
    assert len(rendered) == len(set(rendered)) <= 7
    monkeypatch.setattr("facemotion.animation._REMEMBERED_BYTES", 0)
    rendered.clear()
    anew = list(Animator(settings).frames(read_photo(photo)))
    assert len(rendered) == 11
    assert max(int(np.abs(one.astype(int) - other).max()) for one, other in zip(remembered, anew, strict=True)) <= 1
