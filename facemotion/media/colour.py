"""Colour profiles, judged by what they do to colours and not by their names."""

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageCms

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SAME_LEVELS = 2
"""A profile that moves no colour by more than this is sRGB: variants of sRGB differ by their rounding alone."""


def srgb_transform(profile: bytes | None, mode: str) -> "ImageCms.ImageCmsTransform | None":
    """What takes pictures of ``mode`` (L, RGB or CMYK) from their embedded ICC profile to sRGB.

    Its ``input_mode`` is that of the pictures it takes: RGB for a grey picture with an RGB profile. None where nothing
    is to be converted: there is no profile, it is broken or of other channels than the picture, or it is sRGB.
    """
    from PIL import ImageCms

    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        channels = _MODES.get(source.profile.xcolor_space.strip(), "")
        if channels not in (mode, "RGB" if mode == "L" else mode):
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), channels, "RGB")
        return None if _changes_nothing(transform) else transform
    except (ImageCms.PyCMSError, ArithmeticError, AttributeError, MemoryError, OSError, TypeError, ValueError):
        return None


def _changes_nothing(transform: "ImageCms.ImageCmsTransform") -> bool:
    """Whether a grid over all colours comes out as it went in."""
    import numpy as np
    from PIL import Image, ImageCms

    if transform.input_mode == "CMYK":
        return False
    levels = np.arange(256, dtype=np.uint8)[None] if transform.input_mode == "L" else _colour_grid()
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(levels), transform)).astype(np.int16)
    meant = levels[:, :, None] if levels.ndim == 2 else levels
    return bool((np.abs(shown - meant) <= _SAME_LEVELS).all())


def _colour_grid():
    """uint8 (289, 17, 3): every 16th level of each channel."""
    import numpy as np

    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 17, 3)
