"""Sampling a photo along a flow, and flows continued beyond where they are known."""

from __future__ import annotations

import cv2
import numpy as np

_COARSE = 4
"""Flow beyond the mesh is made at a quarter of the crop's resolution."""


def smooth_seams(image: np.ndarray, at: np.ndarray) -> None:
    """Soften the stairs where neighbouring pixels come from far apart in the photo (chin before neck, lids)."""
    jump_x, jump_y = (np.abs(np.diff(at, axis=axis)).max(2) > 5 for axis in (1, 0))
    seam = np.zeros(image.shape[:2], np.float32)
    seam[:, 1:] += jump_x
    seam[:, :-1] += jump_x
    seam[1:] += jump_y
    seam[:-1] += jump_y
    if seam.any():
        alpha = np.clip(1.5 * cv2.GaussianBlur(np.minimum(seam, 1), (0, 0), 0.8), 0, 1)[..., None]
        image += alpha * (cv2.GaussianBlur(image, (0, 0), 0.9) - image)


def pixel_grid(size_px: int) -> np.ndarray:
    """(N, N, 2) float32 px coordinates."""
    line = np.arange(size_px, dtype=np.float32)
    return np.dstack(np.meshgrid(line, line))


def sample(image: np.ndarray, at: np.ndarray) -> np.ndarray:
    at = at.astype(np.float32)
    return cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def continued(
    flow: np.ndarray, known: np.ndarray, feather_px: float, *, hole: np.ndarray | None = None, blur_px: float = 0
) -> np.ndarray:
    """Flow continued smoothly beyond ``known`` (pull-push) and faded out over ``feather_px``.

    ``hole`` (default: ``known``) marks what counts as the face, where nothing fades.
    """
    n = flow.shape[0]
    size = n // _COARSE
    coarse_known = cv2.resize(known.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    coarse_flow = cv2.resize(flow * known[..., None].astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    filled = pull_push(coarse_flow, coarse_known)
    face = known if hole is None else hole
    away = cv2.distanceTransform(
        (cv2.resize(face.astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA) == 0).astype(np.uint8),
        cv2.DIST_L2,
        5,
    )
    filled *= np.exp(-((away * _COARSE / feather_px) ** 2))[..., None]
    if blur_px:
        filled = cv2.GaussianBlur(filled, (0, 0), blur_px / _COARSE)
    filled = cv2.resize(filled, (n, n), interpolation=cv2.INTER_LINEAR)
    return np.where(known[..., None], flow, filled).astype(np.float32)


def pull_push(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Smooth continuation of weighted values (H, W, C) to where the weight (H, W) is 0."""
    levels = []
    while min(values.shape[:2]) > 2:
        levels.append((values, weight))
        size = (values.shape[1] // 2, values.shape[0] // 2)
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    current = values / np.maximum(weight, 1e-6)[..., None]
    for values, weight in reversed(levels):
        up = cv2.resize(current, (values.shape[1], values.shape[0]), interpolation=cv2.INTER_LINEAR)
        current = values + up * (1 - np.clip(weight, 0, 1))[..., None]
    return current
