"""Metrics of pictures: images (3, H, W) in [0, 1] and a region (H, W) bool -> numbers. Pure functions of tensors.

PSNR and SSIM (Wang et al. 2004: Gaussian window of 11 px, sigma 1.5) are those of torchmetrics.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facemotion.compositing.tint import LUMA_REC601

PSNR_LIMIT_DB = 100.0
"""What equal pictures count as, instead of an infinity that no mean survives; 8-bit pictures do not reach it."""


def psnr(image: Tensor, truth: Tensor, region: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over the pixels of ``region``; at most ``PSNR_LIMIT_DB``."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return min(PSNR_LIMIT_DB, float(peak_signal_noise_ratio(image[:, region], truth[:, region], data_range=1.0)))


def similarity_map(images: Tensor, truths: Tensor) -> Tensor:
    """SSIM around every pixel: two times (B, 3, H, W) in [0, 1] -> (B, H, W), mean over the colours."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, full = structural_similarity_index_measure(images, truths, data_range=1.0, return_full_image=True)
    return full.mean(1)


def ssim(image: Tensor, truth: Tensor, region: Tensor) -> float:
    """Structural similarity, mean over the pixels of ``region``; 1 for equal images."""
    return float(similarity_map(image[None], truth[None])[0][region].mean())


def sharpness(image: Tensor, region: Tensor) -> float:
    """Energy of the finest details: mean squared Laplacian of the luma over ``region``."""
    luma = (image * image.new_tensor(LUMA_REC601)[:, None, None]).sum(0)[None, None]
    kernel = image.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    laplacian = F.conv2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), kernel)[0, 0]
    return float(laplacian[region].square().mean())


def sharpness_kept(image: Tensor, source: Tensor, region: Tensor) -> float:
    """Sharpness of a frame against its photo's in the same region: 1 is as sharp, less is softer."""
    before = sharpness(source, region)
    return sharpness(image, region) / before if before > 0 else 1.0


def mean_difference(image: Tensor, other: Tensor, region: Tensor) -> float:
    """Mean absolute difference over ``region`` in levels of 8 bits."""
    return float(255 * (image - other)[:, region].abs().mean())


def largest_difference(image: Tensor, other: Tensor, region: Tensor | None = None) -> float:
    """Largest absolute difference in levels of 8 bits; 0 for equal images and for an empty region."""
    difference = (image - other).abs()
    difference = difference if region is None else difference[:, region]
    return float(255 * difference.max()) if difference.numel() else 0.0


def to_unit(images: np.ndarray) -> Tensor:
    """RGB uint8 arrays (T, H, W, 3) -> float (T, 3, H, W) in [0, 1]."""
    return torch.tensor(images).movedim(-1, -3).float() / 255
