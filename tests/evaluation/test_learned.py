"""Metrics of other people's networks, with stand-ins of known answers for the networks."""

import numpy as np
import pytest
import torch

from facemotion.errors import WeightsError
from facemotion.evaluation import learned
from facemotion.evaluation.cases import Case
from facemotion.evaluation.learned import (
    FrechetDistance,
    Identity,
    PerceptualDistance,
    ReadExpression,
    content_distance,
    cosine,
    load_learned,
)
from facemotion.evaluation.measure import SweepClip, TruthFrame, sweep_controls
from facemotion.weights.registry import WEIGHTS
from tests.evaluation.faces import face_points

SIZE = 128
CASE = Case("c", "p", "clips", {"smile": 1.0}, lambda: None, "validation")


def flat(level: float) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), round(level), np.uint8)


def sweep_clip(levels=None, truth_level: float = 50) -> SweepClip:
    """Flat frames whose level rises with the control: 10 at 0, 110 at 1."""
    controls = sweep_controls(5)
    levels = 10 + 100 * controls if levels is None else levels
    frames = np.stack([flat(level) for level in levels])
    marks = np.repeat(face_points(SIZE)[None], len(frames), 0)
    truth = [TruthFrame(1.0, flat(truth_level), frames[4], marks[0])]
    return SweepClip(controls, frames, marks, truth)


def test_cosine_and_content_distance_of_known_vectors():
    x, y = np.array([1.0, 0]), np.array([0.0, 3])
    assert cosine(x, 5 * x) == pytest.approx(1)
    assert cosine(x, y) == pytest.approx(0)
    assert content_distance(x, [2 * x, y]) == pytest.approx(2**0.5 / 2)


def test_identity_is_given_by_control_beside_real_frames():
    def embed(face):  # turns a quarter of a right angle for every 25 levels
        angle = np.radians((face.mean() - 10) * 0.9)
        return np.array([np.cos(angle), np.sin(angle)])

    metric = Identity(embed)
    metric.update(CASE, sweep_clip(truth_level=10))
    result = metric.result()
    model = {control: point["similarity"] for control, point in result["by_control"]["model"].items()}
    assert list(model) == ["0.25", "0.5", "0.75", "1", "1.25", "1.5"]
    assert model["0.5"] == pytest.approx(np.cos(np.radians(45)))
    assert model["1"] == pytest.approx(0, abs=1e-6)
    assert result["by_control"]["real"] == {"1": {"similarity": pytest.approx(1), "n": 1}}
    quarter_turns = [2 * np.sin(np.radians(22.5 * k) / 2) for k in (1, 2, 3, 4)]
    assert result["acd"] == pytest.approx(np.mean(quarter_turns))


def test_identity_skips_frames_without_a_face():
    metric = Identity(lambda face: np.ones(2))
    shown = sweep_clip()
    shown.landmarks[:] = np.nan
    metric.update(CASE, shown)
    assert metric.result() is None


def test_expression_counts_how_often_the_peak_is_read_as_asked():
    metric = ReadExpression(lambda face: "happy" if face.mean() > 100 else "neutral")
    metric.update(CASE, sweep_clip())
    metric.update(CASE, sweep_clip(levels=np.full(7, 20)))
    metric.update(Case("d", "p", "clips", {"blink": 1.0}, lambda: None, "validation"), sweep_clip())
    result = metric.result()
    assert result["model"] == {"smile": {"as_asked": 1, "n": 2, "answers": {"happy": 1, "neutral": 1}}}
    assert result["real"]["smile"]["as_asked"] == 0


class MeanDifference(torch.nn.Module):
    def forward(self, a, b):
        return (a - b).abs().mean()


def test_perceptual_distance_is_taken_of_model_and_photo():
    metric = PerceptualDistance(MeanDifference())
    metric.update(CASE, sweep_clip(truth_level=50))
    result = metric.result()
    assert result["model"]["mean"] == pytest.approx(60 / 127.5, rel=1e-4)
    assert result["repeat"]["mean"] == pytest.approx(40 / 127.5, rel=1e-4)


class MeanColour(torch.nn.Module):
    """Features of an image: its mean level, twice; so that the Fréchet distance is known."""

    num_features = 2

    def forward(self, images):
        return images.float().mean((1, 2, 3))[:, None].repeat(1, 2)


def test_frechet_distance_of_shifted_features_is_their_squared_distance():
    fid = pytest.importorskip("torchmetrics.image.fid", exc_type=ImportError)
    metric = FrechetDistance(fid.FrechetInceptionDistance(feature=MeanColour()))
    for level in (10, 20, 30):
        metric.update(CASE, sweep_clip(levels=np.full(7, level + 5), truth_level=level))
    result = metric.result()
    assert result["n"] == 3
    assert result["fid"] == pytest.approx(2 * 5**2, rel=1e-3)


def test_what_cannot_be_had_is_skipped_with_its_reason(monkeypatch):
    def unreachable(name, *, offline=None):
        raise WeightsError(f"weights {name!r} are not on this machine, and downloading is switched off")

    monkeypatch.setattr("facemotion.weights.registry.weight_path", unreachable)
    metrics, skipped = load_learned(offline=True)
    assert metrics == []
    assert set(skipped) == {"identity", "expression", "lpips", "fid"}
    assert "downloading is switched off" in skipped["identity"]


def test_a_missing_library_is_named(monkeypatch):
    def missing(offline):
        raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")

    monkeypatch.setattr(learned, "_load_lpips", missing)
    _, skipped = load_learned(offline=True)
    assert skipped["lpips"] == "torchvision is not installed: pip install 'facemotion[evaluate]'"


def test_the_networks_are_in_the_table_of_weights():
    names = {name for name in WEIGHTS if name.startswith("evaluate-")}
    assert names == {"evaluate-identity", "evaluate-expression", "evaluate-lpips", "evaluate-fid"}
    assert all(WEIGHTS[name].sha256 and WEIGHTS[name].url for name in names)
