"""The 68 landmarks of iBUG 300-W: their places among MediaPipe's, their mirror images, the inter-ocular distance.

Order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, lips 48-67; "right" is the person's right, the picture's left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch

    Points = TypeVar("Points", np.ndarray, torch.Tensor)

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
OUTLINE = slice(0, 27)
"""Jaw and brows: around the face."""

FROM_FACE_MESH: tuple[int, ...] = (
    *(127, 234, 93, 132, 58, 172, 136, 150, 152, 379, 365, 397, 288, 361, 323, 454, 356),  # jaw
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
)
"""Landmark ``i`` is point ``FROM_FACE_MESH[i]`` of MediaPipe's Face Mesh (468 or 478 points)."""

MIRROR: tuple[int, ...] = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46),
    *(39, 38, 37, 36, 41, 40),
    *range(54, 47, -1),
    *range(59, 54, -1),
    *range(64, 59, -1),
    *range(67, 64, -1),
)
"""Landmark ``MIRROR[i]`` is the one on the other side of the face."""


def inter_ocular(landmarks: Points) -> Any:
    """Distance of the eyes' centres, in the landmarks' unit: (..., 68, 2) array or tensor -> (...)."""
    between = landmarks[..., LEFT_EYE, :].mean(-2) - landmarks[..., RIGHT_EYE, :].mean(-2)
    return (between * between).sum(-1) ** 0.5
