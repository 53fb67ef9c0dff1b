"""Metrics of pictures: RGB uint8 arrays (H, W, 3) and a region (H, W) bool -> numbers."""

from __future__ import annotations

import math

import numpy as np

PSNR_LIMIT_DB = 100.0
"""What equal pictures count as, instead of an infinity that no mean survives; 8-bit pictures do not reach it."""


def psnr(image: np.ndarray, truth: np.ndarray, region: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over the pixels of ``region``; at most ``PSNR_LIMIT_DB``."""
    error = float(np.square(image[region].astype(np.float64) - truth[region]).mean())
    return min(PSNR_LIMIT_DB, 10 * math.log10(255**2 / error)) if error else PSNR_LIMIT_DB


def ssim(image: np.ndarray, truth: np.ndarray, region: np.ndarray) -> float:
    """Structural similarity, mean over the pixels of ``region`` and the colours; 1 for equal images.

    Wang et al. 2004: Gaussian window of 11 px, sigma 1.5.
    """
    from skimage.metrics import structural_similarity

    _, full = structural_similarity(
        image, truth, channel_axis=2, data_range=255, gaussian_weights=True, use_sample_covariance=False, full=True
    )
    return float(full.mean(2)[region].mean())
