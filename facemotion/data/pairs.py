"""Clips from two photos of one person: neutral and at the peak of an expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemotion.data.rendered import RenderedClip

if TYPE_CHECKING:
    import numpy as np

    from facemotion.data.head import HeadModel


@dataclass(frozen=True)
class PairSettings:
    """What is rendered of each pair."""

    crop_px: int = 512
    """Side of the square crop."""

    frames: int = 8
    """Frames of a clip, source included; one of them is at control 1."""

    controls: tuple[float, ...] | None = None
    """Fixed control values (first 0) instead of random ones; overrides ``frames``."""

    clips: int = 3
    """Clips per pair: the first in the photo's own pose, the others with the head turned."""

    yaw_deg: float = 20.0
    """Largest added turn to either side."""

    pitch_deg: float = 10.0
    """Largest added nod to either side."""


def pair_clips(
    neutral_rgb: np.ndarray,
    neutral_l68: np.ndarray,
    peak_rgb: np.ndarray,
    peak_l68: np.ndarray,
    *,
    head: HeadModel,
    expression: str = "smile",
    settings: PairSettings | None = None,
    seed: int = 0,
) -> Iterator[RenderedClip]:
    """Clips from the neutral photo to the peak photo's expression; the same seed gives the same clips.

    Photos are uint8 (H, W, 3) RGB, landmarks (68, 2) photo px. Frame 0 of the first clip is the neutral crop
    itself. Raises ``InputError`` with the reason before the first clip when the pair cannot be used.
    """
    raise NotImplementedError
