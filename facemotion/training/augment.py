"""Augmentation of a batch on its device: the same change for a source and its targets, landmarks follow.

A degraded source has an equally degraded target, so that copying pixels stays the right answer where nothing moves.
"""

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from facemotion.training.dataset import Batch
from facemotion.training.regions import FLIP


def augment(batch: Batch, *, size: int) -> tuple[Tensor, Tensor]:
    """Frames (B, 1 + K, 3, size, size) in [-1, 1] and their landmarks (B, 1 + K, 78, 2) in crop widths."""
    frames = batch.frames.permute(0, 1, 4, 2, 3).float() / 255
    frames = _move(frames, batch.affine, size)
    frames = frames.clamp(min=1e-4) ** batch.gamma[:, None, None, None, None]
    matrix, offset = batch.colour[..., :3], batch.colour[..., 3]
    frames = torch.einsum("bij,bkjhw->bkihw", matrix, frames) + offset[:, None, :, None, None]
    frames = _on_some(frames, batch.blur_sigma, _blur)
    frames = frames + _noise(batch, frames)
    frames = _on_some(frames.clamp(0, 1), batch.jpeg_quality, _quantise)
    return frames.clamp(0, 1) * 2 - 1, _move_landmarks(batch)


def _move(frames: Tensor, affine: Tensor, size: int) -> Tensor:
    """Frames through the affine map, at side ``size``; borders repeat."""
    batch, count, channels = frames.shape[:3]
    inverse = torch.linalg.inv(affine[:, :, :2])
    theta = torch.cat([inverse, -2 * inverse @ affine[:, :, 2:]], 2)  # crop widths from the middle, times 2
    grid = F.affine_grid(theta, [batch, channels, size, size], align_corners=False)
    flat = frames.flatten(1, 2)
    moved = F.grid_sample(flat, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.unflatten(1, (count, channels))


def _move_landmarks(batch: Batch) -> Tensor:
    points = (batch.landmarks - 0.5) @ batch.affine[:, None, :, :2].transpose(-1, -2)
    points = points + batch.affine[:, None, None, :, 2] + 0.5
    return torch.where(batch.flip[:, None, None, None], points[:, :, list(FLIP)], points)


def _on_some(frames: Tensor, strength: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``change(frames, strength)`` on the samples of the batch whose strength (on the host) is above 0."""
    chosen = torch.nonzero(strength > 0).flatten()
    if len(chosen) == 0:
        return frames
    where = chosen.to(frames.device)
    return frames.index_copy(0, where, change(frames[where], strength[chosen].to(frames.device)))


def _blur(frames: Tensor, sigma: Tensor) -> Tensor:
    """Separable Gaussian; sigma (B,) in crop widths."""
    batch, count, channels, height, width = frames.shape
    sigma_px = (sigma * width).clamp(min=0.05)
    reach = max(1, min(8, math.ceil(2.5 * 0.004 * width)))
    offsets = torch.arange(-reach, reach + 1, device=frames.device, dtype=frames.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(count * channels, 0)
    groups = batch * count * channels
    flat = F.pad(frames.reshape(1, groups, height, width), (reach,) * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=groups)
    return F.conv2d(flat, kernel[:, None, :, None], groups=groups).reshape(frames.shape)


@functools.lru_cache(maxsize=2)
def _noise_field(side: int, device: torch.device) -> Tensor:
    return torch.randn(3, side, side, generator=torch.Generator().manual_seed(0)).to(device)


def _noise(batch: Batch, frames: Tensor) -> Tensor | float:
    """White noise cut from one fixed field, so that a sample's noise depends on nothing but the sample."""
    if not (batch.noise_sigma > 0).any():
        return 0.0
    size = frames.shape[-1]
    field = _noise_field(256 + size, frames.device)
    cuts = torch.stack([field[:, y : y + size, x : x + size] for y, x in batch.noise_offset.tolist()])
    return (batch.noise_sigma.to(frames.device)[:, None, None, None] * cuts)[:, None]


_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Luminance quantisation of JPEG (ITU-T T.81, table K.1)."""
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
"""Chrominance quantisation of JPEG (ITU-T T.81, table K.2)."""
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""RGB to YCbCr (JFIF)."""


def _quantise(frames: Tensor, quality: Tensor) -> Tensor:
    """What JPEG's rounding of 8×8 cosine coefficients does; quality (B,) as in libjpeg. No chroma subsampling."""
    device, side = frames.device, frames.shape[-1] // 8
    index = torch.arange(8, device=device, dtype=torch.float32)
    cosine = torch.cos((2 * index + 1) * index[:, None] * math.pi / 16) * 0.5
    cosine[0] *= math.sqrt(0.5)
    to_ycc = torch.tensor(_YCC, device=device)
    factor = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    tables = torch.tensor([_LUMA, _CHROMA, _CHROMA], device=device, dtype=torch.float32)
    step = (tables * factor[:, None, None, None]).round().clamp(min=1)[:, None, :, None, None] / 255
    ycc = torch.einsum("ij,bkjhw->bkihw", to_ycc, frames - 0.5)
    blocks = ycc.unflatten(-1, (side, 8)).unflatten(-3, (side, 8)).transpose(-2, -3)
    coefficients = cosine @ blocks @ cosine.T
    blocks = cosine.T @ (torch.round(coefficients / step) * step) @ cosine
    ycc = blocks.transpose(-2, -3).flatten(-4, -3).flatten(-2, -1)
    return torch.einsum("ij,bkjhw->bkihw", torch.linalg.inv(to_ycc), ycc) + 0.5
