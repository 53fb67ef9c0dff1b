"""Convolution blocks that generators share."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Network = TypeVar("Network", bound=nn.Module)

GROUPS = 8
"""Groups of every group normalisation; channel counts are multiples of it."""


class Uninitialised(TorchFunctionMode):
    """Where this is active, modules leave their parameters as they come: they are about to be loaded.

    On the meta device, initialising a parameter is for nothing, and drawing from a normal distribution imports half of
    PyTorch's compiler, which takes as long as PyTorch itself.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


class ConvNormAct(nn.Sequential):
    """Convolution, group normalisation, SiLU; ``stride`` 2 halves the resolution."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1, kernel: int = 3):
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
            nn.GroupNorm(GROUPS, channels_out),
            nn.SiLU(),
        )


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = ConvNormAct(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x + self.norm(self.second(self.first(x))))


class FiLM(nn.Module):
    """Scale and shift of every channel, read from an embedding (Perez et al., AAAI 2018)."""

    def __init__(self, embedding: int, channels: int):
        super().__init__()
        self.to_scale_shift = nn.Linear(embedding, 2 * channels)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.to_scale_shift(embedding)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


def with_rough_convolutions(network: Network, dtype: torch.dtype) -> Network:
    """A copy of a network whose convolutions multiply in ``dtype``, and take and give float32: on a CPU all else is
    faster in that."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if isinstance(module, nn.Conv2d):
            module.to(dtype)
            module.register_forward_pre_hook(lambda _, inputs: inputs[0].to(dtype))
            module.register_forward_hook(lambda _, inputs, output: output.float())
    return copied


def convolved_at_once(x: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> tuple[Tensor, ...]:
    """float32 what two layers of one kind make of the same maps; of few channels it costs as much as one."""
    weight = torch.cat([first.weight, second.weight])
    bias = None if first.bias is None or second.bias is None else torch.cat([first.bias, second.bias])
    together = F.conv2d(x.to(weight.dtype), weight, bias, first.stride, first.padding)
    return together.float().split([first.out_channels, second.out_channels], 1)


def upsample2(x: Tensor) -> Tensor:
    """Double the resolution, bilinearly, edges on edges."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def coordinates(batch: int, height: int, width: int, *, like: Tensor) -> Tensor:
    """(batch, 2, height, width) x and y in [-1, 1]: crops are aligned, so position tells which feature it is."""
    y = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)
    x = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    return grid.expand(batch, 2, height, width)
