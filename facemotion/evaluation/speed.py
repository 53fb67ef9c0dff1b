"""What a generator costs: time per stage on each device, memory, size of the weights."""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facemotion.evaluation.render import motion_maps, to_signed

if TYPE_CHECKING:
    from facemotion.evaluation.cases import CasePixels, Locate
    from facemotion.models.generator import Generator

REPEATS = 7


@dataclass(frozen=True)
class Cost:
    """Median milliseconds of each stage on one device, for one frame of one face in a photo of ``photo_px``."""

    device: str
    threads: int
    photo_px: int
    stages_ms: dict[str, float]
    """``find``, ``crop`` and ``encode`` once per photo; ``decode`` and ``composite`` once per frame."""
    peak_memory_mb: float
    """CUDA: most memory that tensors took; CPU: most memory that the process has had so far."""


@dataclass(frozen=True)
class Size:
    """How large a generator is."""

    parameters: int
    file_bytes: int | None
    gmac_per_photo: float
    gmac_per_frame: float


def measure_size(generator: Generator, path: Path | None) -> Size:
    """Parameters, bytes of the weight file, and multiply-adds of encoder (one expression) and decoder."""
    from torch.utils.flop_counter import FlopCounterMode

    device = next(generator.parameters()).device
    size, count = generator.config.input_px, len(generator.config.expressions)
    source = torch.zeros(1, 3, size, size, device=device)
    control = torch.eye(count, device=device)[:1]
    with torch.inference_mode(), FlopCounterMode(display=False) as encoder:
        encoding = generator.encode(source, control)
    with torch.inference_mode(), FlopCounterMode(display=False) as decoder:
        generator.decode(encoding, control)
    return Size(
        parameters=sum(p.numel() for p in generator.parameters()),
        file_bytes=path.stat().st_size if path else None,
        gmac_per_photo=encoder.get_total_flops() / 2e9,
        gmac_per_frame=decoder.get_total_flops() / 2e9,
    )


def measure_cost(generator: Generator, pixels: CasePixels, *, locate: Locate, device: str) -> Cost:
    """Time every stage for one photo (its crop where the case has no photo) on a device.

    The generator stays on the device where it was. Finding and compositing run on the CPU everywhere. Raises what
    PyTorch raises where the device cannot do it.
    """
    home = next(generator.parameters()).device
    try:
        return _cost(generator.to(device), pixels, locate, device)
    finally:
        generator.to(home)


def devices_here() -> list[str]:
    """``cpu`` and what accelerators PyTorch sees."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def machine() -> str:
    """One line about where the numbers come from."""
    return f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, " + (
        f"PyTorch {torch.__version__}"
    )


def _cost(generator: Generator, pixels: CasePixels, locate: Locate, device: str) -> Cost:
    from facemotion.compositing.composite import Composite

    photo, landmarks = pixels.photo, pixels.photo_landmarks
    if photo is None or landmarks is None:
        photo, landmarks = pixels.source, pixels.landmarks
    size, count = generator.config.input_px, len(generator.config.expressions)
    composite = Composite(photo, landmarks, size)
    control = torch.eye(count, device=device)[:1]
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with torch.inference_mode():
        crop = to_signed(composite.crop(size)).to(device)
        encoding = generator.encode(crop, control)
        maps = motion_maps(generator.decode(encoding, control))[0]
        stages = {
            "find": lambda: locate(photo),
            "crop": lambda: composite.crop(size),
            "encode": lambda: generator.encode(crop, control),
            "decode": lambda: generator.decode(encoding, control),
            "composite": lambda: composite.frame(*maps),
        }
        times = {name: _median_ms(stage, device) for name, stage in stages.items()}
    return Cost(device, torch.get_num_threads(), max(photo.shape[:2]), times, _peak_memory_mb(device))


def _median_ms(stage: Callable[[], object], device: str) -> float:
    def once() -> float:
        _wait(device)
        start = time.perf_counter()
        stage()
        _wait(device)
        return 1000 * (time.perf_counter() - start)

    once()
    return statistics.median(once() for _ in range(REPEATS))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def _peak_memory_mb(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    if sys.platform == "win32":
        return float("nan")
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used / 1e3
