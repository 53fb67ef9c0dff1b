"""The photo's texture (pores, fine hair, canvas), finer than what the generator can paint."""

from __future__ import annotations

import cv2
import numpy as np

ZERO = 128
"""Value of a texture pixel where the photo is smooth; others depart from it by 8-bit levels of luminance."""

_STRAY = 4.0
"""What departs by more than so many usual departures is no texture but an edge (lips, lids, lashes)."""


def fine_texture(photo: np.ndarray, inside: np.ndarray, *, finer_than_px: float) -> np.ndarray | None:
    """Luminance of a photo without its coarser part and without its edges.

    photo: (H, W, 3) uint8; inside: (H, W) bool, the face, by which the usual departure is measured; finer_than_px:
    standard deviation of the Gaussian that tells fine from coarse. Returns (H, W) uint8 around `ZERO`, None where the
    photo has no such texture.
    """
    luminance = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    coarse = cv2.GaussianBlur(luminance, (0, 0), finer_than_px)
    texture = cv2.subtract(luminance, coarse, dtype=cv2.CV_16S)
    measured = texture[::2, ::2][inside[::2, ::2]]
    usual = float(np.abs(measured).mean()) if measured.size else 0.0
    if usual < 0.25:
        return None
    limit = min(127, int(np.ceil(_STRAY * usual)))
    np.clip(texture, -limit, limit, out=texture)
    texture += ZERO
    return texture.astype(np.uint8)


def share_kept(alpha: np.ndarray) -> np.ndarray:
    """How much of the texture stays under paint of an opacity: all of it under a glaze, none under solid paint.

    alpha: in [0, 1]. Never less than the ``1 - alpha`` that plain blending leaves.
    """
    t = np.clip((alpha - 0.4) / 0.5, 0, 1)
    return np.maximum(1 - alpha, 1 - t * t * (3 - 2 * t))


def unstretched_share(flow: np.ndarray) -> np.ndarray:
    """How much of the texture survives a motion: none where the photo is pulled out into streaks.

    flow: (h, w, 2) backward displacement in map widths. Returns (h, w) float32 in [0, 1], by the area of the photo
    that a unit of the frame is taken from (the determinant of the motion's Jacobian).
    """
    height, width = flow.shape[:2]
    x_by_y, x_by_x = np.gradient(flow[..., 0], 1 / height, 1 / width)
    y_by_y, y_by_x = np.gradient(flow[..., 1], 1 / height, 1 / width)
    area = (1 + x_by_x) * (1 + y_by_y) - x_by_y * y_by_x
    return np.clip((area - 0.4) / 0.4, 0, 1).astype(np.float32)
