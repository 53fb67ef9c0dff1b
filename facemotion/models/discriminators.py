"""Who tells photographs from generated frames: patch discriminators of the face, of the mouth and of an eye."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn


class ViewDiscriminator(nn.Module):
    """Strided convolutions without normalisation; R1 keeps them stable (Isola et al., CVPR 2017)."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(shallow, deep, 4, 2, 1) for shallow, deep in itertools.pairwise((3, *widths))
        )
        self.mix = nn.Conv2d(widths[-1], widths[-1], 3, 1, 1)
        self.to_logits = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, view: Tensor) -> tuple[Tensor, list[Tensor]]:
        """view (B, 3, h, w) RGB in [0, 1] -> logits (B, 1, h', w'), larger is more real, and every layer's features."""
        hidden, features = 2 * view - 1, []
        for layer in (*self.layers, self.mix):
            hidden = F.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        return self.to_logits(hidden), features


class Discriminators(nn.Module):
    """One discriminator for each kind of view; both eyes share one, the right one mirrored."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 96)):
        super().__init__()
        self.networks = nn.ModuleDict(
            {
                "face": ViewDiscriminator(widths),
                "mouth": ViewDiscriminator(widths[:3]),
                "eye": ViewDiscriminator(widths[:3]),
            }
        )

    def forward(self, views: dict[str, Tensor]) -> dict[str, tuple[Tensor, list[Tensor]]]:
        """Logits and features of views ``face``, ``mouth``, ``eye``."""
        return {name: self.networks[name](view) for name, view in views.items()}
