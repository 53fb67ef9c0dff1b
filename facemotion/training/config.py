"""Everything that decides a training; docs/training.md measures the shipped one, assets/training.json."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

from facemotion.errors import TrainingError
from facemotion.media.records import built, parse_object
from facemotion.models.generator import GeneratorConfig
from facemotion.models.paper_generator import PaperGeneratorConfig


@dataclass(frozen=True)
class TrainConfig:
    """What every training has; its length is counted in steps, not in time."""

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
    """How much more pixels count where the target differs from what is there without the network."""
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
    """Weight of the landmarks, L1 in crop widths."""
    pair_share: float = 0.5
    """Of the samples: another photograph of the person; ``still`` has `still_share`, ``back`` the rest."""
    still_share: float = 0.1
    jitter: float = 0.0
    """How far samples are turned (radians), resized (log) and shifted (crop widths): standard deviation of each."""
    ema_half_life: float = 2000.0
    """Samples over which the released average halves its memory."""
    save_every: int = 50
    """Steps between two states on disk."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.face_px, self.save_every, self.r1_every) < 1:
            raise ValueError("steps, batch and sizes must be positive")
        if not 0 <= self.pair_share + self.still_share <= 1:
            raise ValueError("pair_share and still_share must sum to at most 1")

    @property
    @abstractmethod
    def input_px(self) -> int:
        """Side of the crop that the generator sees."""

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=1) + "\n"


@dataclass(frozen=True)
class CorrectionTrainConfig(TrainConfig):
    """The training of the generator that corrects the renderer's frames."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    perceptual: float = 0.15
    """Weight of the distance of EfficientNet-Lite0's features."""
    perceptual_every: int = 2
    """The perceptual loss joins every so many steps, weighted to make up for it."""
    smoothness: float = 0.03
    """Weight of the total variation of residual flow (in its reach) and light."""
    restraint: float = 0.15
    """Weight of residual motion and light where no target is known, and of residual colour."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.perceptual_every < 1:
            raise ValueError("perceptual_every must be positive")

    @property
    def input_px(self) -> int:
        return self.generator.input_px


@dataclass(frozen=True)
class PaperTrainConfig(TrainConfig):
    """The training of the paper's generator (Fan et al., AAAI 2019), which draws whole frames.

    Its paper's weights are not known here; these are ours.
    """

    generator: PaperGeneratorConfig = field(default_factory=PaperGeneratorConfig)
    adversarial: float = 0.1
    features: float = 0.5
    identity: float = 10.0
    """Weight of ``f(I, 0) = I``, beside the pixels of the target."""
    temporal: float = 1.0
    """Weight of the difference of frames at controls that nearly agree."""
    temporal_step: float = 0.1
    """How far apart those are, as a share of the control."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temporal_step <= 1:
            raise ValueError("temporal_step must be above 0 and at most 1")

    @property
    def input_px(self) -> int:
        return self.generator.input_px


PRESETS: dict[str, type[CorrectionTrainConfig] | type[PaperTrainConfig]] = {
    "corrections": CorrectionTrainConfig,
    "paper": PaperTrainConfig,
}
"""What can be trained: the generator that corrects the renderer, and the paper's, which draws whole frames."""
_FILES = {"corrections": "training.json", "paper": "training-paper.json"}


def read_config(preset: str = "corrections", path: Path | None = None) -> CorrectionTrainConfig | PaperTrainConfig:
    """The configuration of a preset in a JSON file; without one, the shipped one. Raises TrainingError."""
    if preset not in PRESETS:
        raise TrainingError(f"there is no preset {preset!r}", f"Choose one of: {', '.join(PRESETS)}.")
    source = files("facemotion") / "assets" / _FILES[preset] if path is None else path
    try:
        return built(PRESETS[preset], parse_object(source.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{source} is no configuration of the preset {preset} ({error})", "Start from the shipped one."
        ) from error
