"""Every writer's output is opened again: size, number of frames, rate, pixel format, loop, first and last frame."""

import itertools

import numpy as np
import pytest

from facemotion.errors import OutputError
from facemotion.media.provenance import mark_for
from facemotion.media.video import FORMATS, ClipSpec, format_of, open_writer
from tests.clips import open_clip

EXACT = ("clip.png", "clip")
LOSSY_ERROR = {"clip.mp4": 3, "clip.webm": 4, "clip.gif": 9, "clip.webp": 4}


def moving_frames(count: int, *, size_px=(64, 48), alpha: bool = False) -> list[np.ndarray]:
    """A disc that moves over a gradient, which stands still."""
    width, height = size_px
    y, x = np.mgrid[:height, :width]
    still = np.stack([60 + x * 120 // width, 80 + y * 120 // height, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    frames = []
    for index in range(count):
        frame = still.copy()
        frame[(x - width // 3 - index) ** 2 + (y - height // 2) ** 2 < 80] = (200, 120, 110)
        if alpha:
            opaque = np.where(x < width * 3 // 4, 255, 0).astype(np.uint8)
            frame = np.dstack([frame, opaque])
        frames.append(frame)
    return frames


def write(path, frames, **settings):
    height, width, channels = frames[0].shape
    spec = ClipSpec(size_px=(width, height), frames=len(frames), alpha=channels == 4, **{"fps": 25, **settings})
    writer = open_writer(path, format_of(path), spec)
    for frame in frames:
        writer.write(frame)
    writer.close()
    return open_clip(path)


def error(shown: np.ndarray, meant: np.ndarray) -> float:
    return float(np.abs(shown.astype(int) - meant).mean())


@pytest.mark.parametrize("name", [*EXACT, *LOSSY_ERROR])
def test_clips_hold_what_was_written(tmp_path, name):
    frames = moving_frames(12)
    clip = write(tmp_path / name, frames)
    assert len(clip.frames) == 12
    assert all(frame.shape == (48, 64, 3) for frame in clip.frames)
    limit = LOSSY_ERROR.get(name, 0)
    for shown, meant in zip(clip.frames, frames, strict=True):
        assert error(shown, meant) <= limit
    if name != "clip":
        assert clip.fps == pytest.approx(25, rel=0.01)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"), [("a.mp4", "h264", "yuv420p"), ("a.webm", "vp9", "yuv420p")]
)
def test_videos_play_everywhere(tmp_path, name, codec, pixel_format):
    clip = write(tmp_path / name, moving_frames(5))
    assert codec in clip.codec
    assert clip.pixel_format == pixel_format
    assert clip.streams == 1  # no sound


def test_mp4_starts_to_play_before_all_of_it_is_there(tmp_path):
    write(tmp_path / "clip.mp4", moving_frames(5))
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm"])
@pytest.mark.parametrize("size_px", [(63, 48), (64, 47), (63, 47)])
def test_odd_sizes_are_neither_cut_nor_scaled(tmp_path, name, size_px):
    frames = moving_frames(3, size_px=size_px)
    shown = write(tmp_path / name, frames).frames[0]
    width, height = size_px
    assert shown.shape == (height + height % 2, width + width % 2, 3)
    assert error(shown[:height, :width], frames[0]) < 4
    assert error(shown[-1], shown[-2]) < 3  # what was added repeats the edge
    assert error(shown[:, -1], shown[:, -2]) < 3


@pytest.mark.parametrize("name", ["clip.webm", "clip.gif", "clip.webp", "clip.png", "clip"])
def test_alpha_is_kept(tmp_path, name):
    frames = moving_frames(4, alpha=True)
    for shown, meant in zip(write(tmp_path / name, frames).frames, frames, strict=True):
        assert shown.shape == meant.shape
        assert np.abs(shown[..., 3].astype(int) - meant[..., 3]).mean() < 3


@pytest.mark.parametrize("repeats", [0, 3])
@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.png"])
def test_animated_images_say_how_often_they_play(tmp_path, name, repeats):
    assert write(tmp_path / name, moving_frames(3), repeats=repeats).repeats == repeats


@pytest.mark.parametrize("fps", [10, 24, 29.97, 30, 60])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "clip.png"])
def test_rates_hold_over_a_whole_clip(tmp_path, name, fps):
    clip = write(tmp_path / name, moving_frames(30, size_px=(16, 16)), fps=fps)
    assert clip.fps == pytest.approx(fps, rel=0.03)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "clip.png", "clip"])
def test_the_mark_says_ai_generated_unless_left_out(tmp_path, name):
    (tmp_path / "plain").mkdir()
    marked = write(tmp_path / name, moving_frames(2), mark=mark_for("smile"))
    plain = write(tmp_path / "plain" / name, moving_frames(2))
    assert "AI-generated with facemotion" in marked.text
    assert "facemotion" not in plain.text


@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.png"])
def test_images_carry_the_iptc_source_type(tmp_path, name):
    write(tmp_path / name, moving_frames(2), mark=mark_for("smile"))
    assert b"compositeWithTrainedAlgorithmicMedia" in (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "clip.png", "clip"])
def test_a_single_frame_and_frames_that_do_not_change(tmp_path, name):
    (frame,) = moving_frames(1)
    assert len(write(tmp_path / f"one-{name}", [frame]).frames) == 1
    clip = write(tmp_path / name, [frame] * 3)
    assert all(error(a, b) < 1.5 for a, b in itertools.pairwise(clip.frames))


def test_a_single_png_is_a_still(tmp_path):
    write(tmp_path / "still.png", moving_frames(1))
    assert b"acTL" not in (tmp_path / "still.png").read_bytes()


def test_gif_takes_its_colours_from_the_samples(tmp_path):
    still, late = np.full((16, 16, 3), 90, np.uint8), np.full((16, 16, 3), (250, 30, 30), np.uint8)
    clip = write(tmp_path / "clip.gif", [still, late], samples=(late,))
    assert error(clip.frames[1], late) < 3


def test_many_frames_need_no_more_memory_than_few(tmp_path):
    """Writers keep the frame before, not all of them."""
    import tracemalloc

    peaks = []
    for count in (10, 30):
        frame = moving_frames(1, size_px=(200, 150))[0]
        for name in ("clip.gif", "clip.webp", "clip.png"):
            spec = ClipSpec(size_px=(200, 150), fps=25, frames=count)
            writer = open_writer(tmp_path / name, format_of(name), spec)
            writer.write(frame)
            tracemalloc.start()
            for index in range(1, count):
                writer.write(np.roll(frame, index % 7, axis=1))
            writer.close()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    few, many = peaks[:3], peaks[3:]
    assert all(late < early + 500_000 for early, late in zip(few, many, strict=True))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "clip.png"])
def test_only_the_part_that_changes_is_looked_at(tmp_path, name):
    frames = moving_frames(8, size_px=(63, 47))
    clip = write(tmp_path / name, frames, changing=(9, 13, 41, 35))
    for shown, meant in zip(clip.frames, frames, strict=True):
        assert error(shown[:47, :63], meant) <= LOSSY_ERROR.get(name, 0)


def test_formats_are_told_by_suffix():
    assert {format_of(f"clip{suffix}").name for suffix in (".mp4", ".MP4", ".m4v", ".mov")} == {"mp4"}
    assert format_of("clip").name == "frames"
    with pytest.raises(OutputError) as caught:
        format_of("clip.avi")
    assert ".avi" in caught.value.message
    assert ".mp4" in caught.value.hint


def test_sizes_that_a_format_cannot_hold_are_refused(tmp_path):
    with pytest.raises(OutputError, match="16383") as caught:
        open_writer(tmp_path / "clip.webp", FORMATS["webp"], ClipSpec(size_px=(20_000, 10), fps=25, frames=1))
    assert "--size" in caught.value.hint
