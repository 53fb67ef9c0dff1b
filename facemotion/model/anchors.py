"""Where a pixel lies on mouth and eyes, told by the landmarks that the decoder predicts, as maps for the paint head.

A convolution knows its neighbourhood, not that the gap between the front teeth lies on the face's midline, or that lids
meet on one curve. Given the distances to those curves, and their waves as in Fourier features (Tancik et al., NeurIPS
2020), sharp edges are functions of single pixels.
"""

import math

import torch
from torch import Tensor

UPPER_LIP, LOWER_LIP = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
"""The lips' inner edges, picture left to right (iBUG-68)."""
LIDS = (((36, 37, 38, 39), (36, 41, 40, 39)), ((42, 43, 44, 45), (42, 47, 46, 45)))
"""Upper and lower lid of both eyes."""
MOUTH_OCTAVES, EYE_OCTAVES = 4, 2
_MOUTH_WAVES, _EYE_WAVES = 2.0, 6.0
"""Waves of the lowest octave in an inter-ocular distance (of the outer corners)."""
_MOUTH_REACH, _EYE_REACH = (0.32, 0.28), (0.17, 0.11)
"""Half widths and heights of the windows outside of which the maps vanish, in inter-ocular distances."""

CHANNELS = 3 * (1 + 2 * MOUTH_OCTAVES) + 2 * (1 + 2 * EYE_OCTAVES) + 2
"""Maps that `anchor_maps` gives."""


def anchor_maps(landmarks: Tensor, size: int) -> Tensor:
    """Landmarks (M, 68, 2) in crop widths -> maps (M, CHANNELS, size, size), zero away from mouth and eyes.

    Of the mouth: across from the midline, below the upper lip, above the lower lip, and waves of these; of the eyes:
    below the upper lid, above the lower one, and waves; and both windows.
    """
    position = (torch.arange(size, device=landmarks.device, dtype=landmarks.dtype) + 0.5) / size
    eyes = landmarks[:, 45] - landmarks[:, 36]
    scale = eyes.norm(dim=-1).clamp(min=0.05)
    right = eyes / scale[:, None]
    turned = torch.stack([right, torch.stack([-right[:, 1], right[:, 0]], -1)], 1) / scale[:, None, None]  # (M, 2, 2)
    points = landmarks @ turned.transpose(1, 2)  # along the eyes' axis, and across it, downwards
    x = turned[:, 0, 0, None, None] * position + turned[:, 0, 1, None, None] * position[:, None]
    y = turned[:, 1, 0, None, None] * position + turned[:, 1, 1, None, None] * position[:, None]

    middle = points[:, [51, 62, 66, 57]].mean(1)[..., None, None]
    across = x - middle[:, 0]
    below, above = y - _curve(points, UPPER_LIP, x), _curve(points, LOWER_LIP, x) - y
    window = _window(across, y - middle[:, 1], _MOUTH_REACH)
    mouth = [m for distance in (across, below, above) for m in _waves(distance, _MOUTH_WAVES, MOUTH_OCTAVES)]
    maps = [window, *(window * m for m in mouth)]

    sides = []
    for upper, lower in LIDS:
        centre = points[:, [*upper, *lower]].mean(1)[..., None, None]
        seen = _window(x - centre[:, 0], y - centre[:, 1], _EYE_REACH)
        lids = (y - _curve(points, upper, x), _curve(points, lower, x) - y)
        waves = [seen * m for distance in lids for m in _waves(distance, _EYE_WAVES, EYE_OCTAVES)]
        sides.append([seen, *waves])
    maps += [one + other for one, other in zip(*sides, strict=True)]
    return torch.stack(maps, 1)


def _curve(points: Tensor, chain: tuple[int, ...], x: Tensor) -> Tensor:
    """Height at ``x`` (M, N, N) of the polygon through a chain of points (M, 68, 2), level beyond its ends."""
    knots = points[:, list(chain), :, None, None]
    height = knots[:, 0, 1].expand_as(x)
    for a, b in zip(knots.unbind(1)[:-1], knots.unbind(1)[1:], strict=True):
        share = ((x - a[:, 0]) / (b[:, 0] - a[:, 0]).clamp(min=1e-3)).clamp(0, 1)
        height = height + share * (b[:, 1] - a[:, 1])
    return height


def _window(x: Tensor, y: Tensor, reach: tuple[float, float]) -> Tensor:
    return torch.exp(-((x / reach[0]) ** 4) - (y / reach[1]) ** 4)


def _waves(distance: Tensor, lowest: float, octaves: int) -> list[Tensor]:
    """The distance itself, and sine and cosine of its octaves; each octave from the one below."""
    distance = distance.clamp(-1, 1)
    sine, cosine = torch.sin(2 * math.pi * lowest * distance), torch.cos(2 * math.pi * lowest * distance)
    maps = [4 * distance, sine, cosine]
    for _ in range(octaves - 1):
        sine, cosine = 2 * sine * cosine, 1 - 2 * sine * sine
        maps += [sine, cosine]
    return maps
