"""`facemotion train` from a user's chair."""

import json

import pytest
import typer
from typer.testing import CliRunner

from facemotion.cli.train import register
from facemotion.models.generator import tiny_generator
from facemotion.models.release import load_release, save_release
from tests.training.conftest import TINY


@pytest.fixture
def facemotion():
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    runner = CliRunner()

    def run(*words):
        return runner.invoke(app, ["train", *map(str, words), "--device", "cpu"])

    return run


def settings(*more):
    return [word for change in (*TINY, *more) for word in ("--set", change)]


def test_trains_resumes_and_fine_tunes(facemotion, clip_folder, tmp_path):
    words = [clip_folder, "--out", tmp_path / "run", "--precision", "fp32", *settings()]
    first = facemotion(*words)
    assert first.exit_code == 0, first.output
    assert "8 clips on cpu" in first.stderr
    assert "real smile 28%" in first.stderr
    assert "images/s (loader" in first.stderr
    assert "finished at 16 images" in first.stdout
    assert "resumed at 16 images" in facemotion(*words).stderr
    words = [clip_folder, "--out", tmp_path / "tuned", "--init", tmp_path / "run" / "release.safetensors"]
    tuned = facemotion(*words, "--images", "8", "--precision", "fp32", *settings()[:-4], *settings()[-2:])
    assert tuned.exit_code == 0, tuned.output
    load_release(tmp_path / "tuned" / "release.safetensors")


def test_fine_tunes_the_released_weights_by_name(facemotion, clip_folder, tmp_path, monkeypatch):
    save_release(tmp_path / "mine.safetensors", tiny_generator(), {"images": 5})
    monkeypatch.setenv("FACEMOTION_WEIGHTS", str(tmp_path / "mine.safetensors"))
    tuned = facemotion(clip_folder, "--out", tmp_path / "tuned", "--init", "release", *settings())
    assert tuned.exit_code == 0, tuned.output
    _, record = load_release(tmp_path / "tuned" / "release.safetensors")
    assert record["initialised_from"] == "mine.safetensors"


def test_preset_and_settings_are_shown(facemotion, clip_folder, tmp_path):
    words = [clip_folder, "--out", tmp_path / "run", "--preset", "paper", "--images", "3k"]
    result = facemotion(*words, "--show-settings")
    shown = json.loads(result.stdout)
    assert shown["generator"]["preset"] == "paper"
    assert shown["images"] == 3000
    assert not (tmp_path / "run").exists()


def test_time_budget(facemotion, clip_folder, tmp_path):
    words = [clip_folder, "--out", tmp_path / "run", "--time-budget", "1s", *settings("images=1M")]
    assert "time budget at" in facemotion(*words).stdout


@pytest.mark.parametrize(
    "words, message",
    [
        (["--set", "losses.lpips=1"], "unknown setting"),
        (["--time-budget", "soon"], "duration"),
        (["--preset", "other"], "preset must be"),
        (["--init", "missing.pt"], "no training state"),
    ],
)
def test_refusals(facemotion, clip_folder, tmp_path, words, message):
    result = facemotion(clip_folder, "--out", tmp_path / "run", *settings(), *words)
    assert message in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_no_clips(facemotion, tmp_path):
    result = facemotion(tmp_path, "--out", tmp_path / "run")
    assert "no clip set" in str(result.exception)
