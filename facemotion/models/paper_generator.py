"""The paper's generator ``f(I, c)``: one photo and a control vector to a whole frame.

After Fan et al., "Controllable Image-to-Video Translation" (AAAI 2019, arXiv 1808.02992): the control enters through
the skip connections, the decoder draws every pixel, and a head predicts landmarks. Our reading: a base encoder and
residual encoders, ``skip_l = base_l + Σ_k c_k · residual_l,k``, one decoder for all. Ours: the control has 52 units
(target minus own) instead of types of expression, and the residual encoders share one trunk that each unit modulates,
since 52 of them would not be learned from the data at hand.

``f(I, 0)`` is what the decoder makes of the base features alone: near the photo by training, not by construction.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.models.blocks import ConvNormAct, FiLM, ResidualBlock, coordinates, upsample2

LANDMARKS = 68


@dataclass(frozen=True)
class PaperGeneratorConfig:
    """Everything that rebuilds a generator; travels in the header of its weights."""

    units: int = 52
    """Length of the control vector."""
    input_px: int = 256
    """Side of photo and frame."""
    widths: tuple[int, ...] = (32, 64, 128, 160, 192)
    """Channels at strides 2, 4, 8, …; finest first."""
    embedding: int = 64
    """Length of a unit's embedding."""
    dead_zone: float = 0.05
    """Strength up to which a unit counts as none: fits give faint ones to nearly all, and each costs a residual."""

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or any(width < 8 or width % 8 for width in self.widths):
            raise ValueError("widths must be two or more multiples of 8")
        if min(self.units, self.embedding) < 1 or self.input_px < 1 or self.input_px % 2 ** len(self.widths):
            raise ValueError(f"input_px must be divisible by {2 ** len(self.widths)}, units and embedding positive")


@dataclass
class PaperFrames:
    """K frames of each of B photos."""

    images: Tensor
    """(B, K, 3, input_px, input_px) RGB in [0, 1]."""
    landmarks: Tensor
    """(B, K, 68, 2) crop widths."""


class _BaseEncoder(nn.Module):
    """Features of the photo at every stride, finest first."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.stem = ConvNormAct(5, widths[0], stride=2, kernel=5)
        self.levels = nn.ModuleList(
            nn.Sequential(ConvNormAct(finer, coarser, stride=2), ResidualBlock(coarser))
            for finer, coarser in itertools.pairwise(widths)
        )

    def forward(self, photo: Tensor) -> list[Tensor]:
        batch, _, height, width = photo.shape
        features = [self.stem(torch.cat([photo, coordinates(batch, height, width, like=photo)], 1))]
        for level in self.levels:
            features.append(level(features[-1]))
        return features


class _ResidualEncoder(nn.Module):
    """What a unit at control 1 adds to the base features, at every stride, every level seeing the finer one."""

    def __init__(self, config: PaperGeneratorConfig):
        super().__init__()
        widths = config.widths
        self.embedding = nn.Embedding(config.units, config.embedding)
        self.films = nn.ModuleList(FiLM(config.embedding, width) for width in widths)
        self.convs = nn.ModuleList(ConvNormAct(width, width) for width in widths)
        self.downs = nn.ModuleList(
            ConvNormAct(finer, coarser, stride=2) for finer, coarser in itertools.pairwise(widths)
        )
        self.outs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for width in widths)

    def forward(self, base: list[Tensor], unit: Tensor) -> list[Tensor]:
        """base: features of N photos; unit (N,) -> residuals of the same shapes."""
        code = self.embedding(unit)
        residuals: list[Tensor] = []
        hidden: Tensor | None = None
        for level, features in enumerate(base):
            modulated = self.films[level](features, code)
            if hidden is not None:
                modulated = modulated + self.downs[level - 1](hidden)
            hidden = self.convs[level](modulated)
            residuals.append(self.outs[level](hidden))
        return residuals


class _Decoder(nn.Module):
    """Skips to a frame and its landmarks."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.coarsest = ResidualBlock(widths[-1])
        self.reductions = nn.ModuleList(nn.Conv2d(coarser, finer, 1) for finer, coarser in itertools.pairwise(widths))
        self.refinements = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), ResidualBlock(width)) for width in widths[:-1]
        )
        self.to_image = nn.Conv2d(widths[0], 4 * 3, 3, 1, 1)
        self.landmark_features = nn.Sequential(nn.Conv2d(widths[-1], 32, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(4))
        self.to_landmarks = nn.Linear(32 * 16, LANDMARKS * 2)
        nn.init.constant_(self.to_landmarks.bias, 0.5)

    def forward(self, skips: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Skips, finest first -> (M, 3, input_px, input_px) in [0, 1], (M, 68, 2) crop widths."""
        hidden = self.coarsest(skips[-1])
        landmarks = self.to_landmarks(self.landmark_features(hidden).flatten(1).float())
        for level in reversed(range(len(self.reductions))):
            hidden = self.refinements[level](upsample2(self.reductions[level](hidden)) + skips[level])
        image = torch.sigmoid(F.pixel_shuffle(self.to_image(hidden), 2).float())
        return image, landmarks.float().unflatten(1, (LANDMARKS, 2))


class PaperGenerator(nn.Module):
    """See the module's text."""

    def __init__(self, config: PaperGeneratorConfig | None = None):
        super().__init__()
        self.config = config = config or PaperGeneratorConfig()
        self.base_encoder = _BaseEncoder(config.widths)
        self.residual_encoder = _ResidualEncoder(config)
        self.decoder = _Decoder(config.widths)

    def forward(self, photo: Tensor, controls: Tensor) -> PaperFrames:
        """photo (B, 3, input_px, input_px) RGB in [0, 1], encoded once; controls (B, K, U) of K frames each."""
        controls = controls.sign() * (controls.abs() - self.config.dead_zone).clamp(min=0)
        base = self.base_encoder(2 * photo - 1)
        of_photo, unit = torch.nonzero((controls != 0).any(1), as_tuple=True)
        residuals = self.residual_encoder([level[of_photo] for level in base], unit)
        frames = [
            self.decoder(
                [
                    level.index_add(0, of_photo, weight[:, None, None, None].to(part.dtype) * part)
                    for level, part in zip(base, residuals, strict=True)
                ]
            )
            for weight in controls[of_photo, :, unit].unbind(1)
        ]
        images, landmarks = zip(*frames, strict=True)
        return PaperFrames(torch.stack(images, 1), torch.stack(landmarks, 1))
