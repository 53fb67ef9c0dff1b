"""``facemotion train`` and ``evaluate pairs`` from the shell, on noise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.datasets.samples import SampleFolder, write_shard
from facemotion.evaluation.pairs import evaluate_pairs, psnr, sheet, ssim
from facemotion.models.generator import Generator
from tests.datasets.made_up_samples import made_up_sample
from tests.training.test_loop import TINY, TINY_PAPER


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for split in ("train", "validation"):
        (folder / split).mkdir()
        kinds = ("pair", "back", "still", "back")
        write_shard(folder / split / "0.safetensors", [made_up_sample(i, kind=kind) for i, kind in enumerate(kinds)])
    return folder


def facemotion(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(("preset", "config"), [("corrections", TINY), ("paper", TINY_PAPER)])
def test_trains_says_how_it_stands_and_resumes(samples, tmp_path, preset, config):
    (tmp_path / "c.json").write_text(config.to_json())
    words = ["train", samples, tmp_path / "run", "--preset", preset, "--config", tmp_path / "c.json", "--device", "cpu"]
    first = facemotion(*words)
    assert first.exit_code == 0, first.output
    assert "finished at step 4 of 4" in first.stdout
    assert "Training: 4/4" in first.stderr and "pixels" in first.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json",
        "generator.safetensors",
        "log.jsonl",
        "state.pt",
    }
    again = facemotion(*words)
    assert "resumed at step 4" in again.stdout
    weights = tmp_path / "run" / "generator.safetensors"
    measured = facemotion("evaluate", "pairs", samples, "--weights", weights, "--out", tmp_path / "report")
    assert measured.exit_code == 0, measured.output
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.json", "report.md", "samples.png"}
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert {score["kind"] for score in report["scores"]} == {"pair", "back", "still"}
    assert set(report["scores"][0]["psnr"]) == {"photo", "renderer", "generator"}
    assert "## pair: another photograph of the person" in measured.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "other"], "no preset"),
        (["--time-budget", "soon"], "duration"),
        (["--config", "missing.json"], "missing.json"),
    ],
)
def test_refusals(samples, tmp_path, words, message):
    result = facemotion("train", samples, tmp_path / "run", *words)
    assert result.exit_code in (1, 2) and message in result.stderr
    assert not (tmp_path / "run").exists()


def test_no_samples(tmp_path):
    result = facemotion("train", tmp_path / "none", tmp_path / "run")
    assert result.exit_code != 0 and "no samples" in result.stderr


@pytest.mark.slow
def test_two_processes_end_together_when_the_time_is_over(samples, tmp_path):
    (tmp_path / "c.json").write_text(TINY.to_json().replace('"steps": 4', '"steps": 100000'))
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "facemotion"]
    words = ["train", str(samples), str(tmp_path / "run"), "--config", str(tmp_path / "c.json"), "--time-budget", "5s"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", *torchrun, *words, "--device", "cpu"]
    done = subprocess.run(command, env=environment, timeout=280, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "time budget at step" in done.stdout
    assert (tmp_path / "run" / "generator.safetensors").is_file()


def test_measures_know_equal_from_different():
    image, weight = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    assert psnr(image, image, weight) > 70 and ssim(image, image, weight) == pytest.approx(1, abs=1e-4)
    assert psnr(image, 1 - image, weight) < 20 and ssim(image, 1 - image, weight) < 0.5


def test_an_untrained_generator_scores_as_the_renderer(samples):
    folder = SampleFolder(samples / "validation")
    generator = Generator(TINY.generator).eval()
    report = evaluate_pairs(generator, folder)
    assert {score.view for score in report.scores} == {"face", "mouth", "eye"}
    assert {score.kind: score.samples for score in report.scores} == {"pair": 1, "back": 2, "still": 1}
    for score in report.scores:
        assert score.psnr["generator"] == pytest.approx(score.psnr["renderer"], abs=0.05)
    assert sheet(generator, folder, [0, 1]).shape == (96, 192, 3)
    assert np.isfinite([*score.psnr.values(), *score.ssim.values()]).all()
