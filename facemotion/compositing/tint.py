"""The one tone of a black-and-white or sepia photo, for what is painted into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SAMPLES = 40_000
LUMA_REC601 = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of R, G and B, gamma-encoded, in their brightness (ITU-R BT.601)."""
_MOST_SPREAD = 2.0
"""Standard deviation, in 8-bit levels, of the colours of a toned photo from its tone; colour photos have 4 and more."""


@dataclass(frozen=True)
class Tint:
    """How far red and blue lie from luminance in a photo of one tone.

    departures: (256, 2) float32 levels, of red and of blue, for every level of luminance.
    """

    departures: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray) -> Tint | None:
        """The tone of a picture (H, W, 3) uint8, grey included; None for one in colour."""
        step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SAMPLES) ** 0.5))
        sample = pixels[::step, ::step].reshape(-1, 3).astype(np.float32)
        luminance = sample @ LUMA_REC601
        departures = sample[:, [0, 2]] - luminance[:, None]
        coefficients = np.linalg.lstsq(_powers(luminance), departures, rcond=None)[0]
        if (departures - _powers(luminance) @ coefficients).std(axis=0).max() > _MOST_SPREAD:
            return None
        seen = np.clip(np.arange(256), *np.quantile(luminance, [0.01, 0.99]))
        return cls((_powers(seen) @ coefficients).astype(np.float32))

    def apply(self, levels: np.ndarray) -> np.ndarray:
        """Colours (h, w, 3) float32, 0 to 255, of the same luminance but in the tone of the photo."""
        luminance = levels @ LUMA_REC601
        red, blue = np.moveaxis(self.departures[np.clip(np.rint(luminance), 0, 255).astype(np.uint8)], 2, 0)
        green = -(LUMA_REC601[0] * red + LUMA_REC601[2] * blue) / LUMA_REC601[1]
        return luminance[..., None] + np.stack([red, green, blue], axis=2)


def _powers(luminance: np.ndarray) -> np.ndarray:
    """(N, 3): a tone bends with luminance, but not more than a parabola."""
    t = np.asarray(luminance, np.float64) / 128 - 1
    return np.stack([np.ones_like(t), t, t * t], axis=1)
