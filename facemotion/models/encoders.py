"""The base encoder of a photo and the residual encoder of an expression (once per photo)."""

import itertools

import torch
from torch import Tensor, nn

from facemotion.models.blocks import ConvNormAct, FiLM, ResidualBlock, coordinates


class BaseEncoder(nn.Module):
    """Features of the photo at strides 2, 4, 8, …: one level per entry of ``widths``."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.stem = ConvNormAct(5, widths[0], stride=2, kernel=5)
        self.levels = nn.ModuleList(
            nn.Sequential(ConvNormAct(finer, coarser, stride=2), ResidualBlock(coarser))
            for finer, coarser in itertools.pairwise(widths)
        )

    def forward(self, source: Tensor) -> list[Tensor]:
        """source (B, 3, H, W) in [-1, 1] -> features, finest first."""
        batch, _, height, width = source.shape
        features = [self.stem(torch.cat([source, coordinates(batch, height, width, like=source)], 1))]
        for level in self.levels:
            features.append(level(features[-1]))
        return features


class ResidualEncoder(nn.Module):
    """What an expression at control 1 adds to the base features, at every skip level.

    One trunk serves ``count`` expressions: each has an embedding that modulates the base features by FiLM before
    they are convolved, finest level first, every level seeing the one before it.
    """

    def __init__(self, widths: tuple[int, ...], *, count: int, embedding: int):
        super().__init__()
        self.embedding = nn.Embedding(count, embedding)
        self.films = nn.ModuleList(FiLM(embedding, width) for width in widths)
        self.convs = nn.ModuleList(ConvNormAct(width, width) for width in widths)
        self.downs = nn.ModuleList(
            ConvNormAct(finer, coarser, stride=2) for finer, coarser in itertools.pairwise(widths)
        )
        self.outs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for width in widths)

    def forward(self, base: list[Tensor], expression: Tensor) -> list[Tensor]:
        """base: features of N photos; expression (N,) indices -> residuals of the same shapes."""
        code = self.embedding(expression)
        residuals: list[Tensor] = []
        hidden: Tensor | None = None
        for level, features in enumerate(base):
            modulated = self.films[level](features, code)
            if hidden is not None:
                modulated = modulated + self.downs[level - 1](hidden)
            hidden = self.convs[level](modulated)
            residuals.append(self.outs[level](hidden))
        return residuals
