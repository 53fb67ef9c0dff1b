"""Who tells photographs from generated frames, and is shown the photo they start from: patch discriminators of the
face, of the mouth and of an eye."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SLOPE = 0.2
"""Of the leaky ReLU below 0."""
_CHANGE = 2.0
"""How much larger a discriminator sees what differs from the photo."""


class ViewDiscriminator(nn.Module):
    """Strided convolutions without normalisation; R1 keeps them stable (Isola et al., CVPR 2017)."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(shallow, deep, 4, 2, 1) for shallow, deep in itertools.pairwise((6, *widths))
        )
        self.mix = nn.Conv2d(widths[-1], widths[-1], 3, 1, 1)
        self.to_logits = nn.Conv2d(widths[-1], 1, 1)
        for layer in (*self.layers, self.mix):  # features neither fade nor grow from layer to layer
            nn.init.kaiming_normal_(layer.weight, _SLOPE)
            nn.init.zeros_(layer.bias)

    def forward(self, view: Tensor, photo: Tensor) -> tuple[Tensor, list[Tensor]]:
        """A view and the same place of the photo, (B, 3, h, w) RGB in [0, 1] each -> logits (B, 1, h', w'), larger is
        more real, and every layer's features."""
        hidden, features = torch.cat([2 * view - 1, _CHANGE * (view - photo)], 1), []
        for layer in (*self.layers, self.mix):
            hidden = F.leaky_relu(layer(hidden), _SLOPE)
            features.append(hidden)
        return self.to_logits(hidden), features


class Discriminators(nn.Module):
    """One discriminator for each kind of view; both eyes share one, the right one mirrored.

    That of the face sees half the resolution: folds and shapes, but not pores and noise, in which any two photographs
    differ and a warped one does not.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 128)):
        super().__init__()
        self.networks = nn.ModuleDict(
            {
                "face": ViewDiscriminator(widths),
                "mouth": ViewDiscriminator(widths[:3]),
                "eye": ViewDiscriminator(widths[:3]),
            }
        )

    def forward(self, views: dict[str, Tensor], photos: dict[str, Tensor]) -> dict[str, tuple[Tensor, list[Tensor]]]:
        """Logits and features of views ``face``, ``mouth``, ``eye``, beside those of the photo."""
        seen = {}
        for name, view in views.items():
            photo = photos[name]
            if name == "face":
                view, photo = F.avg_pool2d(view, 2), F.avg_pool2d(photo, 2)
            seen[name] = self.networks[name](view, photo)
        return seen
