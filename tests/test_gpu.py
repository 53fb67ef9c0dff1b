"""Networks on a GPU: what the CPU says, in every precision, and what happens where memory runs out."""

from pathlib import Path

import numpy as np
import pytest

from facemotion.api import AnimateSettings, Animator
from facemotion.media.photos import Photo

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

PORTRAIT = Path(__file__).parents[1] / "docs" / "images" / "portrait.jpg"
MOST_LEVELS = 2
"""Largest difference of a frame from the CPU's in fp32."""


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    from facemotion.media.photos import read_photo

    return read_photo(PORTRAIT).pixels


def frames(portrait: np.ndarray, device: str, precision: str) -> np.ndarray:
    settings = AnimateSettings("surprise+jawOpen:0.4", frames=5, seed=1)
    return np.stack(list(Animator(settings, device=device, precision=precision).frames(Photo(portrait))))


@pytest.fixture(scope="module")
def expected(portrait: np.ndarray) -> np.ndarray:
    return frames(portrait, "cpu", "fp32")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "auto"])
def test_frames_are_those_of_the_cpu(portrait, expected, precision):
    found = frames(portrait, "cuda", precision)
    differs = np.abs(found.astype(int) - expected)
    assert differs.max() <= MOST_LEVELS
    assert np.array_equal(found[0], portrait)


def test_the_network_really_runs_there(portrait):
    torch.cuda.reset_peak_memory_stats()
    frames(portrait, "cuda", "auto")
    assert torch.cuda.max_memory_allocated() > 1e6


def test_a_device_out_of_memory_gives_the_cpus_frames(portrait, expected, monkeypatch, caplog):
    from facemotion.models.generator import Generator

    decode = Generator.decode

    def no_memory_there(self, encoding, *rest):
        if encoding.base[0].is_cuda:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(self, encoding, *rest)

    monkeypatch.setattr(Generator, "decode", no_memory_there)
    found = frames(portrait, "cuda", "fp16")
    assert np.abs(found.astype(int) - expected).max() <= MOST_LEVELS
    assert "going on with fp32 on cpu" in caplog.text


def test_the_landmarker_sees_the_same_face(portrait):
    from facemotion.faces.landmarker import Landmarker

    (here,), (there,) = (Landmarker.load(device=device).measure(portrait) for device in ("cpu", "cuda"))
    assert np.abs(here.require_points() - there.require_points())[:, :2].max() < 0.1  # px
    assert np.abs(here.scores - there.scores).max() < 0.01


def test_the_occlusion_network_sees_the_same(portrait):
    from facemotion.faces.landmarker import Landmarker
    from facemotion.faces.occlusion import OcclusionEstimator

    landmarks = Landmarker.load().measure(portrait)[0].landmarks
    here, there = (OcclusionEstimator.load(device=device).estimate(portrait, landmarks) for device in ("cpu", "cuda"))
    assert np.abs(here.front - there.front).max() < 0.01
    assert there.lips == pytest.approx(here.lips, abs=0.01)
