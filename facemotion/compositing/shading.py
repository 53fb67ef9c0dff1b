"""More or less light on a photo: luminance changes, in linear light, and hue stays."""

from __future__ import annotations

import cv2
import numpy as np

_LEVELS = np.arange(256, dtype=np.float32)
_SCALED = _LEVELS + np.float32(0.055 * 255) * np.minimum(_LEVELS / (0.04045 * 255), 1)
"""By sRGB level, what a gain of light scales: light is (level + 0.055 · 255)^2.4, a straight line near black (IEC
61966-2-1), so that g times the light makes g^(1/2.4) times this."""
_GAIN_OF_SHADE = _LEVELS / np.maximum(_SCALED, 1)
"""By luminance, the gain of `_SCALED` by which the level of a grey pixel grows as much as it is."""
_ROOM = (255 - _LEVELS) / np.maximum(_SCALED, 1)
"""By the brightest channel, the gain that takes it to white."""


def relit(levels: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Pixels under more or less light: all three channels are scaled alike in linear light.

    Where a channel would exceed what a picture can hold, less light is added, instead of less of that channel: a bright
    cheek would turn yellow or grey.

    levels: (h, w, 3) uint8 sRGB; shade: (h, w) float32, the share by which their luminance level grows, -1 and less
    being black. Returns (h, w, 3) float32 levels in [0, 255], where shade is zero those of ``levels``.
    """
    red, green, blue = cv2.split(levels)
    gain = shade * cv2.LUT(cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY), _GAIN_OF_SHADE)
    gain = np.minimum(gain, cv2.LUT(cv2.max(cv2.max(red, green), blue), _ROOM))
    gain[shade <= -1] = -1
    result = cv2.multiply(cv2.LUT(levels, _SCALED), cv2.merge([gain] * 3))
    result = cv2.add(result, levels, dtype=cv2.CV_32F)
    return np.maximum(result, 0, out=result)
