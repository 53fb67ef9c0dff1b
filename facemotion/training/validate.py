"""Quick numbers on people who are not trained on, for the loss log; facemotion.evaluate measures more."""

from dataclasses import replace

import torch

from facemotion.models.generator import Generator
from facemotion.training import losses
from facemotion.training.augment import augment
from facemotion.training.config import AugmentConfig, SamplerConfig
from facemotion.training.dataset import ClipPool
from facemotion.training.regions import region_weight
from facemotion.training.sampler import Sampler
from facemotion.training.step import AugmentedBatch, GeneratorStep

UNCHANGED = AugmentConfig(**{name: 0.0 for name in AugmentConfig.__dataclass_fields__} | {"identity": 1.0})
"""No augmentation."""


class Validation:
    """The same samples at every call: one frame near the peak and one other of each."""

    def __init__(self, pool: ClipPool, config: SamplerConfig, *, samples: int = 48, batch: int = 8):
        sampler = Sampler(pool.facts, config=replace(config, frames_per_source=2), augment=UNCHANGED, seed=0)
        self._pool, self._batch = pool, batch
        self._samples = [sampler.sample(number) for number in range(samples)]

    @torch.no_grad()
    def measure(self, generator: Generator, *, input_px: int, paint_px: int) -> dict[str, float]:
        """``validation_l1`` of the crop, ``validation_features_l1`` of mouth and eyes, ``validation_still_l1`` of doing
        nothing (there), and ``validation_landmark`` of the landmark head, in inter-ocular distances."""
        device = next(generator.parameters()).device
        step = GeneratorStep(generator)
        sums: dict[str, float] = {}
        for start in range(0, len(self._samples), self._batch):
            batch = self._pool.batch(self._samples[start : start + self._batch], size=paint_px).to(device)
            frames, landmarks = augment(batch, size=paint_px)
            shown = AugmentedBatch(frames, landmarks, batch.control, batch.real)
            made = step(shown.source, shown.control, input_px=input_px, autocast=False)
            points = landmarks[:, 1:].flatten(0, 1)
            focus = region_weight(points, paint_px, mouth=2.0, eyes=2.0) - 1
            error = (made.frames - shown.targets).abs().flatten(0, 1).mean(1, keepdim=True)
            still = (frames[:, :1] - shown.targets).abs().flatten(0, 1).mean(1, keepdim=True)
            values = {
                "validation_l1": error.mean(),
                "validation_features_l1": (focus * error).sum() / focus.sum(),
                "validation_still_l1": (focus * still).sum() / focus.sum(),
                "validation_landmark": losses.landmark(made.landmarks, landmarks[:, 1:]),
            }
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(shown.control)
        return {name: total / len(self._samples) for name, total in sums.items()}
