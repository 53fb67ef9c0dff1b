"""``facemotion prepare`` through the command line: reports, exit codes, resuming, workers."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.datasets.clip_writer import Source
from facemotion.datasets.clips import ClipSet
from facemotion.datasets.importer import base_ids, item_seed
from facemotion.datasets.layouts import PhotoItem
from facemotion.datasets.prepare import Preparation
from facemotion.datasets.sequence_clips import SequenceImporter
from facemotion.datasets.sequences import find_sequences
from facemotion.errors import OutputError, UsageError
from tests.datasets import made_up
from tests.datasets.test_ckplus import add_sequence
from tests.datasets.test_clips import tree

SMALL = ("--crop-px", "64", "--workers", "1")
OWN = Source("own", "CC0-1.0")


@pytest.fixture
def finder(monkeypatch):
    """The stand-in for the face finder, behind the project's own entrance to it."""
    import facemotion.faces.find

    monkeypatch.setattr(facemotion.faces.find, "find_faces", made_up.find_faces)


@pytest.fixture
def recordings(tmp_path) -> Path:
    """Three people smiling, and one of everything that cannot be used."""
    root = tmp_path / "recordings"
    ramp = [made_up.frame(opening) for opening in (0, 0.5, 1)]
    for person in ("anna", "ben", "clara"):
        made_up.write_video(root / person / "smile.mp4", ramp)
    made_up.write_video(root / "dora" / "one.mp4", ramp)
    made_up.write_video(root / "emil" / "fear.mp4", [made_up.frame(faces=0)] * 3)
    made_up.write_video(root / "fay" / "fear.mp4", [made_up.frame(faces=2)] * 3)
    (root / "gus").mkdir()
    (root / "gus" / "anger.mp4").write_bytes(b"no video at all")
    return root


def prepare(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    result = CliRunner().invoke(app, ["prepare", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_what_fits_is_used_and_the_rest_reported(finder, recordings, tmp_path):
    code, out, err = prepare("clips", recordings, "--out", tmp_path / "set", "--licence", "CC0-1.0", *SMALL)
    assert code == 3
    assert "recordings/dora/one.mp4: no expression in its path" in err
    assert "recordings/emil/fear.mp4: no face found in the first frame" in err
    assert "recordings/fay/fear.mp4: 2 faces found" in err
    assert "recordings/gus/anger.mp4: unreadable video" in err
    assert "3 of 7 items used, 4 not" in out and "3 clips" in out
    clip_set = ClipSet.open(tmp_path / "set")
    clip_set.verify()
    assert [clip.person for clip in clip_set] == ["recordings-anna", "recordings-ben", "recordings-clara"]
    assert {clip.licence for clip in clip_set} == {"CC0-1.0"}
    assert len(clip_set.manifests[0].problems) == 4
    assert str(tmp_path) not in (tmp_path / "set" / "manifest.json").read_text(), "bytes must not depend on the place"


def test_json_for_programs(finder, recordings, tmp_path):
    code, out, _ = prepare("clips", recordings, "--out", tmp_path / "set", "--json", "--quiet", *SMALL)
    report = json.loads(out)
    assert code == 3 and (report["items"], report["used"], report["failed"], report["clips"]) == (7, 3, 4, 3)
    assert report["expressions"] == {"smile": 3} and report["frames"] == 9
    assert {"item": "recordings/fay/fear.mp4", "reason": "2 faces found, one expected"} in report["problems"]


def test_all_good_is_exit_code_0_and_a_second_run_does_nothing(finder, recordings, tmp_path):
    words = ("clips", recordings / "anna", recordings / "ben", "--out", tmp_path / "set", *SMALL)
    assert prepare(*words)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()}
    code, out, _ = prepare(*words)
    assert code == 0 and "All items used" in out
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()}


def test_nothing_usable_is_a_failure_that_leaves_nothing(finder, recordings, tmp_path):
    code, _, err = prepare("clips", recordings / "fay", recordings / "gus", "--out", tmp_path / "set", *SMALL)
    assert code == 1 and "None of the 2 items gave a clip" in err
    assert not (tmp_path / "set").exists()


def test_an_interrupted_run_goes_on_to_the_same_bytes(finder, recordings, tmp_path, monkeypatch):
    import facemotion.faces.find

    words = ("clips", recordings, *SMALL, "--out")
    prepare(*words, tmp_path / "once")
    calls = iter(range(100))

    def interrupted(image):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return made_up.find_faces(image)

    with monkeypatch.context() as patch:
        patch.setattr(facemotion.faces.find, "find_faces", interrupted)
        code, _, err = prepare(*words, tmp_path / "twice")
    assert code == 130 and "run the same command again" in err
    assert not (tmp_path / "twice" / "manifest.json").exists()
    code, _, err = prepare(*words, tmp_path / "twice")
    assert code == 3 and "anna" not in err
    assert tree(tmp_path / "once") == tree(tmp_path / "twice")


def test_other_settings_need_overwrite(finder, recordings, tmp_path):
    words = ("clips", recordings / "anna", "--out", tmp_path / "set", *SMALL)
    prepare(*words)
    code, _, err = prepare(*words, "--seed", "1")
    assert code == 1 and "--overwrite" in err
    assert prepare(*words, "--seed", "1", "--overwrite")[0] == 0


def test_another_list_of_people_or_another_label_is_noticed_when_a_run_goes_on(finder, recordings, tmp_path):
    """Else people could be trained on that the second list keeps for validation."""
    people = tmp_path / "people.txt"
    people.write_text("recordings-anna\n")
    words = ("clips", recordings / "anna", "--out", tmp_path / "set", *SMALL)
    assert prepare(*words, "--validation", people)[0] == 0
    assert prepare(*words, "--validation", people)[0] == 0
    people.write_text("# nobody\n")
    for other in (("--validation", people), (), ("--licence", "MIT", "--validation", people)):
        code, _, err = prepare(*words, *other)
        assert code == 1 and "other settings" in err
    people.write_text("# the same person\nrecordings-anna\n")
    assert prepare(*words, "--validation", people)[0] == 0


def test_splits_and_limits(finder, recordings, tmp_path):
    people = tmp_path / "people.txt"
    people.write_text("recordings-ben\n")
    words = ("clips", recordings, "--validation", people, "--validation-share", "0", *SMALL)
    prepare(*words, "--out", tmp_path / "all")
    splits = {entry.person: entry.split for entry in ClipSet.open(tmp_path / "all").entries}
    assert splits == {"recordings-anna": "train", "recordings-ben": "validation", "recordings-clara": "train"}
    assert prepare(*words, "--out", tmp_path / "validation", "--split", "validation")[0] == 0
    assert [entry.person for entry in ClipSet.open(tmp_path / "validation").entries] == ["recordings-ben"]
    assert prepare(*words, "--out", tmp_path / "first", "--limit", "1")[0] == 0
    assert len(ClipSet.open(tmp_path / "first")) == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("clips", "nowhere"), 2, "no such folder"),
        (("ckplus", "."), 1, "no folder cohn-kanade-images"),
        (("clips", ".", "--control", "magic"), 2, "magic"),
        (("pairs", "."), 2, "--head"),
        (("teacher", ".", "--head", "ICT", "--expr", "smlie"), 2, "Did you mean smile"),
        (("teacher", ".", "--head", "ICT", "--expr", "neutral"), 2, "cannot be rendered"),
    ],
)
def test_wrong_words(tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    found, _, err = prepare(*words, "--out", tmp_path / "set")
    assert found == code and message in err


def test_ckplus(tmp_path):
    for subject, label in (("S005", 3), ("S010", 7), ("S011", None)):
        add_sequence(tmp_path / "CK", subject, "001", label=label, landmarks=True)
    code, out, err = prepare("ckplus", tmp_path / "CK", "--out", tmp_path / "set", "--frames", "4", *SMALL)
    assert code == 3 and "2 of 3 items used" in out and "S011/001: no emotion label" in err
    assert [entry.expression for entry in ClipSet.open(tmp_path / "set").entries] == [
        {"disgust": 1.0},
        {"surprise": 1.0},
    ]


DOCUMENT = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_commands_of_the_documentation_are_understood(monkeypatch):
    monkeypatch.setenv("FACEMOTION_HEAD", "ICT-FaceKit")
    text = DOCUMENT.read_text("utf-8").replace("\\\n", " ")
    lines = [line for block in text.split("```")[1::2] for line in block.splitlines() if line.startswith("facemotion ")]
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line)[1:]
        command, context = get_command(app), None
        while hasattr(command, "commands"):
            context = command.context_class(command, parent=context, info_name=words[0])
            command = command.commands[words.pop(0)]
        command.make_context("facemotion", words)


def _preparation(root: Path, out: Path, **options) -> Preparation:
    importer = SequenceImporter(find_faces=options.pop("find_faces", made_up.find_faces), crop_px=64)
    return Preparation(importer, find_sequences([root], own_source=OWN), out, **options)


def test_workers_make_the_same_bytes(recordings, tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        outcomes = list(_preparation(recordings, tmp_path / name, workers=workers).run())
        assert sorted(outcome.clips for outcome in outcomes) == [0, 0, 0, 0, 1, 1, 1]
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert "OMP_NUM_THREADS" not in os.environ or os.environ["OMP_NUM_THREADS"]


def _dying(image):
    os._exit(1)


def test_a_worker_that_dies_ends_the_run_with_an_error(recordings, tmp_path):
    with pytest.raises(OutputError, match="ended unexpectedly"):
        list(_preparation(recordings, tmp_path / "set", workers=2, find_faces=_dying).run())


def _breaking_on_two(image):
    faces = made_up.find_faces(image)
    if len(faces) == 2:
        raise ZeroDivisionError("of no importance")
    return faces


def test_a_fault_in_one_item_does_not_end_the_run(recordings, tmp_path):
    outcomes = list(_preparation(recordings, tmp_path / "set", find_faces=_breaking_on_two).run())
    reasons = {outcome.key: outcome.reason for outcome in outcomes}
    assert reasons["recordings/fay/fear.mp4"] == "ZeroDivisionError: of no importance"
    assert len(ClipSet.open(tmp_path / "set")) == 3


def test_ids_tell_the_items_of_one_person_apart():
    item = PhotoItem("a/1.jpg", "anna", Path("1.jpg"), OWN)
    odd = replace(item, key="a/3.jpg", person="anna maria")
    ids = base_ids([item, replace(item, key="a/2.jpg"), odd, replace(item, key="a/4.jpg", person="x" * 90)])
    assert ids[:2] == ["anna", "anna_2"] and ids[2].startswith("anna_maria-") and len(ids[3]) <= 56
    with pytest.raises(UsageError, match="there twice"):
        base_ids([item, item])


def test_the_seed_of_an_item_depends_on_nothing_else():
    assert item_seed(0, "a") == item_seed(0, "a") != item_seed(1, "a") != item_seed(0, "b")


@pytest.mark.slow
def test_ctrl_c_with_workers(tmp_path):
    for number in range(24):
        add_sequence(tmp_path / "CK", f"S{number:03d}", "001", frames=8, label=5, landmarks=True)
    words = [sys.executable, "-m", "facemotion", "prepare", "ckplus", str(tmp_path / "CK")]
    words += ["--workers", "2", "--crop-px", "128"]
    running = subprocess.Popen([*words, "--out", str(tmp_path / "set")], stderr=subprocess.PIPE, start_new_session=True)
    while not len(list((tmp_path / "set" / ".work").glob("*.json"))) > 2:
        assert running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130 and b"run the same command again" in err and b"Traceback" not in err
    subprocess.run([*words, "--out", str(tmp_path / "set")], check=True)
    subprocess.run([*words, "--out", str(tmp_path / "once")], check=True)
    assert tree(tmp_path / "set") == tree(tmp_path / "once")
    np.testing.assert_array_equal(ClipSet.open(tmp_path / "set")[0].control[[0, -1]], [0, 1])
