"""``facemotion animate`` on single photos: words in, files, messages and exit codes out."""

import errno
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from facemotion.cli.app import app
from tests.clips import open_clip
from tests.conftest import PHOTO_SIZE_PX


@pytest.fixture
def animate(tiny_weights):
    """Runs ``facemotion animate`` with the tiny generator."""

    def run(*words, stdin: bytes | None = None):
        options = ("--frames", "3") if "--seconds" not in words and "--frames" not in words else ()
        line = ["animate", *map(str, words), *options, "--weights", str(tiny_weights)]
        return CliRunner().invoke(app, line, input=stdin)

    return run


def failed(result, code: int) -> tuple[str, str]:
    """The two lines that an error is: what happened, what to do."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    happened, to_do = result.stderr.strip().splitlines()[-2:]
    assert happened.startswith("Error: ")
    assert "Traceback" not in result.stderr
    return happened, to_do


def test_one_photo_and_one_word(animate, photo):
    result = animate(photo, "--expr", "smile")
    assert result.exit_code == 0, result.output
    clip = open_clip(photo.with_name("photo-smile.mp4"))
    assert len(clip.frames) == 3
    assert clip.fps == 25
    assert "AI-generated" in clip.text
    assert "smile" in clip.text
    assert "photo-smile.mp4" in result.stdout
    assert "3 frames" in result.stdout


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--expr", "happy"), "photo-smile.mp4"),
        (("--expr", "smile:0.7+surprise:0.3"), "photo-smile0.7+surprise0.3.mp4"),
        (("--expr", "smile,neutral,surprise"), "photo-smile-neutral-surprise.mp4"),
        (("--format", "gif"), "photo-smile.gif"),
        (("--format", "frames"), "photo-smile"),
    ],
)
def test_names_without_out(animate, photo, words, name):
    assert animate(photo, *words).exit_code == 0
    assert photo.with_name(name).exists()


@pytest.mark.parametrize("place", ["new folder/clip.webm", "clip", "é 深/い.gif"])
def test_out_is_a_file_or_a_folder_of_frames(animate, photo, tmp_path, place):
    assert animate(photo, "--out", tmp_path / place).exit_code == 0
    assert len(open_clip(tmp_path / place).frames) == 3


def test_out_may_be_a_folder_to_put_the_clip_into(animate, photo, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").touch()
    assert animate(photo, "--out", tmp_path / "kept").exit_code == 0
    assert animate(photo, "--out", f"{tmp_path}/new/").exit_code == 0
    assert animate(photo, "--out", tmp_path / "gifs", "--format", "gif").exit_code == 0
    for name in ("kept/photo-smile.mp4", "new/photo-smile.mp4", "gifs/photo-smile.gif"):
        assert (tmp_path / name).is_file()


def test_standard_input(animate, photo, tmp_path):
    result = animate("-", "--out", tmp_path / "clip.mp4", stdin=photo.read_bytes())
    assert result.exit_code == 0, result.output
    assert len(open_clip(tmp_path / "clip.mp4").frames) == 3


def test_timing(animate, photo, tmp_path):
    words = ("--seconds", "0.4", "--fps", "30", "--shape", "loop", "--curve", "ease", "--intensity", "1.2")
    assert animate(photo, *words, "--out", tmp_path / "clip.gif").exit_code == 0
    clip = open_clip(tmp_path / "clip.gif")
    assert len(clip.frames) == 12
    assert clip.repeats == 0


def test_json_is_for_programs(animate, photo):
    result = animate(photo, "--json", "--crop", "--size", "64", "--sheet")
    found = json.loads(result.stdout)
    assert found["frames"] == 3
    assert max(found["size_px"]) == 64
    assert Path(found["out"]).is_file()
    assert Path(found["sheet"]).is_file()
    assert len(found["faces"]) == 1
    assert len(found["box"]) == 4


def test_quiet_says_nothing(animate, photo):
    result = animate(photo, "--quiet")
    assert result.exit_code == 0
    assert result.output == ""


def test_no_metadata(animate, photo):
    assert animate(photo, "--no-metadata").exit_code == 0
    assert "facemotion" not in open_clip(photo.with_name("photo-smile.mp4")).text


def test_existing_clips_are_kept_unless_overwriting_was_asked_for(animate, photo):
    target = photo.with_name("photo-smile.mp4")
    target.write_bytes(b"precious")
    happened, to_do = failed(animate(photo), 2)
    assert "exists" in happened
    assert "--overwrite" in to_do
    assert target.read_bytes() == b"precious"
    assert animate(photo, "--overwrite").exit_code == 0
    assert len(open_clip(target).frames) == 3


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (("missing.jpg",), 2, "No such file: missing.jpg", "Check"),
        (("PHOTO", "--expr", "smlie"), 2, "Unknown expression or unit 'smlie'", "smile"),
        (("PHOTO", "--expr", "smile:9"), 2, "weight of smile is 9", "1.5"),
        (("PHOTO", "--out", "clip.avi"), 2, ".avi", ".mp4"),
        (("PHOTO", "--out", "clip.mp4", "--format", "gif"), 2, "does not fit", "Leave one"),
        (("PHOTO", "--format", "avi"), 2, "'avi' is no format", "mp4"),
        (("PHOTO", "--frames", "0"), 2, "0 frames", "at least one"),
        (("PHOTO", "--frames", "2", "--seconds", "2"), 2, "Both frames and seconds", "once"),
        (("PHOTO", "--intensity", "2"), 2, "An intensity of 2 is out of range", "1.5"),
        (("PHOTO", "--curve", "wobbly"), 2, "'wobbly' is no curve", "linear, ease, snap"),
        (("PHOTO", "--shape", "zigzag"), 2, "'zigzag' is no shape", "onset, pulse, loop"),
        (("PHOTO", "--face", "prettiest"), 2, "chooses no face", "largest"),
        (("PHOTO", "--size", "3"), 2, "3 px", "16"),
        (("PHOTO", "--device", "toaster"), 2, "'toaster' is no device", "auto, cpu"),
        (("PHOTO", "--precision", "fp8"), 2, "'fp8' is no precision", "fp32"),
        (("PHOTO", "--frames", "many"), 2, "--frames", "facemotion animate --help"),
        (("PHOTO", "--frame", "3"), 2, "No such option: --frame", "facemotion animate --help"),
        (("PHOTO", "PHOTO", "--out", "clip.mp4"), 2, "is one file", "folder"),
        (("PHOTO", "--out", "-"), 2, "standard output", "--out"),
        (("PHOTO", "-"), 2, "Standard input is one photo", "alone"),
        (("--crop",), 2, "Missing argument", "facemotion animate --help"),
    ],
)
def test_errors_are_one_line_and_what_to_do(animate, photo, words, code, message, hint):
    happened, to_do = failed(animate(*(photo if word == "PHOTO" else word for word in words)), code)
    assert message in happened
    assert hint in to_do
    assert [path.name for path in photo.parent.iterdir()] == [photo.name]


def test_the_photo_itself_is_never_replaced(animate, photo):
    before = photo.read_bytes()
    assert "the photo itself" in failed(animate(photo, "--out", photo, "--overwrite"), 2)[0]
    assert photo.read_bytes() == before


def test_photos_that_are_none(animate, photo, known_faces, tmp_path):
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:300])
    assert "truncated or damaged" in failed(animate(tmp_path / "cut.png"), 1)[0]
    (tmp_path / "text").write_text("no image at all")
    assert "is not an image" in failed(animate(tmp_path / "text"), 1)[0]
    known_faces.clear()
    assert "No face found" in failed(animate(photo), 1)[0]


def test_missing_weights(photo, tmp_path):
    line = ["animate", str(photo), "--weights", str(tmp_path / "missing.safetensors")]
    happened, to_do = failed(CliRunner().invoke(app, line), 1)
    assert "missing.safetensors" in happened
    assert "--weights" in to_do


def test_verbose_shows_the_traceback(animate):
    result = animate("missing.jpg", "--verbose")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "Error: No such file" in result.stderr


def test_faults_of_our_own_are_reported_without_a_traceback(animate, photo, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("facemotion.api.read_photo", broken)
    happened, to_do = failed(animate(photo), 1)
    assert "ZeroDivisionError: a bug" in happened
    assert "--verbose" in to_do


def test_ctrl_c(animate, photo, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("facemotion.compositing.face_in_photo.FaceInPhoto.frame", interrupted)
    happened, _ = failed(animate(photo), 130)
    assert "Interrupted" in happened
    assert [path.name for path in photo.parent.iterdir()] == [photo.name]


def test_names_with_brackets_are_no_markup(animate, photo):
    renamed = photo.rename(photo.with_name("me [bold]you[red] 😀.png"))
    result = animate(renamed, "--expr", "smile")
    assert result.exit_code == 0, result.output
    assert "me [bold]you[red] 😀-smile.mp4" in result.stdout


def test_photos_of_every_mode(animate, photo, tmp_path):
    for name, mode in (("grey.png", "L"), ("cmyk.jpg", "CMYK"), ("few.gif", "P"), ("cut.webp", "RGBA")):
        Image.open(photo).convert(mode).save(tmp_path / name)
        result = animate(tmp_path / name, "--out", tmp_path / f"{name}.mp4")
        assert result.exit_code == 0, result.output
        assert open_clip(tmp_path / f"{name}.mp4").frames[0].shape[:2] == PHOTO_SIZE_PX[::-1]


def test_a_photo_through_a_link(animate, photo, tmp_path):
    (tmp_path / "link").symlink_to(photo)
    assert animate(tmp_path / "link").exit_code == 0
    assert (tmp_path / "link-smile.mp4").is_file()


def test_standard_input_that_is_empty(animate):
    happened, _ = failed(animate("-", "--out", "clip.mp4", stdin=io.BytesIO().getvalue()), 1)
    assert "standard input is empty" in happened


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not know")
@pytest.mark.parametrize("out", [None, "take:1.mp4", "take:1.webm", "take:1.gif", "x:y:z.webp", "a:b.png", "folder:1"])
def test_a_colon_in_a_relative_name(animate, photo, monkeypatch, out):
    monkeypatch.chdir(photo.parent)
    photo.rename("2024-05-01T12:30:45.png")
    result = animate("2024-05-01T12:30:45.png", *(["--out", out] if out else []))
    assert result.exit_code == 0, result.output
    written = Path(out or "2024-05-01T12:30:45-smile.mp4")
    assert len(open_clip(written.absolute()).frames) == 3
    assert {path.name for path in Path().iterdir()} == {"2024-05-01T12:30:45.png", written.name}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--fps", "0.0004"), "frames per second"),
        (("--fps", "inf"), "frames per second"),
        (("--seconds", "inf"), "too long"),
        (("--seconds", "1e12"), "too long"),
        (("--frames", "1000000000000"), "too many"),
    ],
)
def test_timing_without_sense_is_wrong_usage(animate, photo, words, says):
    happened, _ = failed(animate(photo, *words), 2)
    assert says in happened


def test_a_photo_with_broken_exif_is_animated(animate, photo):
    Image.open(photo).save(photo.with_name("broken.webp"), lossless=True, exif=b"b'Exif\\x00\\x00MM\\x00*'")
    assert animate(photo.with_name("broken.webp")).exit_code == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_a_fifo_does_not_block(animate, tmp_path):
    os.mkfifo(tmp_path / "photo.jpg")
    for photo in (tmp_path / "photo.jpg", Path("/dev/zero")):
        happened, to_do = failed(animate(photo), 1)
        assert "not a regular file" in happened and "standard input" in to_do


@pytest.mark.parametrize(
    ("out", "made", "words"),
    [
        ("empty", "empty/photo-smile.mp4", ()),
        ("empty", "empty/frame-0000.png", ("--format", "frames")),
        ("empty.v2", "empty.v2/photo-smile.mp4", ()),
        ("clips.mp4", "clips.mp4/photo-smile.mp4", ()),
        ("new.v2/", "new.v2/photo-smile.gif", ("--format", "gif")),
        ("new.mp4/", "new.mp4/photo-smile.mp4", ()),
        ("take.1", "take.1/frame-0000.png", ("--format", "frames")),
        (".hidden", ".hidden/frame-0000.png", ()),
        ("n" * 235 + ".mp4", "n" * 235 + ".mp4", ()),
        ("n" * 251 + ".gif", "n" * 251 + ".gif", ("--sheet",)),
        ("n" * 255, "n" * 255 + "/frame-0000.png", ("--sheet",)),
        ("-dash.gif", "-dash.gif", ()),
        (" ", " /frame-0000.png", ()),
    ],
)
def test_out_of_any_name(animate, photo, tmp_path, monkeypatch, out, made, words):
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "empty.v2", "clips.mp4"):
        (tmp_path / folder).mkdir()
    result = animate(photo, f"--out={out}", *words)
    assert result.exit_code == 0, result.output
    assert (tmp_path / made).is_file()
    assert len(list(tmp_path.rglob("*-sheet.png"))) == ("--sheet" in words)


@pytest.mark.parametrize("stem", ["n" * 251, "é" * 125, "深" * 83, "2024.05.01"])
def test_photos_of_any_name_get_a_clip(animate, photo, stem):
    renamed = photo.rename(photo.with_name(stem + ".png"))
    result = animate(renamed, "--sheet", "--format", "gif")
    assert result.exit_code == 0, result.output
    names = [path.name for path in renamed.parent.iterdir()]
    assert len(names) == 3
    assert len([name for name in names if name.endswith("-smile.gif")]) == 1
    assert max(len(name.encode()) for name in names) <= 255


@pytest.mark.parametrize(
    "words", [("x" * 300 + ".jpg",), ("PHOTO", "--out", "x" * 300 + ".mp4"), ("a/" * 3000 + "b.jpg",)]
)
def test_names_that_no_file_may_have_are_wrong_usage(animate, photo, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    failed(animate(*(photo if word == "PHOTO" else word for word in words)), 2)
    assert [path.name for path in tmp_path.iterdir()] == [photo.name]


def test_a_sheet_that_could_not_be_written_is_made_by_the_next_run(animate, photo, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("facemotion.api._write_sheet", full)
        assert "No space left" in failed(animate(photo, "--sheet"), 1)[0]
    assert [path.name for path in photo.parent.iterdir()] == [photo.name]
    assert animate(photo, "--sheet").exit_code == 0
    assert photo.with_name("photo-smile-sheet.png").is_file()


def test_a_photo_with_control_characters_in_its_name(animate, photo):
    renamed = photo.rename(photo.with_name("a\x1b[31mred\x07\n\x9b.png"))
    for result in (animate(renamed), animate(renamed), animate(renamed.parent, "--overwrite"), animate(renamed, "-v")):
        assert "\\x1b[31mred\\x07" in result.output
        assert not set("\x1b\x07\x9b") & set(result.output)
