"""The skin that closing lids bring to light, as far as a photo tells it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from facemotion.models.anchors import LIDS, eye_frame, smooth_curve
from facemotion.models.blocks import in_full_precision

_ABOVE, _BELOW, _BESIDE = 0.075, 0.03, 0.04
"""How far lashes and their shadow reach beyond the lids' edges, in inter-ocular distances (of the outer corners)."""
_FADE = 0.015
"""Over how much what is known of the skin begins."""
_SPREAD = 0.02
"""How far around the eyes their skin is read, in crop widths; 0.06 inter-ocular distances."""
_LUMA = (0.299, 0.587, 0.114)
_LEAST_LIGHT, _MOST_RAISED = 0.98, 1.5
"""Light of a closed lid, by that of the skin around the eye, below which it is raised, and by how much at most."""


@torch.no_grad()
@in_full_precision
def without_eyes(photo: Tensor, points: Tensor) -> Tensor:
    """Photos (B, 3, N, N) with smooth skin, continued from around, where they show eyes and lashes; float32.

    points (B, 78, 2) crop widths. A closed lid has the colour of the skin beside it, whatever the light: a network that
    has to guess it paints dark or strongly lit faces grey lids.
    """
    known = 1 - _eyes(points, photo.shape[-1])
    weight = known * (0.5 * photo.mean(1, keepdim=True) + 0.5).clamp(min=0.02).square()  # hair and shadow say less
    skin = _blurred(photo * weight) / _blurred(weight).clamp(min=1e-6)
    return known * photo + (1 - known) * skin


@in_full_precision
def in_skin_tone(colour: Tensor, skin: Tensor, lid: Tensor) -> Tensor:
    """Colours (M, 3, h, w) in [-1, 1] with the hue of the skin, and hardly darker than it, where they show lids.

    skin (M, 3, h, w) as of `without_eyes`; lid (M, 1, h, w) in [0, 1]. Lashes, and what shade a lid has, remain: a
    network that never saw such light paints lids grey under coloured light, and dark on very bright skin.
    """
    painted, below = ((levels + 1) / 2 for levels in (colour, skin))
    light, skin_light = (_luminance(levels) for levels in (painted, below))
    skin_light = skin_light.clamp(min=0.02)
    shade = light / skin_light
    # Lids that are darker than skin as a whole are raised; lashes are darker than lids and count for little.
    weight = lid * shade.square()
    usual = (weight * shade).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
    shade = shade * (_LEAST_LIGHT / usual.clamp(min=1e-3)).clamp(1, _MOST_RAISED)
    toned = below * torch.minimum(shade, 1 / below.amax(1, keepdim=True).clamp(min=0.02))
    return torch.lerp(painted, toned, lid) * 2 - 1


def _luminance(levels: Tensor) -> Tensor:
    return (levels * levels.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)


def _blurred(maps: Tensor) -> Tensor:
    sigma = _SPREAD * maps.shape[-1]
    reach = math.ceil(4 * sigma)
    at = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    flat = F.pad(maps.flatten(0, 1)[:, None], (reach,) * 4, mode="replicate")
    flat = F.conv2d(F.conv2d(flat, kernel[None, None, :, None]), kernel[None, None, None])
    return (flat / kernel.sum() ** 2)[:, 0].unflatten(0, maps.shape[:2])


def _eyes(points: Tensor, size: int) -> Tensor:
    """(B, 1, size, size) in [0, 1]: where eyes and lashes are."""
    frame = eye_frame(points)
    placed = frame.place(points)
    x, y = frame.grid(size, (slice(0, size), slice(0, size)))
    found = torch.zeros_like(x)
    for upper, lower in LIDS:
        first, last = (placed[:, upper[k], 0, None, None] for k in (0, 3))
        inside = torch.stack(
            [
                y - smooth_curve(placed, upper, x) + _ABOVE,
                smooth_curve(placed, lower, x) - y + _BELOW,
                x - first + _BESIDE,
                last - x + _BESIDE,
            ]
        ).amin(0)
        found = torch.maximum(found, (inside / _FADE + 1).clamp(0, 1))
    return found[:, None]
