"""Batches of samples: chosen and changed by seed and step alone, so that a resume is exact."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from facemotion.datasets.samples import ARRAYS, IMAGES, MAPS, Sample, SampleFolder
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.models.generator import RenderedMaps
from facemotion.training.augmentation import Augmentation, augmented, channels_first
from facemotion.training.config import TrainConfig

AHEAD = 4
"""Batches read ahead of the one in use."""


@dataclass
class SampleBatch:
    """B samples as tensors; images are RGB in [0, 1]."""

    photo: Tensor
    """(B, 3, input_px, input_px)."""
    coordinates: Tensor
    """(B, 3, input_px / 2, input_px / 2)."""
    own: Tensor
    control: Tensor
    rendered: RenderedMaps
    target: Tensor
    """(B, 3, N, N)."""
    mask: Tensor
    """(B, 1, N, N)."""
    displacement: Tensor
    """(B, 68, 2) target landmarks minus the renderer's, crop widths."""
    source_landmarks: Tensor
    """(B, 468, 2) of the photo, crop widths."""
    photographed: Tensor
    """(B,) bool: photo and target are photographs, so that discriminators may compare frame and target."""


@dataclass(frozen=True)
class StackedSamples:
    """B samples as they lie in their file, stacked; images and maps have their channels last."""

    arrays: dict[str, Tensor]
    """By the names of the arrays of a `Sample`."""
    photographed: Tensor
    """(B,) bool."""

    def to(self, device: torch.device) -> StackedSamples:
        """The same on a device."""
        moved = {name: array.to(device, non_blocking=True) for name, array in self.arrays.items()}
        return StackedSamples(moved, self.photographed.to(device, non_blocking=True))

    def pinned(self) -> StackedSamples:
        """The same in memory from which a GPU reads by itself."""
        return StackedSamples({n: a.pin_memory() for n, a in self.arrays.items()}, self.photographed.pin_memory())


def stacked(samples: Sequence[Sample]) -> StackedSamples:
    """Samples of one size, stacked."""
    arrays = {name: torch.from_numpy(np.stack([getattr(s, name) for s in samples])) for name in ARRAYS}
    return StackedSamples(arrays, torch.tensor([sample.kind == "pair" for sample in samples]))


def batches(
    folder: SampleFolder,
    config: TrainConfig,
    first_step: int,
    *,
    rank: int = 0,
    size: int = 1,
    device: torch.device | None = None,
) -> Iterator[SampleBatch]:
    """The batches of this process from a step on, on a device; the next ones are read while one is in use."""
    device = device or torch.device("cpu")
    kinds = {kind: [i for i, k in enumerate(folder.kinds) if k == kind] for kind in sorted(set(folder.kinds))}

    def read(step: int) -> tuple[StackedSamples, list[Augmentation]]:
        generator = np.random.default_rng([config.seed, step])
        chosen = [_draw(kinds, config, generator) for _ in range(config.batch)]
        seeds = generator.integers(1 << 60, size=config.batch).tolist()
        mine = range(rank, config.batch, size)
        samples = stacked([folder[chosen[i]] for i in mine])
        changes = [Augmentation.drawn(np.random.default_rng(seeds[i]), config.jitter) for i in mine]
        return samples.pinned() if device.type == "cuda" else samples, changes

    ahead = AHEAD if device.type == "cuda" else 1
    with ThreadPoolExecutor(ahead) as pool:
        steps = iter(range(first_step, config.steps))
        waiting = deque(
            pool.submit(read, step) for step in (next(steps, None) for _ in range(ahead)) if step is not None
        )
        while waiting:
            samples, changes = waiting.popleft().result()
            step = next(steps, None)
            if step is not None:
                waiting.append(pool.submit(read, step))
            samples = samples.to(device)
            yield collated(augmented(samples.arrays, changes), samples.photographed, config.input_px)


def _draw(kinds: dict[str, list[int]], config: TrainConfig, generator: np.random.Generator) -> int:
    shares = {"pair": config.pair_share, "still": config.still_share}
    shares["back"] = 1 - sum(shares.values())
    present = [kind for kind in kinds if shares[kind] > 0] or list(kinds)
    weights = np.array([max(shares[kind], 1e-9) for kind in present])
    rows = kinds[present[int(generator.choice(len(present), p=weights / weights.sum()))]]
    return rows[int(generator.integers(len(rows)))]


def batch_of(samples: Sequence[Sample], input_px: int) -> SampleBatch:
    """Samples as they are, as one batch on the CPU."""
    stack = stacked(samples)
    return collated(stack.arrays, stack.photographed, input_px)


def collated(arrays: dict[str, Tensor], photographed: Tensor, input_px: int) -> SampleBatch:
    """Stacked samples as one batch, on their device."""
    maps = {name: channels_first(arrays[name]) for name in (*IMAGES, *MAPS)}
    source, target, layers, mask = (maps[name] / 255 for name in ("source", "target", "layers", "mask"))
    layers = torch.cat([layers[:, :3] * layers[:, 3:], layers[:, 3:]], 1)
    coordinates, half = maps["coordinates"], input_px // 2
    if coordinates.shape[-1] != half:
        coordinates = torch.nn.functional.interpolate(coordinates, (half, half), mode="nearest")
    own_points, landmarks = arrays["source_landmarks"], arrays["rendered_landmarks"]
    eyes = (own_points[:, 263] - own_points[:, 33]).norm(dim=1)
    areas = _areas(source.shape[-1], input_px, source.device)
    return SampleBatch(
        areas @ source @ areas.T,
        coordinates,
        arrays["own"],
        arrays["control"],
        RenderedMaps(source, maps["flow"], maps["log_gain"], layers, landmarks, eyes),
        target,
        mask,
        (arrays["target_landmarks"] - landmarks)[:, list(FROM_FACE_MESH)],
        own_points,
        photographed,
    )


@lru_cache(maxsize=8)
def _areas(side: int, smaller: int, device: torch.device) -> Tensor:
    """(smaller, side) what makes of a line of pixels one of fewer, each the mean over its area."""
    edges = torch.arange(smaller + 1, dtype=torch.float64) * side / smaller
    pixels = torch.arange(side, dtype=torch.float64)
    ends = torch.minimum(edges[1:, None], pixels + 1)
    starts = torch.maximum(edges[:-1, None], pixels)
    return ((ends - starts).clamp(min=0) * smaller / side).float().to(device)
