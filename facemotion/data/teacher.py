"""Teacher clips: a photo of a face, re-rendered with other expressions through the 3-D head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facemotion.data.head import HeadModel
from facemotion.data.mouths import Mouth, MouthLibrary, borrowed, paint
from facemotion.data.portrait import Portrait, check_fit
from facemotion.data.recipes import Recipes
from facemotion.data.rendered import RenderedClip
from facemotion.face.pose import head_pose


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
    own = borrowed(portrait.crop, portrait.landmarks)
    names = settings.expressions or recipes.expressions
    performances = [{name: 1.0} for name in names for _ in range(settings.clips_per_expression)]
    performances += [_mix(names, generator) for _ in range(settings.mixes)]
    for expression in performances:
        mouth = own or (mouths.near(portrait.skin_colour, generator) if mouths else None)
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
    mouth: Mouth | None,
    settings: TeacherSettings,
    generator: np.random.Generator,
) -> RenderedClip:
    head = portrait.head
    peak = sum(weight * recipes.draw(name, head, generator, jitter=settings.jitter) for name, weight in expression.items())
    fold_strength = float(generator.uniform(0.7, 1.2)) if settings.jitter else 1.0
    turned = generator.uniform() < settings.turned
    turn = generator.uniform(-1, 1, 2) * (settings.yaw_deg, settings.pitch_deg)
    if settings.controls is not None:
        control = np.array(settings.controls, np.float32)
    else:
        control = draw_controls(settings.frames, generator)
    view = portrait.turned(*turn) if turned else portrait.frontal
    flow = portrait.view_flow(view)
    frames, landmarks = [], []
    for a in control:
        strengths = np.clip(a * peak, 0, 1.6).astype(np.float32)
        for name in ("eyeBlink_L", "eyeBlink_R"):
            strengths[head.unit_index[name]] = min(1.0, strengths[head.unit_index[name]])
        if a == 0 and not turned:
            frames.append(portrait.crop)
        else:
            rendering = portrait.render(strengths, view=view, view_flow=flow, fold_strength=fold_strength)
            if mouth is not None and a > 0:
                paint(rendering.image, portrait.opening(rendering), mouth, skin=portrait.skin_colour, white=portrait.white)
            frames.append(np.round(rendering.image * 255).astype(np.uint8))
        landmarks.append(portrait.landmarks_at(portrait.expressed(strengths), view))
    pose = np.array([head_pose(points) for points in landmarks[:1]], np.float32).repeat(len(control), 0)
    return RenderedClip(frames, control, expression, np.stack(landmarks), pose)
