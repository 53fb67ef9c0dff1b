"""The compositor of rendered faces as a differentiable function, and the canonical crops of mouth and eyes.

The twin of `facemotion.rendering.compose.composed` in PyTorch: equal to within a level (8 bit). Places are in crop
widths, (0, 0) the upper left edge of the crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from facemotion.models import kernels
from facemotion.rendering import light
from facemotion.rendering.light import GAMMA, LUMA, RICHER

MOUTH_WIDTH, EYE_WIDTH = 1.2, 0.56
"""Widths of the canonical crops, in distances of the outer eye corners: photo and frame have the same scale."""
FACE_WIDTH = 2.2
"""Side of the square crop of a whole face, in the same unit."""
_CENTRES = {"mouth": (61, 291, 0, 17), "eye_left": (33, 133, 159, 145), "eye_right": (362, 263, 386, 374)}
"""Face Mesh landmarks whose mean is the middle of a canonical crop."""
_RIM = 0.14
"""Share of a crop's height over which its residual colour fades to its edges."""


@dataclass
class View:
    """A canonical crop in M frames."""

    grid: Tensor
    """(M, h, w, 2) places of its pixels."""
    coarse: Tensor
    """(M, h / 4, w / 4, 2) the same at a quarter of its resolution."""
    window: Tensor
    """(1, 1, h, w) 1 inside, 0 at its edges."""
    centre: Tensor
    """(M, 2) its middle."""
    extent: Tensor
    """(M, 2) its width and height."""


def patch_view(name: str, landmarks: Tensor, eye_distance: Tensor, size: tuple[int, int]) -> View:
    """The crop ``name``, of a size (height, width), of frames with landmarks (M, 468, 2); eye_distance (M,) of their
    photo."""
    centre = landmarks[:, list(_CENTRES[name])].mean(1)
    width = (MOUTH_WIDTH if name == "mouth" else EYE_WIDTH) * eye_distance
    extent = torch.stack([width, width * size[0] / size[1]], 1)
    fine, coarse = (
        centre[:, None, None] + (_unit_grid(h, w, landmarks.device) - 0.5) * extent[:, None, None]
        for h, w in (size, (size[0] // 4, size[1] // 4))
    )
    return View(fine, coarse, _window(*size, landmarks.device), centre, extent)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept may be used in training later
def _unit_grid(height: int, width: int, device: torch.device) -> Tensor:
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _window(height: int, width: int, device: torch.device) -> Tensor:
    grid = _unit_grid(height, width, device) * torch.tensor([width / height, 1.0], device=device)
    ends = torch.tensor([width / height, 1.0], device=device)
    inside = torch.minimum(grid, ends - grid).amin(-1) / _RIM
    inside = inside.clamp(0, 1)
    return (inside * inside * (3 - 2 * inside))[None, None]


def sampled(maps: Tensor, at: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Maps (M, C, H, W) at places (M, h, w, 2) in crop widths; borders repeat. Returns (M, C, h, w)."""
    if mode == "bilinear" and _compiled_for(maps):
        maps, at = maps.permute(0, 2, 3, 1).contiguous(), at.contiguous()
        result = torch.empty(*at.shape[:3], maps.shape[3])
        kernels.sample(maps.numpy(), at.numpy(), result.numpy())
        return result.permute(0, 3, 1, 2)
    return F.grid_sample(maps, 2 * at - 1, mode=mode, padding_mode="border", align_corners=False)


def _compiled_for(maps: Tensor) -> bool:
    """Whether loops compiled for the CPU may do the work."""
    return maps.device.type == "cpu" and maps.dtype == torch.float32 and not torch.is_grad_enabled()


def relit(image: Tensor, log_gain: Tensor) -> Tensor:
    """The twin of `facemotion.rendering.light.relit`: RGB (M, 3, h, w) in [0, 1], log_gain (M, 1, h, w)."""
    if _compiled_for(image):
        rows, gain = (each.permute(0, 2, 3, 1).flatten(0, 1).numpy() for each in (image, log_gain))
        lit = torch.from_numpy(light.relit(rows, gain[..., 0]))
        return lit.unflatten(0, (len(image), -1)).permute(0, 3, 1, 2)
    weights = torch.from_numpy(LUMA).to(image.device)[None, :, None, None]
    luma = (image * weights).sum(1, keepdim=True)
    factor = torch.exp(log_gain / GAMMA)
    chroma = (image - luma) * factor * (1 - RICHER * log_gain).clamp(0, 2)
    luma = luma * factor
    beyond = chroma.amax(1, keepdim=True)
    share = torch.where(luma + beyond > 1, (1 - luma) / beyond.clamp(min=1e-3), torch.ones_like(luma)).clamp(0, 1)
    return (luma + share * chroma).clamp(0, 1)


def composed(
    source: Tensor, flow: Tensor, log_gain: Tensor, layers: Tensor, grid: Tensor, *, mode: str = "bilinear"
) -> Tensor:
    """Frames at places ``grid`` (M, h, w, 2), (M, 3, h, w) RGB in [0, 1].

    source (M, 3, N, N) in [0, 1]; flow (M, 2, ...) crop widths; log_gain (M, 1, ...); layers (M, 4, ...) RGBA with
    colours multiplied by alpha; each at any resolution. mode: how the photo is sampled; the compositor
    does it with ``bicubic``.
    """
    return composed_over(source, flow, log_gain, layers, grid, mode=mode)[0]


def composed_over(
    source: Tensor, flow: Tensor, log_gain: Tensor, layers: Tensor, grid: Tensor, *, mode: str = "bilinear"
) -> tuple[Tensor, Tensor]:
    """As `composed`, and how much of the layers is seen there, (M, 1, h, w)."""
    at = grid + sampled(flow, grid, mode=mode).permute(0, 2, 3, 1)
    image = relit(sampled(source, at, mode=mode), sampled(log_gain, grid, mode=mode))
    over = sampled(layers, grid)
    return image * (1 - over[:, 3:]) + over[:, :3], over[:, 3:]


def face_view(landmarks: Tensor, eye_distance: Tensor, size_px: int) -> Tensor:
    """(M, size_px, size_px, 2) places of a square crop of the face, from forehead to chin, of frames with landmarks
    (M, 468, 2)."""
    low, high = landmarks.amin(1), landmarks.amax(1)
    extent = FACE_WIDTH * eye_distance[:, None, None, None]
    return ((low + high) / 2)[:, None, None] + (_unit_grid(size_px, size_px, landmarks.device) - 0.5) * extent


def whole_grid(size_px: int, count: int, device: torch.device) -> Tensor:
    """(count, size_px, size_px, 2) places of the pixels of the whole crop."""
    return _unit_grid(size_px, size_px, device).expand(count, -1, -1, -1)


def with_patches(frame: Tensor, grid: Tensor, patches: dict[str, Tensor], views: dict[str, View]) -> Tensor:
    """Frames (M, 3, h, w) at places ``grid`` with the residual colours of their canonical crops."""
    for name, patch in patches.items():
        view = views[name]
        at = (grid - view.centre[:, None, None]) / view.extent[:, None, None] + 0.5
        frame = frame + F.grid_sample(patch, 2 * at - 1, mode="bilinear", padding_mode="zeros", align_corners=False)
    return frame.clamp(0, 1)
