"""A rendering put together with the photo's crop: moved skin, its light, the layers and a network's patches over it."""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.faces import geometry
from facemotion.rendering import light
from facemotion.rendering.boxes import Box
from facemotion.rendering.correction import draw_patches
from facemotion.rendering.face import Rendering


def composed(crop: np.ndarray, rendering: Rendering) -> np.ndarray:
    """The frame (N, N, 3) float32 RGB in [0, 1] of a crop of the same, at the crop's resolution."""
    size_px = crop.shape[0]
    whole = Box(0, 0, size_px, size_px)
    at = whole.grid() + _enlarged(rendering.flow, size_px) * size_px
    image = cv2.remap(crop, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    image = light.relit(image, _enlarged(rendering.log_gain, size_px))
    for layer in rendering.layers:
        part = image[layer.box.of]
        part += layer.opacity[..., None] * (layer.colour - part)
    image = np.clip(image, 0, 1)
    draw_patches(image, rendering.patches)
    return image


def _enlarged(values: np.ndarray, size_px: int) -> np.ndarray:
    """A map of the crop at the crop's resolution, edges on edges."""
    to_map = geometry.resized(size_px, values.shape[0])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, to_map, (size_px, size_px), flags=flags, borderMode=cv2.BORDER_REPLICATE)
