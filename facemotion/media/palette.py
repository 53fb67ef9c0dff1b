"""A gif's colours: one palette for a whole clip, and pixels to palette indexes with a dither that stands still."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

COLOURS = 255
"""Colours in a palette; one of gif's 256 is left for transparency."""

_SAMPLES = 60_000
_REFINEMENTS = 4
_STRIP_PIXELS = 1_000_000
_STEPS_BITS = 6  # resolution of the table of nearest colours, per channel


class Palette:
    """The `COLOURS` colours that serve a few pictures best, each uint8 (H, W, 3 or 4).

    An octree's colours, refined by Lloyd's algorithm (k-means), with a dither as strong as they lie apart. FFmpeg's
    palettegen and paletteuse are faster and give files a third smaller, but worse pictures: seen from a distance
    (Gaussian of 1.5 px, frames of 512 and 1536 px) 41.7 and 40.1 dB against 43.6 and 42.3 dB here.
    """

    def __init__(self, pictures: "Sequence[np.ndarray]"):
        import numpy as np
        from scipy.spatial import cKDTree

        pixels = np.concatenate([_thinned(picture, _SAMPLES // len(pictures)) for picture in pictures])
        colours = _octree_colours(pixels)
        samples = pixels.astype(np.float64)
        for _ in range(_REFINEMENTS):
            nearest = cKDTree(colours).query(samples)[1]
            counts = np.bincount(nearest, minlength=COLOURS)
            sums = np.stack([np.bincount(nearest, channel, minlength=COLOURS) for channel in samples.T], axis=1)
            used = counts > 0
            colours[used] = sums[used] / counts[used, None]
        self.colours = np.rint(colours).astype(np.uint8)
        steps = 1 << _STEPS_BITS
        levels = (np.arange(steps) + 0.5) * (256 / steps)
        grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
        self._nearest = cKDTree(self.colours).query(grid)[1].astype(np.uint8)
        spacing = cKDTree(self.colours).query(self.colours, k=2)[0][:, 1]
        self._amplitude = float(np.median(spacing))

    def indexes(self, pixels: "np.ndarray", *, corner: tuple[int, int]) -> "np.ndarray":
        """Palette indexes uint8 (H, W) of pixels (H, W, 3) whose upper left lies at ``corner`` (x, y) of the picture.

        Ordered 8 × 8 dither, fixed to the picture: what does not change does not flicker.
        """
        import numpy as np

        height, width = pixels.shape[:2]
        strip = max(1, _STRIP_PIXELS // width)  # what is in between takes eighteen times the room of the result
        x0, y0 = corner
        return np.concatenate(
            [self._strip(pixels[top : top + strip], (x0, y0 + top)) for top in range(0, height, strip)]
        )

    def _strip(self, pixels: "np.ndarray", corner: tuple[int, int]) -> "np.ndarray":
        import numpy as np

        height, width = pixels.shape[:2]
        x0, y0 = corner
        rows, columns = np.arange(y0, y0 + height) % 8, np.arange(x0, x0 + width) % 8
        dither = np.rint(self._amplitude * bayer_8()).astype(np.int16)[rows[:, None], columns]
        level = np.clip(pixels + dither[:, :, None], 0, 255).astype(np.int32) >> (8 - _STEPS_BITS)
        return self._nearest[(level[..., 0] << 2 * _STEPS_BITS) | (level[..., 1] << _STEPS_BITS) | level[..., 2]]


def bayer_8() -> "np.ndarray":
    """The thresholds of an 8 × 8 ordered dither, in (-0.5, 0.5); their mean is 0."""
    import numpy as np

    matrix = np.zeros((1, 1))
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / 64 - 0.5


def _thinned(picture: "np.ndarray", count: int) -> "np.ndarray":
    """About ``count`` pixels (N, 3), evenly spaced."""
    step = max(1, round((picture.shape[0] * picture.shape[1] / count) ** 0.5))
    return picture[::step, ::step, :3].reshape(-1, 3)


def _octree_colours(pixels: "np.ndarray") -> "np.ndarray":
    """(COLOURS, 3) float64; where the pixels have fewer colours, the rest is black."""
    import numpy as np
    from PIL import Image

    quantized = Image.fromarray(pixels[None]).quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
    found = np.array(quantized.getpalette("RGB"), np.float64).reshape(-1, 3)[:COLOURS]
    return np.pad(found, ((0, COLOURS - len(found)), (0, 0)))
