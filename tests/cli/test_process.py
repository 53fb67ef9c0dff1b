"""Commands as processes of their own whose streams are closed, and that are stopped at any moment."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facemotion.cli import process
from tests.cli.test_interruption import COMMAND, ROOT, start, wait_for_part

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and streams of POSIX")


def run_in_shell(line: str, folder: Path, weights: Path) -> subprocess.CompletedProcess[str]:
    """A shell line in which ``$ANIMATE`` animates photo.png with few frames into clip.gif."""
    script = folder / "command.py"
    script.write_text(COMMAND)
    words = [sys.executable, str(script), "animate", str(folder / "photo.png"), "--weights", str(weights)]
    words += ["--frames", "2", "--out", str(folder / "clip.gif")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ANIMATE": " ".join(words), "PYTHON": sys.executable}
    return subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param("$ANIMATE >&-", 0, marks=pytest.mark.slow),
        pytest.param("$ANIMATE 2>&-", 0, marks=pytest.mark.slow),
        ("$ANIMATE <&- >&- 2>&-", 0),
        pytest.param("$ANIMATE --verbose >/dev/full 2>/dev/full", 1, marks=pytest.mark.slow),
        ("$ANIMATE >/dev/full", 1),
        pytest.param("$ANIMATE --json >/dev/full", 1, marks=pytest.mark.slow),
        pytest.param("set -o pipefail; $ANIMATE | true", 0, marks=pytest.mark.slow),
        ("set -o pipefail; $ANIMATE --verbose 2>&1 >/dev/null | true", 0),
        ("set -o pipefail; $PYTHON -m facemotion animate --help | head -1 >/dev/null", 0),
        ("set -o pipefail; $PYTHON -m facemotion expressions --json | true", 0),
    ],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_closed_and_full_streams_do_no_harm(photo, tiny_weights, line, code):
    done = run_in_shell(line, photo.parent, tiny_weights)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if "ANIMATE" in line:
        assert (photo.parent / "clip.gif").read_bytes().startswith(b"GIF8")  # nothing was written into it by accident
    if code and "2>" not in line:
        assert done.stderr.splitlines()[-2] == "Error: Standard output cannot be written: No space left on device."
    assert not [path for path in photo.parent.iterdir() if ".part" in path.name]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGHUP, "clip"),
        (signal.SIGTERM, "clip.mp4"),
        pytest.param(signal.SIGINT, "clip.mp4", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, "clip", marks=pytest.mark.slow),
    ],
)
def test_any_number_of_signals_leaves_nothing(photo, tiny_weights, number, name):
    folder = photo.parent
    process = start(photo, tiny_weights, "--frames", "100000", "--sheet", "--out", str(folder / name))
    wait_for_part(folder, process)
    for _ in range(20):
        process.send_signal(number)
        time.sleep(0.005)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-2:] == ["Error: Interrupted.", "Nothing half-written was left."]
    assert "Traceback" not in errors
    assert [path.name for path in folder.iterdir()] == [photo.name]


@pytest.mark.parametrize("number", [signal.SIGHUP, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_signals_that_were_ignored_at_the_start_stay_ignored(photo, tiny_weights, number):
    """As nohup and shells do it for jobs in the background."""
    target = photo.with_name("clip.gif")

    def ignore() -> None:
        signal.signal(number, signal.SIG_IGN)

    process = start(photo, tiny_weights, "--frames", "25", "--out", str(target), preexec_fn=ignore)
    wait_for_part(photo.parent, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert target.exists()


IMPORTING = """
import sys
from facemotion.cli import process

class Loud:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "numpy", "av", "typer", "rich", "cv2", "PIL"):
            print(name, flush=True)

sys.meta_path.insert(0, Loud())

from facemotion.cli.entry import main
main()
"""


@pytest.mark.parametrize(
    "moment",
    ["typer", "torch", *(pytest.param(name, marks=pytest.mark.slow) for name in ("rich", "numpy", "PIL", "cv2", "av"))],
)
def test_an_interrupt_during_imports_is_one_line(photo, tiny_weights, moment):
    """The signal comes when a library has just begun to be imported; that goes on, and then the command ends."""
    words = ["animate", str(photo), "--weights", str(tiny_weights), "--frames", "100000", "--out", "clip.mp4"]
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTING, *words],
        cwd=photo.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.strip() == moment:
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-2:] == ["Error: Interrupted.", "Nothing half-written was left."]
    assert "Traceback" not in errors
    assert [path.name for path in photo.parent.iterdir()] == [photo.name]


def test_an_interrupt_in_a_destructor_is_not_lost():
    script = """
import os, signal, time
from facemotion.cli import process

class Careless:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

def command():
    for _ in range(200):
        Careless()
        time.sleep(0.05)

process.run(command)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr == "Error: Interrupted.\nNothing half-written was left.\n"


def test_no_garbage_is_looked_for_while_modules_are_loaded():
    try:
        with process.loading():
            assert not gc.isenabled()
        assert gc.isenabled() and gc.get_freeze_count()
    finally:
        gc.unfreeze()
