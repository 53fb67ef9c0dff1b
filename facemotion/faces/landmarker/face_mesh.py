"""Face Mesh V2: the 478 points of the face in a crop of 256 × 256 px (Kartynnik et al. 2019, arXiv 1907.06724)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from facemotion.faces.landmarker.layers import SameConv2d, depthwise, pad_channels

INPUT_PX = 256
POINTS = 478

_STAGES = ((16, 8), (32, 16), (64, 32), (128, 64), (128, 64), (128, 64), (128, 64))  # (width, bottleneck) at 128 … 2 px
_BLOCKS = 4


class Bottleneck(nn.Module):
    """Squeeze, look around, widen, add. With ``in_channels`` the first step halves the resolution."""

    def __init__(self, width: int, inner: int, *, in_channels: int | None = None):
        super().__init__()
        self.halves = in_channels is not None
        self.squeeze = nn.Conv2d(width, inner, 1) if in_channels is None else nn.Conv2d(in_channels, inner, 2, stride=2)
        self.squeeze_act = nn.PReLU(inner)
        self.depthwise = depthwise(inner)
        self.widen = nn.Conv2d(inner, width, 1)
        self.act = nn.PReLU(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.widen(self.depthwise(self.squeeze_act(self.squeeze(x))))
        shortcut = pad_channels(F.max_pool2d(x, 2), y.shape[1]) if self.halves else x
        return self.act(shortcut + y)


class FaceMesh(nn.Module):
    """Points, presence of a face and tongue of crops.

    Input (B, 3, 256, 256) RGB in [0, 1]; output: points (B, 478, 3) in crop px (z like x, towards the camera
    negative), presence logit (B,), tongue logit (B,). Layers are registered in the order in which they run; the
    conversion relies on it.
    """

    def __init__(self):
        super().__init__()
        width, inner = _STAGES[0]
        self.stem = SameConv2d(3, width, 3, stride=2)
        self.stem_act = nn.PReLU(width)
        blocks = [Bottleneck(width, inner) for _ in range(_BLOCKS)]
        for (previous, _), (width, inner) in pairwise(_STAGES):
            blocks.append(Bottleneck(width, inner, in_channels=previous))
            blocks.extend(Bottleneck(width, inner) for _ in range(_BLOCKS))
        self.trunk = nn.Sequential(*blocks)
        self.tongue = nn.Conv2d(width, 1, 2)
        self.presence = nn.Conv2d(width, 1, 2)
        self.points = nn.Conv2d(width, 3 * POINTS, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        features = self.trunk(self.stem_act(self.stem(x)))
        points = self.points(features).reshape(len(x), POINTS, 3)
        return points, self.presence(features).flatten(), self.tongue(features).flatten()
