"""``facemotion animate`` on folders: mixed files, the report, running again, Ctrl-C, shards."""

import _thread
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.faces import find
from tests.conftest import draw_photo

FORMATS = {".jpg": "JPEG", ".PNG": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".tiff": "TIFF", "": "JPEG"}
FOLDERS = ("", "two words", "Fotos/naïve é", "深/い")
OTHERS = ("notes {}.txt", "notes {}", ".hidden {}.jpg")
GOOD, CUT, EMPTY, TEXT, OTHER = 48, 10, 5, 10, 15  # files of each kind
ALL = GOOD + CUT + EMPTY + TEXT + OTHER


@pytest.fixture
def folder(tmp_path, known_faces) -> Path:
    """Files in a tree: photos of six formats, some without suffix; broken ones; others; links in a loop."""
    top = tmp_path / "my photos"
    pixels = draw_photo(known_faces)
    for name in FOLDERS:
        (top / name).mkdir(parents=True, exist_ok=True)
    places = [top / FOLDERS[index % len(FOLDERS)] for index in range(ALL)]
    suffixes = list(FORMATS)
    for index in range(GOOD):
        suffix = suffixes[index % len(suffixes)]
        image = Image.fromarray(np.roll(pixels, index, axis=2) if index % 3 else pixels + np.uint8(index % 50))
        image.save(places[index] / f"photo {index}{suffix}", FORMATS[suffix])
    whole = (top / "photo 0.jpg").read_bytes()
    for index in range(CUT):
        (places[index] / f"cut {index}.jpg").write_bytes(whole[: len(whole) // 2])
    for index in range(EMPTY):
        (places[index] / f"empty {index}.png").touch()
    for index in range(TEXT):
        (places[index] / f"text {index}.webp").write_text("not an image")
    for index in range(OTHER):
        (places[index] / OTHERS[index % 3].format(index)).write_text("notes")
    (top / "two words" / "loop").symlink_to(top, target_is_directory=True)
    (top / "dangling.jpg").symlink_to(top / "nowhere.jpg")
    return top


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def animate(folder: Path, weights: Path, *options):
    words = ("--expr", "smile", "--frames", 2, "--size", 64, "--weights", weights, "--json", *options)
    return run("animate", folder, "--out", folder.parent / "clips", *words)


def test_mixed_files(folder, tiny_weights):
    done = animate(folder, tiny_weights)
    assert done.exit_code == 3
    report = json.loads(done.stdout)
    assert (report["done"], report["skipped"], report["failed"]) == (GOOD, 0, CUT + EMPTY + TEXT)
    out = folder.parent / "clips"
    assert report == json.loads((out / "report.json").read_text("utf-8"))
    for result in report["results"]:
        photo, clip = Path(result["photo"]), Path(result["out"])
        assert photo.parent.relative_to(folder) == clip.parent.relative_to(out)
        assert clip.exists() == (result["status"] == "done")
        if result["status"] == "failed":
            assert result["error"]
            assert result["hint"]
            assert not photo.name.startswith("photo")
    clips = list(out.rglob("*.mp4"))
    assert len(clips) == GOOD
    with av.open(str(clips[-1])) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 2
    left = {path.name for path in out.rglob("*") if path.is_file() and path.suffix != ".mp4"}
    assert left == {"report.json", ".facemotion-batch.jsonl"}

    (folder / "photo 0.jpg").write_bytes((folder / "photo 24.jpg").read_bytes())
    again = json.loads(animate(folder, tiny_weights, "--overwrite").stdout)
    assert (again["done"], again["skipped"], again["failed"]) == (1, GOOD - 1, CUT + EMPTY + TEXT)


def test_interrupted_in_the_middle_and_run_again(folder, tiny_weights, monkeypatch):
    faces, calls = find.find_faces, []

    def interrupting(image, **options):
        calls.append(image.shape)
        if len(calls) == 20:
            _thread.interrupt_main()
        return faces(image, **options)

    monkeypatch.setattr(find, "find_faces", interrupting)
    assert animate(folder, tiny_weights).exit_code == 130
    out = folder.parent / "clips"
    first = json.loads((out / "report.json").read_text("utf-8"))
    assert first["interrupted"]
    clips = len(list(out.rglob("*.mp4")))
    assert 1 <= clips < GOOD
    assert not [path for path in out.rglob("*") if ".part" in path.name]

    second = json.loads(animate(folder, tiny_weights).stdout)
    assert (second["done"], second["skipped"]) == (GOOD - clips, clips)


def test_table_names_what_failed(tmp_path, photo, tiny_weights):
    (tmp_path / "broken.jpg").write_text("not an image")
    done = run("animate", photo, tmp_path / "broken.jpg", "--frames", 1, "--weights", tiny_weights)
    assert done.exit_code == 3
    assert "broken.jpg" in done.stdout
    assert "1 done, 0 skipped, 1 failed" in done.stdout
    assert (tmp_path / "photo-smile.mp4").exists()


def test_shards_do_all_once(tmp_path, photo, tiny_weights):
    (tmp_path / "photos").mkdir()
    for index in range(5):
        (tmp_path / "photos" / f"{index}.png").write_bytes(photo.read_bytes())
    reports = [
        json.loads(animate(tmp_path / "photos", tiny_weights, "--shard", f"{index}/2").stdout) for index in (1, 2)
    ]
    assert [report["done"] for report in reports] == [3, 2]
    assert len(list((tmp_path / "clips").glob("*-smile.mp4"))) == 5


def test_without_photos(tmp_path, tiny_weights):
    (tmp_path / "empty").mkdir()
    done = run("animate", tmp_path / "empty", "--weights", tiny_weights)
    assert done.exit_code == 1
    assert "No photos in" in done.stderr


def frames_of(path: Path) -> int:
    with av.open(str(path)) as opened:
        return sum(1 for _ in opened.decode(video=0))


def test_photos_of_one_name_each_get_their_clip(tmp_path, photo, tiny_weights):
    """From two folders, in other letters, under other suffixes; and the same file under several spellings only once."""
    places = ["p1/front.png", "p2/front.png", "p2/FRONT.png", "p2/front.jpg", "p2/front.jpg.png"]
    for place in places:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        with Image.open(photo) as image:
            image.save(tmp_path / place)
    (tmp_path / "link.png").symlink_to(tmp_path / "p1" / "front.png")
    spellings = [tmp_path / "p1" / ".." / "p2" / "front.png", tmp_path / "link.png"]
    words = ("--out", tmp_path / "c", "--frames", 2, "--weights", tiny_weights, "--json", "--sheet")
    first = json.loads(run("animate", *(tmp_path / place for place in places), *spellings, *words).stdout)
    assert (first["done"], first["failed"]) == (5, 0)
    outs = [result["out"] for result in first["results"]]
    assert len({out.casefold() for out in outs}) == 5
    assert [frames_of(Path(out)) for out in outs] == [2] * 5

    (tmp_path / "p0").mkdir()
    (tmp_path / "p0" / "front.png").write_bytes(photo.read_bytes())
    again = json.loads(
        run("animate", tmp_path / "p0/front.png", *(tmp_path / place for place in places), *words).stdout
    )
    assert (again["done"], again["skipped"], again["failed"]) == (1, 5, 0)
    assert set(outs) < {result["out"] for result in again["results"]}


def test_folders_of_one_name_keep_apart(tmp_path, photo, tiny_weights):
    for place in ("x/photos", "y/photos"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.png").write_bytes(photo.read_bytes())
    words = ("--out", tmp_path / "c", "--frames", 2, "--weights", tiny_weights, "--json")
    one = json.loads(run("animate", tmp_path / "x/photos", *words).stdout)
    both = json.loads(run("animate", tmp_path / "x/photos", tmp_path / "y/photos", *words).stdout)
    assert one["done"] == 1
    assert (both["done"], both["skipped"], both["failed"]) == (1, 1, 0)
    assert len({result["out"] for result in both["results"]}) == 2


@pytest.mark.parametrize("options", [(), ("--no-metadata",)])
@pytest.mark.parametrize("format", ["gif", "png", "webp", "frames"])
def test_a_batch_never_animates_its_own_results(tmp_path, photo, tiny_weights, format, options):
    words = ("animate", tmp_path, "--out", tmp_path, "--frames", 2, "--weights", tiny_weights, "--json", "--sheet")
    for expression in ("smile", "anger"):
        report = json.loads(run(*words, "--format", format, *options, "--expr", expression).stdout)
        assert [result["photo"] for result in report["results"]] == [str(photo)]
        assert report["done"] == 1
    shown = run("animate", *(path for path in tmp_path.iterdir() if path.is_file()), *words[4:], "--overwrite")
    assert "passed over" in shown.stderr
    assert all(
        result["photo"] == str(photo) for result in json.loads(shown.stdout)["results"] if "json" not in result["photo"]
    )


def test_advice_is_told_as_the_clips_are_made(tmp_path, photo, known_faces, tiny_weights):
    import dataclasses

    known_faces[0] = dataclasses.replace(known_faces[0], pose=(45.0, 0.0, 0.0))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.png").write_bytes(photo.read_bytes())
    done = run("animate", tmp_path / "photos", "--frames", 2, "--weights", tiny_weights)
    lines = [line for line in done.stderr.splitlines() if "me.png: " in line]
    assert any("turned" in line for line in lines)
    assert any("small" in line for line in lines)
    assert (
        run("animate", tmp_path / "photos", "--frames", 2, "--weights", tiny_weights, "-q", "--overwrite").stderr == ""
    )


def test_a_sheet_that_is_missing_is_made_again(tmp_path, photo, tiny_weights, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    words = ("animate", tmp_path / "photos", "--frames", 2, "--weights", tiny_weights, "--json", "--sheet")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.png").write_bytes(photo.read_bytes())
    clips = tmp_path / "photos-smile"
    with monkeypatch.context() as patch:
        patch.setattr("facemotion.api._write_sheet", full)
        assert json.loads(run(*words).stdout)["failed"] == 1
    assert not list(clips.glob("me*"))
    assert json.loads(run(*words).stdout)["done"] == 1
    assert json.loads(run(*words).stdout)["skipped"] == 1
    (clips / "me-smile-sheet.png").unlink()
    assert json.loads(run(*words).stdout)["done"] == 1
    assert (clips / "me-smile-sheet.png").exists()
