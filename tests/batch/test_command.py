"""``facemotion animate`` on folders: 200 mixed files, the report, running again, Ctrl-C, shards."""

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
GOOD, CUT, EMPTY, TEXT, OTHER = 160, 10, 5, 10, 15


@pytest.fixture
def folder(tmp_path, known_faces) -> Path:
    """200 files in a tree: photos of six formats, some without suffix; broken ones; others; links in a loop."""
    top = tmp_path / "my photos"
    pixels = draw_photo(known_faces)
    for name in FOLDERS:
        (top / name).mkdir(parents=True, exist_ok=True)
    places = [top / FOLDERS[index % len(FOLDERS)] for index in range(200)]
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


def test_200_mixed_files(folder, tiny_weights):
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
