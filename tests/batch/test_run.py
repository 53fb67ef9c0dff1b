"""Batches of real files with a stand-in for the network: what is done, skipped, failed, remembered, interrupted."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from facemotion.batch.journal import NAME as JOURNAL_NAME
from facemotion.batch.plan import Shard, Task, plan_tasks
from facemotion.batch.run import BatchReport, run_batch
from facemotion.errors import ImageError, OutputError
from facemotion.media.photos import read_photo

SETTINGS = {"expression": "smile", "weights": "abc"}


def copy_reduced(photo: Path, out: Path, go_on) -> dict:
    """Stands for the animation: reads the photo for real, writes one pixel under a temporary name, then renames."""
    pixels = read_photo(photo).pixels
    go_on()
    part = out.with_name(out.name + ".part")
    Image.fromarray(pixels[:1, :1]).save(part, "PNG")
    os.replace(part, out)
    return {"frames": 1}


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(folder / f"{index}.png")
    return folder


def run(photos: Path, out: Path, animate=copy_reduced, **options) -> BatchReport:
    options.setdefault("settings", SETTINGS)
    tasks = plan_tasks([photos], out, ending="-smile.png")
    return run_batch(tasks, animate, folder=out, **options)


def counts(report: BatchReport) -> tuple[int, int, int]:
    return report.count("done"), report.count("skipped"), report.count("failed")


def test_done_then_skipped(photos, tmp_path):
    assert counts(run(photos, tmp_path / "out")) == (4, 0, 0)
    assert counts(run(photos, tmp_path / "out")) == (0, 4, 0)


def test_a_changed_photo_is_done_again(photos, tmp_path):
    run(photos, tmp_path / "out")
    Image.new("RGB", (8, 8), "blue").save(photos / "2.png")
    assert counts(run(photos, tmp_path / "out", overwrite=True)) == (1, 3, 0)


def test_other_settings_do_all_again(photos, tmp_path):
    run(photos, tmp_path / "out")
    assert counts(run(photos, tmp_path / "out", settings={"weights": "new"}, overwrite=True)) == (4, 0, 0)


def test_nothing_is_overwritten_unasked(photos, tmp_path):
    run(photos, tmp_path / "out")
    report = run(photos, tmp_path / "out", settings={"weights": "new"})
    assert counts(report) == (0, 0, 4)
    assert "exists" in report.results[0].error
    assert "--overwrite" in report.results[0].hint


def test_a_removed_or_cut_clip_is_done_again(photos, tmp_path):
    run(photos, tmp_path / "out")
    (tmp_path / "out" / "0-smile.png").unlink()
    (tmp_path / "out" / "1-smile.png").write_bytes(b"cut")
    assert counts(run(photos, tmp_path / "out", overwrite=True)) == (2, 2, 0)


def test_a_clip_whose_process_died_before_saying_so_is_kept(photos, tmp_path):
    run(photos, tmp_path / "out")
    journal = tmp_path / "out" / JOURNAL_NAME.format(shard="")
    begun = [line for line in journal.read_text().splitlines() if '"size_bytes": null' in line]
    journal.write_text("\n".join(begun) + '\n{"out": "3-smi')
    assert counts(run(photos, tmp_path / "out")) == (0, 4, 0)
    (photos / "4.png").write_bytes((photos / "3.png").read_bytes())
    run(photos, tmp_path / "out")
    assert counts(run(photos, tmp_path / "out")) == (0, 5, 0)


def test_frames_in_a_folder(photos, tmp_path):
    def frames(photo, out, go_on):
        out.mkdir()
        (out / "0.png").write_bytes(b"frame")
        return {}

    assert counts(run(photos, tmp_path / "out", frames)) == (4, 0, 0)
    assert counts(run(photos, tmp_path / "out", frames)) == (0, 4, 0)


def test_one_bad_photo_does_not_stop_the_rest(photos, tmp_path):
    (photos / "1.png").write_bytes(b"broken")
    seen = []
    report = run(photos, tmp_path / "out", on_result=seen.append)
    assert counts(report) == (3, 0, 1)
    assert report.exit_code == 3
    assert sorted(result.status for result in seen) == ["done", "done", "done", "failed"]
    (failed,) = [result for result in report.results if result.status == "failed"]
    assert failed.error
    assert failed.hint


def test_an_unforeseen_error_is_a_row_too(photos, tmp_path):
    def fails(photo, out, go_on):
        raise RuntimeError("strange")

    report = run(photos, tmp_path / "out", fails)
    assert {result.error for result in report.results} == {"RuntimeError: strange"}


def test_a_full_disk_is_a_row_with_a_way_forward(photos, tmp_path):
    def full(photo, out, go_on):
        raise OSError(errno.ENOSPC, "No space left on device", str(out))

    report = run(photos, tmp_path / "out", full)
    assert counts(report) == (0, 0, 4)
    assert "No space left" in report.results[0].error
    assert "space left" in report.results[0].hint


def test_a_folder_that_cannot_be_made(photos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        run(photos, tmp_path / "file" / "out")


def test_report_says_how_it_ended(photos, tmp_path):
    (photos / "é ü.jpg").write_bytes(b"broken")
    run(photos, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert (report["done"], report["skipped"], report["failed"]) == (4, 0, 1)
    assert report["settings"] == SETTINGS
    assert not report["interrupted"]
    assert report["results"][-1]["photo"].endswith("é ü.jpg")
    assert report["results"][0]["details"] == {"frames": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no valid text exist on Linux only")
def test_a_name_that_is_no_valid_text(photos, tmp_path):
    os.rename(photos / "0.png", os.fsencode(photos) + b"/\xff.png")
    assert counts(run(photos, tmp_path / "out")) == (4, 0, 0)
    assert counts(run(photos, tmp_path / "out")) == (0, 4, 0)
    json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))


def test_shards_share_the_work_and_what_is_remembered(photos, tmp_path):
    out = tmp_path / "out"
    assert counts(run(photos, out, shard=Shard(1, 3))) == (2, 0, 0)
    assert counts(run(photos, out, shard=Shard(2, 3))) == (1, 0, 0)
    assert counts(run(photos, out, shard=Shard(3, 3))) == (1, 0, 0)
    assert sorted(path.name for path in out.glob("report*.json")) == [f"report-{i}-of-3.json" for i in (1, 2, 3)]
    assert counts(run(photos, out)) == (0, 4, 0)


def test_works_on_several_at_once(photos, tmp_path):
    meeting = threading.Barrier(2, timeout=20)

    def meets(photo, out, go_on):
        meeting.wait()
        return copy_reduced(photo, out, go_on)

    assert counts(run(photos, tmp_path / "out", meets, workers=2)) == (4, 0, 0)


def test_few_are_in_flight(tmp_path):
    started = []

    def slow(photo, out, go_on):
        started.append(photo)
        time.sleep(0.01)
        raise ImageError("no photo")

    tasks = [Task(tmp_path / str(index), tmp_path / f"{index}.mp4") for index in range(20)]
    ahead = []
    finished = []

    def on_result(result):
        finished.append(result)
        ahead.append(len(started) - len(finished))

    run_batch(tasks, slow, folder=tmp_path, settings={}, workers=2, on_result=on_result)
    assert max(ahead) <= 4


SLOW_BATCH = """
import sys, time
from pathlib import Path
from facemotion.batch.run import run_batch
from facemotion.batch.plan import plan_tasks
from tests.batch.test_run import SETTINGS, copy_reduced

def slow(photo, out, go_on):
    part = out.with_name(out.name + ".part")
    try:
        part.write_text("half")
        for _ in range(10):
            time.sleep(0.03)
            go_on()
    finally:
        part.unlink()
    return copy_reduced(photo, out, go_on)

out = Path(sys.argv[2])
run_batch(
    plan_tasks([Path(sys.argv[1])], out, ending="-smile.png"), slow, folder=out, settings=SETTINGS, workers=2,
    on_result=lambda result: print(result.status, flush=True),
)
"""


def test_interrupted_and_run_again(photos, tmp_path):
    for index in range(4, 12):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(photos / f"{index}.png")
    command = [sys.executable, "-c", SLOW_BATCH, str(photos), str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "done\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not list((tmp_path / "out").glob("*.part"))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["interrupted"]
    assert 1 <= report["done"] < 12
    clips = len(list((tmp_path / "out").glob("*-smile.png")))
    assert counts(run(photos, tmp_path / "out")) == (12 - clips, clips, 0)
