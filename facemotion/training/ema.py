"""Exponential moving average of a network's weights, counted in images."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage(Generic[Network]):
    """The average that is released: ``ema ← β ema + (1 − β) weights`` with ``β = ½^(batch / half-life)``.

    The half-life grows with the images seen (at most a twentieth of them) until it reaches its value, so that early
    averages are not dominated by the initial weights (Karras et al., CVPR 2020, appendix; 2024, equation 2).
    """

    def __init__(self, network: Network, *, half_life_images: float):
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.half_life_images = half_life_images
        self.images_before = 0
        """Images that the average has seen in an earlier training, which this one was initialised from."""

    @torch.no_grad()
    def update(self, network: nn.Module, *, batch_images: int, images: int) -> None:
        """Follow ``network`` after a step of ``batch_images``, ``images`` having been seen in all."""
        half_life = min(self.half_life_images, (self.images_before + images) / 20)
        beta = 0.5 ** (batch_images / max(half_life, 1e-8))
        averages: list[torch.Tensor] = [*self.network.parameters()]
        weights = [w.detach() for w in network.parameters()]
        torch._foreach_lerp_(averages, weights, 1 - beta)
        for average, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            average.copy_(buffer)
