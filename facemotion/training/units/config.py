"""Everything that decides a training; docs/training.md measures the shipped one, assets/unit_training.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

from facemotion.errors import TrainingError
from facemotion.media.records import built
from facemotion.models.unit_generator import UnitGeneratorConfig


@dataclass(frozen=True)
class UnitTrainConfig:
    """A training in steps, not in time."""

    generator: UnitGeneratorConfig = field(default_factory=UnitGeneratorConfig)
    steps: int = 960
    """Optimiser steps of the generator."""
    batch: int = 4
    """Samples of a step, over all processes."""
    seed: int = 0
    learning_rate: float = 1.5e-3
    """Of Adam, for the generator; falls to a twentieth by a cosine."""
    warm_up: int = 30
    """Steps over which it rises from 0."""
    discriminator_learning_rate: float = 1e-3
    face_px: int = 160
    """Side of the view of the whole face."""
    pixels: float = 6.0
    """Weight of the L1 pyramid."""
    emphasis: float = 6.0
    """How much more pixels count where the target differs from the renderer's frame."""
    perceptual: float = 0.15
    """Weight of the distance of EfficientNet-Lite0's features."""
    perceptual_every: int = 2
    """The perceptual loss joins every so many steps, weighted to make up for it."""
    adversarial: float = 0.0
    """Weight of the hinge loss against the discriminators; 0 leaves them out."""
    features: float = 0.0
    """Weight of the distance of the discriminators' features."""
    adversarial_from: int = 600
    """Step at which the discriminators join."""
    r1: float = 2.0
    """Weight of the gradient penalty on photographs."""
    r1_every: int = 16
    """Steps between two of them."""
    landmarks: float = 10.0
    """Weight of the landmark displacement, L1 in crop widths."""
    smoothness: float = 0.03
    """Weight of the total variation of residual flow (in its reach) and light."""
    restraint: float = 0.15
    """Weight of residual motion and light where no target is known, and of residual colour."""
    pair_share: float = 0.5
    """Of the samples: another photograph of the person; ``still`` has `still_share`, ``back`` the rest."""
    still_share: float = 0.1
    ema_half_life: float = 2000.0
    """Samples over which the released average halves its memory."""
    save_every: int = 50
    """Steps between two states on disk."""

    def __post_init__(self):
        if min(self.steps, self.batch, self.face_px, self.save_every, self.perceptual_every, self.r1_every) < 1:
            raise ValueError("steps, batch and sizes must be positive")
        if not 0 <= self.pair_share + self.still_share <= 1:
            raise ValueError("pair_share and still_share must sum to at most 1")

    @classmethod
    def read(cls, path: Path | None = None) -> UnitTrainConfig:
        """The configuration in a JSON file; without one, the shipped one. Raises TrainingError."""
        source = files("facemotion") / "assets" / "unit_training.json" if path is None else path
        try:
            return built(cls, json.loads(source.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{source} is no training configuration ({error})", "Start from the shipped one."
            ) from error

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=1) + "\n"
