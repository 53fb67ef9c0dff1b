import itertools
import os

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.media.footage import Footage
from tests.videos import turn_video, write_sound, write_video


def picture(level: int = 0) -> np.ndarray:
    """Not the same whichever way it is turned."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[:32, 48:], pixels[32:, :48] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    return (pixels + np.uint8(level)).astype(np.uint8)


def shown(path, **settings):
    with Footage(path) as footage:
        return list(footage.frames(**settings))


def test_frames_come_in_order_with_their_times(tmp_path):
    frames = shown(write_video(tmp_path / "v.mp4", [picture(5 * number) for number in range(10)], fps=30))
    assert [frame.time_s for frame in frames] == pytest.approx([number / 30 for number in range(10)], abs=1e-3)
    assert all(np.abs(frame.pixels.astype(int) - picture(5 * n)).mean() < 12 for n, frame in enumerate(frames))
    assert frames[0].scale == 1


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not know")
def test_a_colon_in_a_relative_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "v.mp4", [picture()]).rename("2024-05-01T12:30:45.mp4")
    assert len(shown("2024-05-01T12:30:45.mp4")) == 1


def test_variable_rates_keep_their_times(tmp_path):
    times = [0, 40, 80, 400, 410, 1000]
    frames = shown(write_video(tmp_path / "v.mkv", [picture()] * 6, times_ms=times))
    assert [frame.time_s for frame in frames] == pytest.approx([time / 1000 for time in times], abs=2e-3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_phones_videos_are_upright(tmp_path, degrees):
    (frame,) = shown(turn_video(write_video(tmp_path / "v.mp4", [picture()]), degrees))
    expected = np.rot90(picture(), -degrees // 90)
    assert frame.pixels.shape == expected.shape
    assert np.abs(frame.pixels.astype(int) - expected).mean() < 12


def test_large_frames_are_shrunk(tmp_path):
    (frame,) = shown(write_video(tmp_path / "v.mp4", [picture()]), longest_px=48)
    assert frame.pixels.shape == (32, 48, 3) and frame.scale == 0.5


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_the_number_of_frames_is_foreseen(tmp_path, suffix):
    from facemotion.media.formats import FORMATS, ClipSpec
    from facemotion.media.video import open_writer

    path = tmp_path / f"v{suffix}"
    writer = open_writer(path, FORMATS[suffix[1:]], ClipSpec((96, 64), 25, 20, samples=(picture(),)))
    for number in range(20):
        writer.write(picture(number))
    writer.close()
    with Footage(path) as footage:
        assert len(list(footage.frames())) == 20
        assert footage.expected_frames is None or abs(footage.expected_frames - 20) <= 1


def test_sound_makes_no_difference(tmp_path):
    assert len(shown(write_video(tmp_path / "v.mp4", [picture()] * 5, sound=True))) == 5


def test_what_is_no_video_says_so(tmp_path):
    (tmp_path / "text.mp4").write_text("This is no video. " * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    for path, message in (
        (tmp_path / "missing.mp4", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "text.mp4", "no video that can be read"),
        (tmp_path / "empty.mp4", "no video that can be read"),
        (write_sound(tmp_path / "voice.m4a"), "has no pictures"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            Footage(path)
        assert caught.value.hint


def test_a_video_without_frames_says_so(tmp_path):
    path = write_video(tmp_path / "v.mkv", [picture()])
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x1f\x43\xb6\x75")])  # up to its first cluster
    with pytest.raises(InputError, match=r"has no frames|no video that can be read"):
        shown(path)


def test_a_file_that_breaks_off_gives_what_it_has(tmp_path):
    noise = np.random.default_rng(0)
    path = write_video(tmp_path / "v.mkv", [noise.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(40)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    notes: list[str] = []
    frames = shown(path, on_note=notes.append)
    assert 5 < len(frames) < 40
    path.write_bytes(content[:3000] + noise.bytes(len(content) // 3) + content[3000 + len(content) // 3 :])
    frames = shown(path, on_note=notes.append)
    assert frames
    assert all(later.time_s > earlier.time_s for earlier, later in itertools.pairwise(frames))
