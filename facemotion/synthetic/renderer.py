"""Teacher clips: a photo of a face, re-rendered with other expressions through the 3-D head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facemotion.errors import InputError
from facemotion.faces.pose import head_pose
from facemotion.synthetic.clip import RenderedClip
from facemotion.synthetic.head import HeadModel
from facemotion.synthetic.mouths import Mouth, MouthLibrary, borrowed, drawn, keep, paint
from facemotion.synthetic.portrait import Portrait, check_fit
from facemotion.synthetic.recipes import Recipes

_PARTED = 0.045
"""Lips further apart than this, in distances of the outer eye corners, show the mouth's inside in the photo."""
_WIDE_OPEN = 0.13
"""Photos whose lips are further apart would need more than a recipe to show another expression."""
_OWN = 0.25
"""Fitted strengths up to this are noise, not an expression of the photo."""


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
    settings = settings or TeacherSettings()
    recipes.check(head)
    generator = np.random.default_rng(seed)
    portrait = Portrait(photo_rgb, landmarks68, head=head, crop_px=settings.crop_px)
    check_fit(portrait)
    if portrait.gap > _WIDE_OPEN:
        raise InputError(f"the mouth is wide open: lips part {portrait.gap:.0%} of the eye distance")
    own = borrowed(portrait.crop, portrait.landmarks)
    names = settings.expressions or recipes.expressions
    performances = [{name: 1.0} for name in names for _ in range(settings.clips_per_expression)]
    performances += [_mix(names, generator) for _ in range(settings.mixes)]
    for expression in performances:
        mouth = own or (mouths.near(portrait.skin_colour, generator) if mouths else None) or drawn()
        yield _clip(portrait, expression, recipes, mouth, settings, generator)


def _mix(names: tuple[str, ...], generator: np.random.Generator) -> dict[str, float]:
    """Two different expressions with weights that add up to 1."""
    first, second = generator.choice(len(names), 2, replace=False)
    share = round(float(generator.uniform(0.3, 0.7)), 2)
    return {names[first]: share, names[second]: round(1 - share, 2)}


def draw_controls(count: int, generator: np.random.Generator) -> np.ndarray:
    """(count,) controls: 0, then 1, then spread evenly at random over (0, 1.25)."""
    between = (np.arange(max(0, count - 2)) + generator.uniform(0.1, 1, max(0, count - 2))) / max(1, count - 2) * 1.25
    return np.round(np.concatenate([[0, 1], between])[:count], 3).astype(np.float32)


def _clip(
    portrait: Portrait,
    expression: dict[str, float],
    recipes: Recipes,
    mouth: Mouth,
    settings: TeacherSettings,
    generator: np.random.Generator,
) -> RenderedClip:
    head = portrait.head
    peak = sum(
        weight * recipes.draw(name, head, generator, jitter=settings.jitter) for name, weight in expression.items()
    )
    undone = _undone(portrait, peak)
    fold_strength = float(generator.uniform(0.7, 1.2)) if settings.jitter else 1.0
    turned, relit = generator.uniform(size=2) < (settings.turned, settings.relit)
    turn = generator.uniform(-1, 1, 2) * (settings.yaw_deg, settings.pitch_deg)
    toward = generator.normal(size=3) * (1, 0.6, 0.2)
    toward *= generator.uniform(0.1, 0.3) / np.linalg.norm(toward)
    if settings.controls is not None:
        control = np.array(settings.controls, np.float32)
    else:
        control = draw_controls(settings.frames, generator)
    view = portrait.turned(*turn) if turned else portrait.frontal
    flow = portrait.view_flow(view)
    gain = portrait.relight(view, toward) if relit else np.float32(1)
    parted = portrait.gap > _PARTED
    frames, landmarks, teeth = [], [], []
    for a in control:
        strengths = np.clip(a * peak, 0, 1.6)
        for side in "LR":
            blink = head.unit_index[f"eyeBlink_{side}"]
            strengths[blink] = min(1.0, strengths[blink])
        strengths = (strengths - min(a, 1.0) * undone).astype(np.float32)
        rendering = portrait.render(strengths, view=view, view_flow=flow, fold_strength=fold_strength)
        opening = portrait.opening(rendering)
        if a == 0 and not turned:
            image = portrait.skin
        else:
            image, share = rendering.image, 1.0
            if parted:
                ratio = keep(image, opening, portrait.skin, portrait.landmarks)
                share = float(np.clip((ratio - 1.4) / 0.8, 0, 1))
            if a > 0 and share > 0:
                paint(image, opening, mouth, skin=portrait.skin_colour, white=portrait.white, strength=share)
        frames.append(np.round(np.clip(image * gain, 0, 1) * 255).astype(np.uint8))
        points = portrait.landmarks_at(portrait.expressed(strengths), view)
        landmarks.append(points if a == 0 and not turned else opening.at_lips(points))
        teeth.append(opening.teeth())
    pose = np.array(head_pose(landmarks[0]), np.float32)[None].repeat(len(control), 0)
    return RenderedClip(frames, control, expression, np.stack(landmarks), pose, np.stack(teeth))


def _undone(portrait: Portrait, peak: np.ndarray) -> np.ndarray:
    """(U,) how much of the photo's own expression is gone at the peak: of mouth or brows, where ``peak`` moves them."""
    names = np.array(portrait.head.unit_names)
    mouth = np.char.startswith(names, "mouth") | np.char.startswith(names, "jaw")
    brows = np.char.startswith(names, "brow")
    affected = (mouth & bool(peak[mouth].any())) | (brows & bool(peak[brows].any()))
    return np.where(affected, 0.8 * np.maximum(portrait.fit.expression - _OWN, 0), 0).astype(np.float32)
