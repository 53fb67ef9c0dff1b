"""Blendshape V2: the strengths of 52 expression units, from 146 points of the face alone.

An MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601) over 96 learnt mixtures of the points and one class token.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

# fmt: off
POINT_INDICES = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317,
    318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385,
    386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476,
    477,
)
"""Which of the 478 points the network is given."""
# fmt: on

_TOKENS, _WIDTH, _TOKEN_INNER, _WIDTH_INNER, _LAYERS, _SCORES = 96, 64, 384, 256, 4, 52
_SPREAD = 0.5  # mean distance of the points from their centre, as the network was trained


class MixerLayer(nn.Module):
    """Mixes tokens, then channels, each with a residual."""

    def __init__(self):
        super().__init__()
        self.token_norm = nn.LayerNorm(_WIDTH, eps=1e-6, bias=False)
        self.token_in = nn.Linear(_TOKENS + 1, _TOKEN_INNER)
        self.token_out = nn.Linear(_TOKEN_INNER, _TOKENS + 1)
        self.channel_norm = nn.LayerNorm(_WIDTH, eps=1e-6, bias=False)
        self.channel_in = nn.Linear(_WIDTH, _WIDTH_INNER)
        self.channel_out = nn.Linear(_WIDTH_INNER, _WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.token_out(F.relu(self.token_in(self.token_norm(x).mT))).mT
        return x + self.channel_out(F.relu(self.channel_in(self.channel_norm(x))))


class BlendshapeMixer(nn.Module):
    """Input (B, 146, 2) points in px of an upright picture, any place and scale; output (B, 52) scores in [0, 1].

    The order of the scores is `units.NETWORK_NAMES`. Layers are registered in the order in which they run; the
    conversion relies on it.
    """

    def __init__(self):
        super().__init__()
        self.points = nn.Linear(len(POINT_INDICES), _TOKENS)
        self.embed = nn.Linear(2, _WIDTH)
        self.class_token = nn.Parameter(torch.zeros(_WIDTH))
        self.layers = nn.Sequential(*[MixerLayer() for _ in range(_LAYERS)])
        self.head = nn.Linear(_WIDTH, _SCORES)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        centred = points - points.mean(1, keepdim=True)
        scaled = centred * (_SPREAD / centred.norm(dim=2, keepdim=True).mean(1, keepdim=True).clamp_min(1e-9))
        tokens = self.embed(self.points(scaled.mT).mT)
        tokens = torch.cat([self.class_token.expand(len(tokens), 1, -1), tokens], 1)
        return self.head(self.layers(tokens)[:, 0]).sigmoid()
