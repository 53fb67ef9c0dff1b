"""A rendering put together with the photo's crop: moved skin, its light, the layers and a network's patches over it."""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.rendering import light
from facemotion.rendering.boxes import Box
from facemotion.rendering.correction import Correction, corrected, draw_patches
from facemotion.rendering.face import Rendering, enlarged


def composed(crop: np.ndarray, rendering: Rendering, correction: Correction | None = None) -> np.ndarray:
    """The frame (N, N, 3) float32 RGB in [0, 1] of a crop of the same, at the crop's resolution."""
    if correction is not None:
        rendering = corrected(rendering, correction)
    size_px = crop.shape[0]
    whole = Box(0, 0, size_px, size_px)
    at = whole.grid() + enlarged(rendering.flow, whole, size_px) * size_px
    image = cv2.remap(crop, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    image = light.relit(image, enlarged(rendering.log_gain, whole, size_px))
    for layer in rendering.layers:
        part = image[layer.box.of]
        part += layer.opacity[..., None] * (layer.colour - part)
    image = np.clip(image, 0, 1)
    if correction is not None:
        draw_patches(image, correction.patches)
    return image
