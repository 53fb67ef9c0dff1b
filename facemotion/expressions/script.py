"""What is to be performed, before it is known by whom: the steps of an expression, or a track."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from facemotion.expressions.blends import Blend, builtin_recipes, slug
from facemotion.expressions.recipes import PHOTO

if TYPE_CHECKING:
    import numpy as np

    from facemotion.expressions.performance import Performance
    from facemotion.expressions.recipes import Recipes


@dataclass(frozen=True)
class ExpressionScript:
    """Expressions, one after another; the fields are those of `dynamics.perform`."""

    steps: tuple[Blend, ...]
    frames: int
    fps: float
    shape: str = "onset"
    curve: str = "natural"
    intensity: float = 1.0
    relative: bool = False
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    life: str = "off"
    recipes: Recipes = field(default_factory=builtin_recipes)

    @property
    def title(self) -> str:
        """For file names: ``smile``, ``smile-neutral-surprise``."""
        return "idle" if self.shape == "idle" and self.steps == ({PHOTO: 1.0},) else slug(self.steps)

    @property
    def turns(self) -> bool:
        """Whether the head ever turns."""
        return self.life != "off" or any(self.head)

    def performance(self, own: np.ndarray, seed: int) -> Performance:
        """What a face does whose photo shows the units ``own`` (52,)."""
        from facemotion.expressions.dynamics import perform

        return perform(
            self.steps,
            frames=self.frames,
            fps=self.fps,
            own=own,
            shape=self.shape,
            curve=self.curve,
            intensity=self.intensity,
            relative=self.relative,
            head=self.head,
            life=self.life,
            seed=seed,
            recipes=self.recipes,
        )


@dataclass(frozen=True)
class TrackScript:
    """A performance that somebody gave, evenly spaced at the clip's rate."""

    track: Performance
    fps: float
    name: str
    """Of its file, without suffix."""
    relative: bool = False
    life: str = "off"
    intensity: float = 1.0

    @property
    def frames(self) -> int:
        """Length."""
        return len(self.track)

    @property
    def title(self) -> str:
        """For file names."""
        return self.name

    @property
    def turns(self) -> bool:
        """Whether the head ever turns."""
        return self.life != "off" or (self.track.head is not None and bool(self.track.head.any()))

    def performance(self, own: np.ndarray, seed: int) -> Performance:
        """What a face does whose photo shows the units ``own`` (52,)."""
        from facemotion.expressions.life import add_life

        played = replace(self.track, units=self.intensity * self.track.units)
        if self.relative:
            played = played.added_to(own)
        return add_life(played, level=self.life, fps=self.fps, seed=seed)


@dataclass(frozen=True)
class LevelsScript:
    """Stills of a continuum from the photo to an expression, in equal steps."""

    steps: tuple[Blend, ...]
    frames: int
    fps: float
    intensity: float = 1.0
    relative: bool = False
    recipes: Recipes = field(default_factory=builtin_recipes)

    @property
    def title(self) -> str:
        """For file names."""
        return slug(self.steps)

    @property
    def turns(self) -> bool:
        """Whether the head ever turns."""
        return False

    def performance(self, own: np.ndarray, seed: int) -> Performance:
        """What a face does whose photo shows the units ``own`` (52,)."""
        import numpy as np

        from facemotion.expressions.blends import unit_targets
        from facemotion.expressions.dynamics import morph_levels

        target = unit_targets(self.steps[-1], recipes=self.recipes, seed=seed, intensity=self.intensity)
        if self.relative:
            target = np.clip(target + own, 0, 1.5)
        return morph_levels(target, own=own, levels=self.frames)


Script = ExpressionScript | TrackScript | LevelsScript
