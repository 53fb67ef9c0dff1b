"""Regions of a face from its 68 landmarks: pixel weights of mouth and eyes, mirroring.

Landmarks are in crop widths here, (0, 0) the crop's upper left edge and (1, 1) its lower right one.
"""

import torch
from torch import Tensor

from facemotion.faces.ibug68 import LEFT_EYE, MIRROR, RIGHT_EYE, inter_ocular

FLIP = (*MIRROR, *range(72, 67, -1), *range(77, 72, -1))
"""Point ``i`` of a mirrored face is point ``FLIP[i]`` of the face (iBUG-68 order, then the teeth)."""

_CLOSED = 0.02
"""Lips nearer than this, in distances of the eyes' centres, hide the teeth."""


def lips_part(landmarks: Tensor) -> Tensor:
    """(…, 68, 2) -> (…) bool: the lips are apart, and teeth may show."""
    gap = (landmarks[..., [67, 66, 65], :] - landmarks[..., [61, 62, 63], :]).norm(dim=-1).mean(-1)
    return gap > _CLOSED * inter_ocular(landmarks)


def region_weight(landmarks: Tensor, size: int, *, mouth: float | Tensor, eyes: float) -> Tensor:
    """(B, 1, size, size) factor of the pixel weight: ``mouth`` (one number, or one a face: (B, 1, 1)) and ``eyes`` in
    the middle of those, 1 far away.

    A Gaussian bump over the mouth and over each eye, as wide as the feature.
    """
    position = (torch.arange(size, device=landmarks.device, dtype=torch.float32) + 0.5) / size
    scale = inter_ocular(landmarks)[:, None]

    def bump(centre: Tensor, reach_x: Tensor, reach_y: Tensor) -> Tensor:
        across = torch.exp(-0.5 * ((position - centre[:, :1]) / reach_x) ** 2)
        down = torch.exp(-0.5 * ((position - centre[:, 1:]) / reach_y) ** 2)
        return down[:, :, None] * across[:, None, :]

    lips = landmarks[:, 48:68]
    extent = (lips.amax(1) - lips.amin(1)) / 2
    weight = 1 + (mouth - 1) * bump(
        (lips.amax(1) + lips.amin(1)) / 2,
        torch.maximum(extent[:, :1], 0.25 * scale),
        torch.maximum(extent[:, 1:], 0.2 * scale),
    )
    for eye in (RIGHT_EYE, LEFT_EYE):
        weight = weight + (eyes - 1) * bump(landmarks[:, eye].mean(1), 0.25 * scale, 0.15 * scale)
    return weight[:, None]
