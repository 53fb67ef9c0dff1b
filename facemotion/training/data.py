"""Batches of samples: chosen, mirrored and coloured by seed and step alone, so that a resume is exact."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from torch import Tensor

from facemotion.datasets.samples import Sample, SampleFolder
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.head.mirror import mirrored_landmarks, mirrored_units
from facemotion.models.generator import RenderedMaps
from facemotion.models.head_coordinates import NOWHERE
from facemotion.training.config import TrainConfig


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

    def to(self, device: torch.device) -> SampleBatch:
        """The same on a device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        rendered = RenderedMaps(**{f.name: getattr(self.rendered, f.name).to(device) for f in fields(RenderedMaps)})
        return SampleBatch(**{name: v.to(device) for name, v in moved.items() if name != "rendered"}, rendered=rendered)


def batches(
    folder: SampleFolder, config: TrainConfig, first_step: int, *, rank: int = 0, size: int = 1
) -> Iterator[SampleBatch]:
    """The batches of this process from a step on, the next one prepared while one is in use."""
    kinds = {kind: [i for i, k in enumerate(folder.kinds) if k == kind] for kind in sorted(set(folder.kinds))}

    def batch(step: int) -> SampleBatch:
        generator = np.random.default_rng([config.seed, step])
        chosen = [_draw(kinds, config, generator) for _ in range(config.batch)]
        seeds = generator.integers(1 << 60, size=config.batch).tolist()
        mine = range(rank, config.batch, size)
        samples = [augmented(folder[chosen[i]], np.random.default_rng(seeds[i])) for i in mine]
        return collated(samples, config.input_px)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(batch, first_step)
        for step in range(first_step, config.steps):
            ready = waiting.result()
            if step + 1 < config.steps:
                waiting = pool.submit(batch, step + 1)
            yield ready


def _draw(kinds: dict[str, list[int]], config: TrainConfig, generator: np.random.Generator) -> int:
    shares = {"pair": config.pair_share, "still": config.still_share}
    shares["back"] = 1 - sum(shares.values())
    present = [kind for kind in kinds if shares[kind] > 0] or list(kinds)
    weights = np.array([max(shares[kind], 1e-9) for kind in present])
    rows = kinds[present[int(generator.choice(len(present), p=weights / weights.sum()))]]
    return rows[int(generator.integers(len(rows)))]


def mirrored(sample: Sample) -> Sample:
    """The sample in the mirror."""
    units, landmarks = mirrored_units(), mirrored_landmarks()
    images = {n: getattr(sample, n)[:, ::-1] for n in ("source", "target", "mask", "layers", "log_gain")}
    points = {
        n: np.array([1, 0], np.float32) + getattr(sample, n)[landmarks] * np.array([-1, 1], np.float32)
        for n in ("source_landmarks", "rendered_landmarks", "target_landmarks")
    }
    flow = sample.flow[:, ::-1] * np.array([-1, 1], np.float16)
    coordinates = sample.coordinates[:, ::-1].copy()
    seen = coordinates[..., 0] > NOWHERE + 0.5
    coordinates[seen, 0] *= -1
    rest = {"flow": flow, "coordinates": coordinates, "control": sample.control[units], "own": sample.own[units]}
    return Sample(sample.person, sample.kind, **images, **points, **rest)


def augmented(sample: Sample, generator: np.random.Generator) -> Sample:
    """Mirrored half the time; brightness, contrast and colour of all images changed alike, some made grey."""
    if generator.random() < 0.5:
        sample = mirrored(sample)
    gamma = np.exp(generator.normal(0, 0.15))
    gain = np.exp(generator.normal(0, 0.05, 3) + generator.normal(0, 0.08))
    grey = generator.random() < 0.08
    levels = (np.arange(256) / 255) ** gamma
    table = np.clip(np.round(255 * levels[:, None] * gain), 0, 255).astype(np.uint8)

    def coloured(image: np.ndarray) -> np.ndarray:
        image = cv2.LUT(np.ascontiguousarray(image), table[:, None])
        return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) if grey else image

    layers = np.dstack([coloured(sample.layers[..., :3]), sample.layers[..., 3]])
    kept = {f.name: getattr(sample, f.name) for f in fields(sample)}
    kept |= {"source": coloured(sample.source), "target": coloured(sample.target), "layers": layers}
    return Sample(**kept)


def collated(samples: list[Sample], input_px: int) -> SampleBatch:
    """Samples as one batch."""

    def stacked(name: str) -> Tensor:
        maps = np.stack([getattr(s, name) for s in samples]).astype(np.float32)
        maps = maps.transpose(0, 3, 1, 2) if maps.ndim == 4 else maps[:, None] if maps.ndim == 3 else maps
        return torch.from_numpy(np.ascontiguousarray(maps))

    def points(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(s, name) for s in samples]).astype(np.float32))

    size = (input_px, input_px)
    small = np.stack([cv2.resize(np.ascontiguousarray(s.source), size, interpolation=cv2.INTER_AREA) for s in samples])
    half = input_px // 2
    coordinates = stacked("coordinates")
    if coordinates.shape[-1] != half:
        coordinates = torch.nn.functional.interpolate(coordinates, (half, half), mode="nearest")
    source, target, layers, mask = (stacked(n) / 255 for n in ("source", "target", "layers", "mask"))
    layers[:, :3] *= layers[:, 3:]
    landmarks = points("rendered_landmarks")
    own_points = points("source_landmarks")
    eyes = (own_points[:, 263] - own_points[:, 33]).norm(dim=1)
    rendered = RenderedMaps(source, stacked("flow"), stacked("log_gain"), layers, landmarks, eyes)
    moved = (points("target_landmarks") - landmarks)[:, list(FROM_FACE_MESH)]
    photo = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255
    return SampleBatch(photo, coordinates, points("own"), points("control"), rendered, target, mask, moved, own_points)
