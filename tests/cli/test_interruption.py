"""A command that is stopped, killed or out of disk space, as a process of its own: no half file under a final name."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facemotion.media.atomic import staged

COMMAND = """
import facemotion.faces.find
import facemotion.faces.mesh
from tests.conftest import face_at, measured_as
facemotion.faces.find.find_faces = lambda image, **_: [face_at((100.0, 110.0))]
facemotion.faces.mesh.measure_face = lambda image, face: measured_as(face)
from facemotion.cli.app import main
main()
"""
ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")


def start(photo: Path, weights: Path, *words: str, **settings) -> subprocess.Popen:
    line = [sys.executable, "-c", COMMAND, "animate", str(photo), "--weights", str(weights), *words]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def wait_for_part(folder: Path, process: subprocess.Popen) -> None:
    """Until the clip is being written."""
    for _ in range(2000):
        if any(".part" in path.name for path in folder.iterdir()):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing was begun")


@POSIX
@pytest.mark.parametrize("name", ["clip.mp4", "clip"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_leaves_nothing(photo, tiny_weights, name, number):
    folder = photo.parent
    process = start(photo, tiny_weights, "--frames", "100000", "--out", str(folder / name))
    wait_for_part(folder, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Error: Interrupted." in errors
    assert "Traceback" not in errors
    assert [path.name for path in folder.iterdir()] == [photo.name]


@POSIX
def test_a_killed_command_leaves_nothing_that_looks_whole_and_the_next_tidies_up(photo, tiny_weights):
    folder, target = photo.parent, photo.with_name("clip.mp4")
    process = start(photo, tiny_weights, "--frames", "100000", "--out", str(target))
    wait_for_part(folder, process)
    process.kill()
    process.communicate(timeout=60)
    assert not target.exists()
    assert all(path.name.startswith(".") for path in folder.iterdir() if path != photo)
    with staged(target) as part:
        part.touch()
    assert {path.name for path in folder.iterdir()} == {photo.name, target.name}


@POSIX
@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif"])
def test_a_full_disk_is_said_so_and_leaves_nothing(photo, tiny_weights, name):
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    process = start(photo, tiny_weights, "--frames", "12", "--out", str(photo.with_name(name)), preexec_fn=limit)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "No space left" in errors
    assert "Traceback" not in errors
    assert [path.name for path in photo.parent.iterdir()] == [photo.name]
