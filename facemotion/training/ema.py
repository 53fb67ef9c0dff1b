"""The exponential moving average of weights that is released: `AveragedModel` of PyTorch with a decay of its own."""

from typing import Generic, TypeVar, cast

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage(Generic[Network]):
    """``average ← decay · average + (1 − decay) · weights``, with a decay counted in images: ``½^(batch / half-life)``.

    The half-life grows with the images seen (at most a twentieth of them) until it reaches its value, so that early
    averages are not dominated by the initial weights (Karras et al., CVPR 2020, appendix; 2024, equation 2).
    """

    def __init__(self, network: Network, *, half_life_images: float):
        """Begins with the weights as they are."""
        self._averaged = AveragedModel(network)
        self._averaged.n_averaged.fill_(1)  # the first update averages too, instead of starting from what it is given
        self.network = cast(Network, self._averaged.module.eval().requires_grad_(False))
        self.half_life_images = half_life_images

    def update(self, network: nn.Module, *, batch_images: int, images: int) -> None:
        """Follow ``network`` after a step of ``batch_images``, ``images`` having been seen in all."""
        half_life = min(self.half_life_images, images / 20)
        self._averaged.multi_avg_fn = get_ema_multi_avg_fn(0.5 ** (batch_images / max(half_life, 1e-8)))
        self._averaged.update_parameters(network)
