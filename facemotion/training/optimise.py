"""Learning rates over a training, and the optimisers."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from facemotion.training.config import OptimiserConfig


def learning_rate(config: OptimiserConfig, *, images: int, total: int) -> float:
    """Rate of the generator: linear warm-up, then constant or half a cosine down to a twentieth at ``total``."""
    rate = config.lr * min(1.0, (images + 1) / max(config.warmup_images, 1))
    if config.schedule == "cosine":
        rate *= 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(images / total, 1.0)))
    return rate


def adamw(parameters: Iterable[nn.Parameter], *, betas: tuple[float, float], weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter, ICLR 2019) whose rate is set before every step."""
    return torch.optim.AdamW(parameters, lr=0.0, betas=betas, weight_decay=weight_decay, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate
