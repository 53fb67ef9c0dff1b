"""Every writer's output is opened again: size, number of frames, rate, pixel format, loop, first and last frame."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from facemotion.errors import OutputError
from facemotion.media.formats import FORMATS, ClipSpec, format_of
from facemotion.media.provenance import mark_for
from facemotion.media.video import open_writer
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


def shrinking_frames(count: int = 12, *, size_px=(64, 48)) -> list[np.ndarray]:
    """A soft disc that shrinks, grows, goes and comes; hidden colours change, too."""
    width, height = size_px
    y, x = np.mgrid[:height, :width]
    frames = []
    for radius in [16, 13, 13, 9, 12, 12, 0, 0, 15, 5, 17, 2][:count]:
        away = np.hypot(x - width // 2 - radius / 4, y - height // 2)
        colour = np.stack([x * 3, y * 4, np.full_like(x, 90 + radius)], axis=-1)
        alpha = np.clip((radius - away) * 60, 0, 255) if radius else np.zeros_like(away)
        frames.append(np.dstack([colour, alpha]).astype(np.uint8))
    return frames


def on(background: int, frame: np.ndarray) -> np.ndarray:
    alpha = frame[..., 3:] / 255
    return frame[..., :3] * alpha + background * (1 - alpha)


def pillow_frames(path) -> list[np.ndarray]:
    with Image.open(path) as image:
        return [np.array(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("changing", [None, (5, 3, 60, 46)])
@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.png"])
@pytest.mark.parametrize("still", [False, True], ids=["alone", "beside what stands still"])
def test_what_becomes_transparent_is_gone(tmp_path, name, changing, still):
    frames = shrinking_frames()
    if still:
        for frame in frames:
            frame[:3] = frame[-2:] = frames[0][:1, :1] | (0, 0, 0, 255)
    shown = write(tmp_path / name, frames, changing=changing).frames
    assert len(shown) == len(frames)
    for read in (shown, pillow_frames(tmp_path / name)):
        for canvas, meant in zip(read, frames, strict=True):
            if name == "clip.gif":
                meant = np.where(meant[..., 3:] >= 128, meant | np.uint8([0, 0, 0, 255]), 0).astype(np.uint8)
            np.testing.assert_array_equal(canvas[..., 3], meant[..., 3])
            for background in (0, 255):
                assert np.abs(on(background, canvas) - on(background, meant)).mean() < 4
            if name == "clip.png" and changing is None:
                np.testing.assert_array_equal(canvas, meant)


def test_a_gif_takes_away_no_more_than_it_must(tmp_path):
    """Growing alone needs no disposal: the file of a disc that grows is smaller than that of one that shrinks."""
    frames = [shrinking_frames()[index] for index in (9, 4, 0, 10)]
    write(tmp_path / "grows.gif", frames)
    write(tmp_path / "shrinks.gif", frames[::-1])
    assert b"\x21\xf9\x04\x09" not in (tmp_path / "grows.gif").read_bytes()
    assert b"\x21\xf9\x04\x09" in (tmp_path / "shrinks.gif").read_bytes()


@pytest.mark.parametrize("name", ["clip.webm", "clip.gif", "clip.webp", "clip.png", "clip"])
def test_alpha_is_kept(tmp_path, name):
    frames = moving_frames(4, alpha=True)
    for shown, meant in zip(write(tmp_path / name, frames).frames, frames, strict=True):
        assert shown.shape == meant.shape
        assert np.abs(shown[..., 3].astype(int) - meant[..., 3]).mean() < 3


@pytest.mark.parametrize("repeats", [0, 1, 2, 3, 65535])
@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.png"])
def test_animated_images_say_how_often_they_play(tmp_path, name, repeats):
    assert write(tmp_path / name, moving_frames(3), repeats=repeats).repeats == repeats


@pytest.mark.parametrize("fps", [10, 24, 29.97, 30, 60])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "clip.png"])
def test_rates_hold_over_a_whole_clip(tmp_path, name, fps):
    clip = write(tmp_path / name, moving_frames(30, size_px=(16, 16)), fps=fps)
    if (name, fps) == ("clip.gif", 60):
        assert sum(clip.delays_ms) == 500 and len(clip.frames) == 25  # browsers show no more than 50 a second
    else:
        assert clip.fps == pytest.approx(fps, rel=0.03) and len(clip.frames) == 30


@pytest.mark.parametrize("fps", [1, 23.976, 50, 59.94, 90, 100, 101, 240])
@pytest.mark.parametrize("count", [2, 3, 31])
@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.png"])
def test_browsers_play_animated_images_at_their_speed(tmp_path, name, count, fps):
    frames = [np.full((2, 2, 3), index * 255 // (count - 1), np.uint8) for index in range(count)]
    clip = write(tmp_path / name, frames, fps=fps, samples=(frames[-1],))
    unit_ms, slowed_ms = (10, 10) if name == "clip.gif" else (1, 10)
    assert min(clip.delays_ms) > slowed_ms  # what asks for less is shown for 100 ms
    total_ms = max(1000 * count / fps, 2 * (20 if name == "clip.gif" else 11))
    assert sum(clip.delays_ms) == pytest.approx(total_ms, abs=unit_ms)
    assert (clip.frames[0][0, 0, 0], clip.frames[-1][0, 0, 0]) == pytest.approx((0, 255), abs=2)
    if fps <= 50 or (fps <= 90 and name != "clip.gif"):
        assert len(clip.frames) == count
    assert max(clip.delays_ms) - min(clip.delays_ms) <= unit_ms


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


ODD_NAMES = [
    "2024-05-01T12:30:45",
    "take:1",
    "http:x",
    "pipe:1",
    "a%03d",
    "-",
    "?*|<>",
    "ü\n",
    "b\\c",
    "\udcff",
    "crypto:data:,",
]


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not know")
@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".webm", ".gif", ".webp", ".png", ""])
@pytest.mark.parametrize("stem", ODD_NAMES)
def test_any_name_that_a_file_may_have(tmp_path, monkeypatch, stem, suffix):
    monkeypatch.chdir(tmp_path)
    path = Path(stem + suffix)
    spec = ClipSpec(size_px=(16, 16), fps=25, frames=2)
    writer = open_writer(path, format_of(suffix or "clip"), spec)
    for frame in moving_frames(2, size_px=(16, 16)):
        writer.write(frame)
    writer.close()
    assert os.listdir(".") == [stem + suffix]
    path.rename(tmp_path / f"clip{suffix.lower().replace('m4v', 'mp4').replace('mov', 'mp4')}")
    assert len(open_clip(next(tmp_path.iterdir())).frames) == 2


@pytest.mark.skipif(os.name == "nt", reason="no limits on the size of files there")
@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "clip.png"])
def test_a_full_disk_is_an_error_of_the_system_and_every_file_is_closed(tmp_path, name):
    """A limit on the size of files stands for the full disk: the same calls fail."""
    script = """
import os, resource, sys
import numpy as np
from facemotion.errors import OutputError
from facemotion.media.atomic import staged
from facemotion.media.prefetch import BackgroundWriter
from facemotion.media.provenance import mark_for
from facemotion.media.formats import ClipSpec, format_of
from facemotion.media.video import open_writer
random = np.random.default_rng(0)
spec = ClipSpec(size_px=(320, 240), fps=25, frames=40, mark=mark_for("smile"))
def attempt():
    with staged(sys.argv[1]) as part, BackgroundWriter(open_writer(part, format_of(part), spec)) as writer:
        for _ in range(40):
            writer.write(random.integers(0, 255, (240, 320, 3), np.uint8))
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
try:
    attempt()
except OutputError as error:
    print(error.message)
if before:
    assert sorted(os.listdir("/proc/self/fd")) == before, "left open"
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script, tmp_path / name], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "No space left" in done.stdout, done.stderr
    assert "ResourceWarning" not in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "size_px"),
    [
        ("clip.mp4", (16384, 2)),
        ("clip.mp4", (2, 16384)),
        ("clip.mp4", (1, 1)),
        ("clip.webm", (16384, 2)),
        ("clip.webm", (3, 16383)),
        ("clip.gif", (65535, 1)),
        ("clip.gif", (1, 65535)),
        ("clip.webp", (16383, 1)),
        ("clip.webp", (1, 16383)),
        ("clip.png", (70000, 1)),
    ],
)
def test_the_longest_sides_that_a_format_says_it_holds(tmp_path, name, size_px):
    frames = [np.full((size_px[1], size_px[0], 3), level, np.uint8) for level in (90, 120)]
    clip = write(tmp_path / name, frames, samples=(frames[1],))
    assert error(clip.frames[1][: size_px[1], : size_px[0]], frames[1]) < 4


@pytest.mark.parametrize("size_px", [(64, 600), (63, 601)])
def test_videos_hold_what_ffmpeg_makes_of_frames_without_seams(size_px):
    from av import VideoFrame

    from facemotion.media import video

    y, x = np.mgrid[: size_px[1], : size_px[0]]
    frame = np.stack([x * 4, y // 3, (3 * x + y) // 4], axis=-1).astype(np.uint8)
    width, height = FORMATS["mp4"].written_size_px(size_px)
    even = np.pad(frame, ((0, height - size_px[1]), (0, width - size_px[0]), (0, 0)), mode="edge")
    expected = VideoFrame.from_ndarray(even, format="rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
    )
    found = video._YuvFrames((width, height), None).convert(frame).to_ndarray()
    assert np.abs(found.astype(int) - expected.to_ndarray()).max() <= 1


def test_the_size_that_is_written():
    sizes = {format.name: format.written_size_px((477, 300)) for format in FORMATS.values()}
    assert sizes["mp4"] == sizes["webm"] == (478, 300)
    assert {sizes[name] for name in ("gif", "webp", "png", "frames")} == {(477, 300)}


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
