"""What else than an expression can be performed: a track, a video, a continuum; and the record of what was played."""

import csv
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.media.sound import has_sound


def run(*words: object):
    return CliRunner().invoke(app, ["animate", *map(str, words)])


def frames_of(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture
def track(tmp_path):
    path = tmp_path / "talk.csv"
    rows = ["time,jawOpen,headYaw", *(f"{frame / 25},{0.5 * (frame % 2)},{frame}" for frame in range(5))]
    path.write_text("\n".join(rows))
    return path


def test_a_track_is_performed(photo, track):
    done = run(photo, "--track", track)
    assert done.exit_code == 0, done.output
    frames = frames_of(photo.with_name("photo-talk.mp4"))
    assert len(frames) == 5
    assert np.abs(frames[1].astype(int) - frames[2]).max() > 30


def test_what_was_played_is_written_down(photo, track, tmp_path):
    done = run(photo, "--track", track, "--track-out", tmp_path / "played.csv", "--frames", 4)
    assert done.exit_code == 0, done.output
    with open(tmp_path / "played.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["jawOpen"]) for row in rows] == [0, 0.5, 0, 0.5]
    assert [float(row["headYaw"]) for row in rows] == [0, 1, 2, 3]
    chin = [float(row["y_8"]) for row in rows]
    assert chin[1] > chin[0] + 1
    assert float(rows[3]["x_30"]) > float(rows[0]["x_30"])  # the nose goes where the head turns


def test_levels_are_named_stills(photo):
    done = run(photo, "--expr", "smile", "--levels", 3)
    assert done.exit_code == 0, done.output
    folder = photo.with_name("photo-smile")
    assert sorted(path.name for path in folder.iterdir()) == ["smile-000.png", "smile-050.png", "smile-100.png"]
    with Image.open(folder / "smile-000.png") as first, Image.open(photo) as original:
        np.testing.assert_array_equal(np.asarray(first), np.asarray(original.convert("RGB")))


@pytest.mark.parametrize(
    ("words", "happened"),
    [
        (("--levels", 1), "1 levels are out of range"),
        (("--levels", 3, "--expr", "smile,surprise"), "--levels goes from the photo to one expression"),
        (("--track", "a.csv", "--drive", "b.mp4"), "Both track and drive were given"),
        (("--drive", "missing.mp4"), "No such file: missing.mp4"),
        (("--track", "missing.csv"), "missing.csv"),
        (("--head", "1,2"), "--head 1,2 is not three angles"),
        (("--head", "40,0,0"), "out of range"),
        (("--life", "wild"), "'wild' is no life"),
        (("--seed", -1), "A seed of -1 is out of range"),
    ],
)
def test_what_makes_no_sense_is_told(photo, words, happened):
    done = run(photo, *words)
    assert done.exit_code in (1, 2)
    assert happened in done.output
    assert "Traceback" not in done.output


def a_video(path, frames: list[np.ndarray]) -> None:
    """A video with a tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        tone = container.add_stream("aac", rate=44100)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
        samples = (8000 * np.sin(np.arange(44100 * len(frames) // 25) * 0.06)).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        sound.rate = 44100
        container.mux(tone.encode(sound))
        container.mux(tone.encode(None))


def test_a_video_drives_the_face_and_lends_its_sound(tmp_path):
    from skimage.data import astronaut

    import facemotion

    portrait = np.ascontiguousarray(astronaut()[:300, 80:380])
    photo = tmp_path / "photo.png"
    Image.fromarray(portrait).save(photo)
    a_video(tmp_path / "drive.mp4", list(facemotion.animate(portrait, "jaw-drop", frames=6, curve="linear")))
    done = run(photo, "--drive", tmp_path / "drive.mp4", "--track-out", tmp_path / "played.csv")
    assert done.exit_code == 0, done.output
    clip = photo.with_name("photo-drive.mp4")
    assert len(frames_of(clip)) == 6
    assert has_sound(clip)
    with av.open(str(clip)) as container:
        heard = sum(frame.samples for frame in container.decode(audio=0)) / 44100
        assert "AI-generated" in container.metadata["comment"]
    assert heard == pytest.approx(6 / 25, abs=0.08)
    with open(tmp_path / "played.csv") as file:
        jaw = [float(row["jawOpen"]) for row in csv.DictReader(file)]
    assert jaw[-1] > jaw[0] + 0.1


def test_a_manifest_makes_a_clip_a_line(photo, tmp_path):
    (tmp_path / "clips.csv").write_text(
        "photo,expression,intensity,frames,output\n"
        "photo.png,smile,0.5,3,a.gif\n"
        "missing.png,smile,,,\n"
        "photo.png,surprise:0.6+browInnerUp:0.5,,1,\n"
    )
    done = run("--manifest", tmp_path / "clips.csv", "--out", tmp_path / "clips", "--format", "png", "--frames", 2)
    assert done.exit_code == 3, done.output
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == [
        "a.gif",
        "photo-surprise0.6+browInnerUp0.5.png",
    ]
    assert "Line 3: No such file" in done.output
    assert run(photo, "--manifest", tmp_path / "clips.csv").exit_code == 2


def test_idle_is_life_alone(photo):
    done = run(photo, "--shape", "idle", "--seconds", 3, "--fps", 10)
    assert done.exit_code == 0, done.output
    frames = frames_of(photo.with_name("photo-idle.mp4"))
    assert len(frames) == 30
    assert max(np.abs(frame.astype(int) - frames[0]).max() for frame in frames) > 20
