"""The terms of the adversarial game: hinge losses, R1, feature matching."""

import torch
import torch.nn.functional as F
from torch import Tensor

from facemotion.models.discriminators import DiscriminatorOutput

Outputs = dict[str, DiscriminatorOutput]
Views = dict[str, Tensor]


def discriminator_hinge(real: Outputs, fake: Outputs, weight: Tensor) -> Tensor:
    """``mean_d mean(w · (max(0, 1 − D(real)) + max(0, 1 + D(fake))))`` (Lim & Ye 2017; Miyato et al. 2018).

    weight (B,): of every sample; not normalised within the batch, so that a batch may be split over processes. At
    chance and weight 1 the value is 2, at full accuracy 0.
    """
    scale = weight[:, None, None, None]
    parts = [
        (scale * (F.relu(1 - real[name].logits.float()) + F.relu(1 + fake[name].logits.float()))).mean()
        for name in real
    ]
    return torch.stack(parts).mean()


def generator_hinge(fake: Outputs) -> Tensor:
    """``−mean_d mean(D(fake))``."""
    return -torch.stack([output.logits.float().mean() for output in fake.values()]).mean()


def feature_matching(real: Outputs, fake: Outputs) -> Tensor:
    """``mean |D_l(real) − D_l(fake)|`` over discriminators and layers (Wang et al., CVPR 2018, equation 4)."""
    parts = [
        (a.float() - b.detach().float()).abs().mean()
        for name in real
        for a, b in zip(fake[name].features, real[name].features, strict=True)
    ]
    return torch.stack(parts).mean()


def r1_penalty(real: Outputs, views: Views) -> Tensor:
    """``½ |∇_x D(x)|²`` at real samples, mean over the batch and the discriminators (Mescheder et al., ICML 2018).

    The logits of a patch discriminator are summed over its patches' mean, so that the value does not grow with them.
    """
    total = torch.stack([output.logits.float().mean((1, 2, 3)).sum() for output in real.values()]).sum()
    gradients = torch.autograd.grad(total, list(views.values()), create_graph=True)
    return torch.stack([g.square().sum((1, 2, 3)).mean() for g in gradients]).mean() / 2


def accuracy(real: Outputs, fake: Outputs) -> dict[str, Tensor]:
    """Share of patches that each discriminator classifies correctly, 0.5 at chance: what to watch."""
    return {
        name: ((real[name].logits > 0).float().mean() + (fake[name].logits < 0).float().mean()).detach() / 2
        for name in real
    }
