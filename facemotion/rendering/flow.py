"""Backward flow from a moved mesh, continued smoothly to where the mesh says nothing."""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.rendering import kernels


def pull_push(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Smooth continuation of values (h, w, C) to where their weight (h, w) in [0, 1] is 0.

    After Gortler et al., "The Lumigraph" (SIGGRAPH 1996), section 3.4: averages are pulled up a pyramid, and pushed
    down into the holes.
    """
    return _pulled_and_pushed(values * weight[..., None], weight)


def pull_push_known(values: np.ndarray, known: np.ndarray) -> None:
    """`pull_push`, in place, of values (h, w, C) that are ``known``, (h, w) bool, or not known at all."""
    height, width = known.shape
    size = (max(1, width // 2), max(1, height // 2))
    weight = known.astype(np.float32)
    small = cv2.resize(values * weight[..., None], size, interpolation=cv2.INTER_AREA)
    coarse = _pulled_and_pushed(small, cv2.resize(weight, size, interpolation=cv2.INTER_AREA))
    unknown = (~known).view(np.uint8)
    cv2.copyTo(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), unknown, values)


def _pulled_and_pushed(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`pull_push` of values that are multiplied by their weight."""
    levels = []
    while min(values.shape[:2]) > 2:
        levels.append((values, weight))
        size = (max(1, values.shape[1] // 2), max(1, values.shape[0] // 2))
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        if values.ndim == 2:
            values = values[..., None]
    current = values / np.maximum(weight, 1e-6)[..., None]
    for values, weight in reversed(levels):
        up = cv2.resize(current, (values.shape[1], values.shape[0]), interpolation=cv2.INTER_LINEAR)
        if up.ndim == 2:
            up = up[..., None]
        current = values + up * (1 - weight)[..., None]
    return current


def continued(
    flow: np.ndarray,
    known: np.ndarray,
    solid: np.ndarray,
    reach: float,
    *,
    full: float = 0,
    blur: float = 0,
    beyond: np.ndarray | None = None,
) -> np.ndarray:
    """Flow (n, n, 2) continued beyond where it is ``known`` (n, n) bool, fading out over ``reach`` px beyond ``solid``.

    solid: (n, n) bool, what counts as the head: holes in it (mouth, eyes) are filled without fading. full: px beyond
    ``solid`` where fading begins. blur: standard deviation (px) of what is continued. beyond: (n, n, 2) the flow some
    way outside of ``solid``, before it fades; where none is given, it is continued from what is known.
    """
    n = flow.shape[0]
    half = n // 2
    weight = cv2.resize(known.astype(np.float32), (half, half), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(flow * known[..., None].astype(np.float32), (half, half), interpolation=cv2.INTER_AREA)
    coarse /= np.maximum(weight, 1e-6)[..., None]
    outside = cv2.resize((~solid).astype(np.uint8), (half, half), interpolation=cv2.INTER_AREA)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, 3) * 2
    away = np.maximum(distance - full, 0) / reach
    if beyond is not None:
        outer = np.clip(distance / max(full, 1) - 0.25, 0, 1) * (1 - weight)
        given = cv2.resize(beyond, (half, half), interpolation=cv2.INTER_AREA)
        coarse = coarse + (outer / np.maximum(weight + outer, 1e-6))[..., None] * (given - coarse)
        weight = weight + outer
    filled = pull_push(coarse, weight)
    filled *= np.exp(-(away**2))[..., None]
    if blur:
        filled = cv2.GaussianBlur(filled, (0, 0), blur / 2)
    filled = cv2.resize(filled, (n, n), interpolation=cv2.INTER_LINEAR)
    return kernels.either(known, flow, filled)


def untorn(flow: np.ndarray, *, calm: float = 0.35, blur: float = 4.0) -> np.ndarray:
    """Flow (n, n, 2) px blurred (px) where it changes by more than ``calm`` from one pixel to the next: at the edges of
    a mesh and where a nose hides a cheek, pixels would change places, and jagged."""
    torn = kernels.tears(flow, np.float32(calm))
    if not torn.any():
        return flow
    torn = cv2.dilate(torn, np.ones((3, 3), np.uint8))
    torn = np.clip(2 * cv2.GaussianBlur(torn, (0, 0), blur), 0, 1)
    return kernels.between(flow, cv2.GaussianBlur(flow, (0, 0), blur), torn)


def creases(at: np.ndarray, jump: float) -> np.ndarray | None:
    """(h, w) in [0, 1] around where places (h, w, 2) px jump by more than ``jump`` to the next pixel, if anywhere."""
    jumps = kernels.tears(at, np.float32(jump)) > 0
    if not jumps.any():
        return None
    wide = cv2.dilate(jumps.astype(np.float32), np.ones((5, 5), np.uint8))
    return np.clip(1.5 * cv2.GaussianBlur(wide, (0, 0), 1.5), 0, 1)
