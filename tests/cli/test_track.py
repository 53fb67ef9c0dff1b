import json

import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.expressions.tracks import read_track
from facemotion.expressions.units import UNIT_INDEX, UNIT_NAMES
from tests.videos import turn_video, write_sound, write_video

PICTURE = np.ascontiguousarray(astronaut()[:400, 60:460])
BLANK = np.full_like(PICTURE, 90)


def run(*words: object):
    return CliRunner().invoke(app, ["track", *map(str, words)])


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Ten frames, of which two do not show her."""
    frames = [np.roll(PICTURE, 2 * number, axis=1) for number in range(10)]
    frames[4] = frames[5] = BLANK
    return write_video(tmp_path_factory.mktemp("videos") / "talk.mp4", frames, sound=True)


def test_a_video_becomes_a_track_beside_it_that_can_be_played(video):
    result = run(video)
    assert result.exit_code == 0, result.output
    path = video.with_suffix(".csv")
    assert "10 rows" in result.output and "talk.csv" in result.output
    assert "missing in 2 of 10 frames" in " ".join(result.output.split())
    header, *rows = path.read_text().splitlines()
    assert header.startswith(f"frame,time,face,cut,{','.join(UNIT_NAMES)},headYaw,headPitch,headRoll,leftEyeYaw")
    assert [row.split(",")[2] for row in rows] == list("1111001111")
    notes: list[str] = []
    track = read_track(path, on_note=notes.append)
    assert len(track) == 10 and track.units[:, UNIT_INDEX["mouthSmileLeft"]].min() > 0.5
    np.testing.assert_allclose(track.time_s, np.arange(10) / 25, atol=1e-3)
    assert len(notes) == 1 and "2 of 10 rows" in notes[0]
    again = run(video)
    assert again.exit_code == 2 and "exists already" in again.output
    assert run(video, "--overwrite", "--quiet").output == ""


def test_json_for_programs(video, tmp_path):
    out = tmp_path / "new folder" / "track.csv"
    result = run(video, "--out", out, "--json", "--quiet", "--raw")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == {
        "video": str(video), "out": str(out), "frames": 10, "seconds": 0.36, "seen": 8, "gaps": 1, "cuts": 0,
    }  # fmt: skip
    assert len(out.read_text().splitlines()) == 11


def test_a_phones_video_is_turned_upright(tmp_path):
    lying = np.ascontiguousarray(np.rot90(PICTURE))
    path = turn_video(write_video(tmp_path / "phone.mp4", [lying] * 3), 90)
    assert run(path, "--quiet").exit_code == 0
    track = read_track(path.with_suffix(".csv"))
    assert np.abs(track.head[:, 2]).max() < 15


def test_a_video_that_breaks_off_gives_the_rows_before(tmp_path):
    noise = np.random.default_rng(0).integers(0, 40, (12, *PICTURE.shape), np.uint8)
    path = write_video(tmp_path / "half.mkv", [PICTURE // 2 + grain for grain in noise])
    content = path.read_bytes()
    path.write_bytes(content[: int(0.7 * len(content))])
    result = run(path)
    assert result.exit_code == 0, result.output
    assert 3 < len(read_track(path.with_suffix(".csv"))) < 12


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["missing.mp4"], 2, "does not exist"),
        (["voice.m4a"], 1, "has no pictures"),
        (["text.mp4"], 1, "no video that can be read"),
        (["blank.mp4"], 1, "No face in the 3 frames"),
        (["blank.mp4", "--face", "2"], 1, "No face 2 in the 3 frames"),
        (["blank.mp4", "--face", "10,10"], 1, "No face at 10,10"),
        (["blank.mp4", "--face", "all"], 2, "follows one face"),
        (["blank.mp4", "--face", "left"], 2, "chooses no face"),
        (["blank.mp4", "--out", "track.json"], 2, "cannot be written as track.json"),
    ],
)
def test_what_cannot_be_tracked_says_why_and_leaves_nothing(tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "voice.m4a")
    (tmp_path / "text.mp4").write_text("no video " * 50)
    write_video(tmp_path / "blank.mp4", [BLANK] * 3)
    before = sorted(tmp_path.iterdir())
    result = run(*words)
    assert result.exit_code == code
    assert message in " ".join(result.output.split())
    assert sorted(tmp_path.iterdir()) == before
