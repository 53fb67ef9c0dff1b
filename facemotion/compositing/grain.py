"""The photo's own grain, for what is painted into it: smooth paint beside noisy skin looks like plastic."""

from __future__ import annotations

import cv2
import numpy as np

TILE_PX = 512
_BLOCK_PX = 8
_MOST_PX = 1024  # the middle of larger faces says enough
_QUIET = 0.1  # share of the blocks that is measured: the quietest, where beard, lashes and edges do not count
_FINE_PX = 1.5  # what a Gaussian of this width removes counts as fine
_BLURS_PX = (0.4, 0.5, 0.6, 0.8)
# Correlation of neighbours in the fine part: some -0.03 for white noise, 0.5 and more for skin and edges without any.
_SURELY_GRAIN, _SURELY_STRUCTURE = 0.2, 0.5


def grain_tile(photo: np.ndarray, inside: np.ndarray) -> np.ndarray | None:
    """A tile of grain as strong and as coarse as that of a photo, in 8-bit luminance levels.

    photo: (H, W, 3) uint8; inside: (H, W) bool, where to measure. Returns (TILE_PX, TILE_PX) float32 of mean zero,
    the same for the same photo; None where the photo has no grain or there is too little of it to measure.
    """
    if min(inside.shape) <= _BLOCK_PX:
        return None
    middle = tuple(slice(max(0, (side - _MOST_PX) // 2), (side + _MOST_PX) // 2) for side in inside.shape)
    photo, inside = photo[middle], inside[middle]
    fine = _fine(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32))
    whole = _block_means(inside[:, 1:].astype(np.float32)) > 0.99
    variance = _block_means(fine[:, 1:] * fine[:, 1:])[whole]
    covariance = _block_means(fine[:, 1:] * fine[:, :-1])[whole]
    quiet = np.argsort(variance)[: int(_QUIET * variance.size)]
    if quiet.size < 5 or variance[quiet].mean() < 0.01:
        return None
    correlation = float(covariance[quiet].mean() / variance[quiet].mean())
    if correlation >= _SURELY_STRUCTURE:
        return None
    share = min(1.0, (_SURELY_STRUCTURE - correlation) / (_SURELY_STRUCTURE - _SURELY_GRAIN))
    noise = np.random.default_rng(0).standard_normal((TILE_PX, TILE_PX), dtype=np.float32)
    candidates = [noise, *(cv2.GaussianBlur(noise, (0, 0), blur_px) for blur_px in _BLURS_PX)]
    tile = min(candidates, key=lambda candidate: abs(_correlation(_fine(candidate)) - correlation))
    return tile * np.float32(share * np.sqrt(variance[quiet].mean() / np.square(_fine(tile)).mean()))


def _fine(luminance: np.ndarray) -> np.ndarray:
    return luminance - cv2.GaussianBlur(luminance, (0, 0), _FINE_PX)


def _correlation(fine: np.ndarray) -> float:
    return float((fine[:, 1:] * fine[:, :-1]).mean() / np.square(fine).mean())


def _block_means(values: np.ndarray) -> np.ndarray:
    height, width = (side // _BLOCK_PX for side in values.shape)
    whole = np.ascontiguousarray(values[: height * _BLOCK_PX, : width * _BLOCK_PX])
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
