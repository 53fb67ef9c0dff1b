"""Convolutions that pad as TensorFlow's "SAME" does, which is how the networks were trained."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class SameConv2d(nn.Conv2d):
    """A convolution that divides the size by its stride; an odd pixel of padding goes below and to the right."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = True
    ):
        total = kernel - stride  # for sizes that the stride divides
        self._before, self._after = total // 2, total - total // 2
        symmetric = self._before == self._after
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=self._before if symmetric else 0,
            groups=groups,
            bias=bias,
        )
        self._asymmetric = not symmetric

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._asymmetric:
            x = F.pad(x, (self._before, self._after, self._before, self._after))
        return super().forward(x)


def depthwise(channels: int, *, stride: int = 1) -> SameConv2d:
    """A 3 × 3 convolution of every channel by itself."""
    return SameConv2d(channels, channels, 3, stride=stride, groups=channels, bias=False)


def pad_channels(x: torch.Tensor, channels: int) -> torch.Tensor:
    """Zero channels appended up to a number of channels."""
    missing = channels - x.shape[1]
    return F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x
