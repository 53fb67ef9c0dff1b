"""``facemotion evaluate`` on the command line: messages, exit codes, files."""

import json
import sys

import pytest
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.evaluation.tracking import frame_tracker
from tests.evaluation.faces import known_landmarks, write_clip_set, write_weights
from tests.evaluation.test_study import write_answers, write_key


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a clip set and weights; the finder is replaced by the eye that knows."""
    write_clip_set(tmp_path / "set", people=1)
    write_weights(tmp_path / "w.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("facemotion.evaluation.run.builtin_tracker", lambda: frame_tracker(known_landmarks))
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def test_a_report_from_the_command_line(place):
    result = run("set", "--weights", "w.safetensors", "--out", "r", "--no-learned", "--frames", 5, "--expr", "happy")
    assert result.exit_code == 0, result.output
    assert "1 cases of 1 people: r/report.md" in result.stdout
    report = json.loads((place / "r/report.json").read_text())
    assert list(report["without_truth"]) == ["smile", "all"]
    assert report["settings"]["frames"] == 5
    again = run("set", "--weights", "w.safetensors", "--out", "r", "--no-learned")
    assert again.exit_code == 2
    assert "r exists already" in again.stderr
    assert "--overwrite" in again.stderr


def test_json_for_programs_and_skipped_metrics_for_people(place):
    words = ["set", "--weights", "w.safetensors", "--out", "r", "--frames", 5, "--limit", 1, "--offline", "--json"]
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"out": "r", "cases": 1, "people": 1}
    assert "identity skipped: The weights 'evaluate-identity' are not on this machine" in result.stderr
    report = json.loads((place / "r/report.json").read_text())
    assert set(report["skipped"]) == {"identity", "expression", "lpips", "fid"}


def test_a_study_and_its_answers_from_the_command_line(place):
    result = run("set", "--study", "--weights", "w.safetensors", "--out", "s", "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "4 questions, for the people: s/index.html" in result.stdout
    key = json.loads((place / "s/key.json").read_text())
    answers = [{"trial": trial["id"], "choice": "real", "ms": 700} for trial in key["trials"]]
    record = {"format": "facemotion-study-answers", "version": 1, "study": key["study"], "participant": ""}
    (place / "a.json").write_text(json.dumps(record | {"started": "now", "answers": answers}))
    counted = run("--answers", "s/key.json", "a.json")
    assert counted.exit_code == 0, counted.output
    assert "4 answers of 1 people" in counted.stdout
    assert "all: generated called real 100 % of 2 times (95 % interval 34 to 100 %)" in counted.stdout


def test_answers_as_json(place):
    key = write_key(place / "key.json", ["left"], ask="pair")
    result = run("--answers", key, write_answers(place / "a.json", ["right"]), "--json")
    outcome = json.loads(result.stdout)
    assert outcome["verdicts"][0]["generated"]["mean"] == 1
    assert "chosen as the real one" in run("--answers", key, place / "a.json").stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["set"], 2, "No --out"),
        (["nowhere", "--out", "r", "--weights", "w.safetensors"], 2, "No such file or folder: nowhere"),
        (["set", "--out", "r", "--weights", "none.safetensors"], 1, "No such weights"),
        (["set", "--out", "r", "--weights", "w.safetensors", "--expr", "smlie"], 2, "smlie"),
        (["set", "--out", "r", "--weights", "w.safetensors", "--split", "test"], 2, "'test' is no split"),
        (["set", "--out", "r", "--weights", "w.safetensors", "--frames", "2"], 2, "too few"),
        (["set", "--out", "s", "--weights", "w.safetensors", "--study", "--ask", "all"], 2, "'all' is no question"),
        (["--answers", "a.json"], 1, "a.json cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(place, words, code, message):
    result = run(*words)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (place / "r").exists()


def test_missing_libraries_are_named_with_the_command_that_brings_them(place, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "matplotlib" else object())
    result = run("set", "--weights", "w.safetensors", "--out", "r")
    assert result.exit_code == 2
    assert "matplotlib must be installed" in result.stderr
    assert "pip install 'facemotion[evaluate]'" in result.stderr


def test_a_torchvision_for_another_torch_is_explained(place, monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "torchmetrics.functional.image":
                raise RuntimeError("operator torchvision::nms does not exist")

    for name in [name for name in sys.modules if name.startswith("torchmetrics")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    result = run("set", "--weights", "w.safetensors", "--out", "r")
    assert result.exit_code == 2
    assert "torchvision::nms" in result.stderr and "from where torch came" in " ".join(result.stderr.split())
