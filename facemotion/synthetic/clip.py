"""A clip in memory, as the 3-D teacher and the photo pairs hand it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RenderedClip:
    """Frames of one face at several control values; frame 0 is the source."""

    frames: list[np.ndarray]
    """T crops, uint8 (N, N, 3) RGB."""

    control: np.ndarray
    """(T,) float32, first 0; 1 is the natural peak, 1.5 the most."""

    expression: dict[str, float]
    """Weight of each expression at control 1; ``{"smile": 1.0}`` or a mix."""

    landmarks: np.ndarray
    """(T, 68, 2) float32 iBUG-68 points in crop px, pixel centres at integers."""

    pose: np.ndarray
    """(T, 3) float32 yaw, pitch, roll of the head in degrees; yaw > 0 looks to image right."""

    teeth: np.ndarray | None = None
    """(T, 10, 2) float32 crop px, see `mouths.Opening.teeth`; None where it is not known where they stand."""
