"""Teacher clips: a photo of a face, re-rendered with other expressions through the 3-D head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemotion.data.rendered import RenderedClip

if TYPE_CHECKING:
    import numpy as np

    from facemotion.data.head import HeadModel
    from facemotion.data.mouths import MouthLibrary
    from facemotion.data.recipes import Recipes


@dataclass(frozen=True)
class TeacherSettings:
    """What is rendered of each photo."""

    crop_px: int = 512
    """Side of the square crop."""

    frames: int = 5
    """Frames of a clip, source included; one of them is at control 1."""

    controls: tuple[float, ...] | None = None
    """Fixed control values (first 0) instead of random ones; overrides ``frames``."""

    expressions: tuple[str, ...] | None = None
    """Names to render; all recipes when None."""

    clips_per_expression: int = 1
    """Clips of each expression."""

    mixes: int = 0
    """Additional clips of two expressions at once."""

    turned: float = 0.5
    """Share of clips whose head is turned, source and target alike."""

    yaw_deg: float = 20.0
    """Largest added turn to either side."""

    pitch_deg: float = 10.0
    """Largest added nod to either side."""

    relit: float = 0.3
    """Share of clips whose light is changed, source and target alike."""

    jitter: float = 1.0
    """Scale of the recipes' spread and asymmetry; 0 renders every recipe as written."""


def teacher_clips(
    photo_rgb: np.ndarray,
    landmarks68: np.ndarray,
    *,
    head: HeadModel,
    recipes: Recipes,
    mouths: MouthLibrary | None = None,
    settings: TeacherSettings | None = None,
    seed: int = 0,
) -> Iterator[RenderedClip]:
    """One clip per expression (and mix) of ``settings``; the same seed gives the same clips.

    ``photo_rgb`` is uint8 (H, W, 3), ``landmarks68`` (68, 2) photo px. Raises ``InputError`` with the reason
    before the first clip when the photo cannot be used (face too small, turned too far, head does not fit).
    """
    raise NotImplementedError
