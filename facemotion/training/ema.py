"""Exponential moving averages of weights: `AveragedModel` of PyTorch with a decay of its own at every step."""

from typing import Generic, TypeVar, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Network = TypeVar("Network", bound=nn.Module)


class MovingAverage(Generic[Network]):
    """``average ← decay · average + (1 − decay) · weights``, beginning with the weights as they are.

    ``buffers``: also average what is no parameter, such as the running means of batch normalisation; they are copied
    otherwise.
    """

    def __init__(self, network: Network, *, buffers: bool = False):
        self._averaged = AveragedModel(network, use_buffers=buffers)
        self._averaged.n_averaged.fill_(1)  # the first update averages too, instead of starting from what it is given
        self.network = cast(Network, self._averaged.module.eval().requires_grad_(False))

    def follow(self, network: nn.Module, *, decay: float) -> None:
        """One step towards ``network``."""
        self._averaged.multi_avg_fn = get_ema_multi_avg_fn(decay)
        self._averaged.update_parameters(network)


class WeightAverage(MovingAverage[Network]):
    """The average that is released, its decay counted in images: ``½^(batch / half-life)``.

    The half-life grows with the images seen (at most a twentieth of them) until it reaches its value, so that early
    averages are not dominated by the initial weights (Karras et al., CVPR 2020, appendix; 2024, equation 2).
    """

    def __init__(self, network: Network, *, half_life_images: float):
        super().__init__(network)
        self.half_life_images = half_life_images
        self.images_before = 0
        """Images that the average has seen in an earlier training, which this one was initialised from."""

    def update(self, network: nn.Module, *, batch_images: int, images: int) -> None:
        """Follow ``network`` after a step of ``batch_images``, ``images`` having been seen in all."""
        half_life = min(self.half_life_images, (self.images_before + images) / 20)
        self.follow(network, decay=0.5 ** (batch_images / max(half_life, 1e-8)))


@torch.no_grad()
def follow_tensors(averages: list[torch.Tensor], weights: list[torch.Tensor], *, decay: float) -> None:
    """The same for some tensors of a network."""
    get_ema_multi_avg_fn(decay)(tuple(averages), tuple(weights), 1)
