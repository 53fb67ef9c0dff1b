"""Everything that decides how a clip looks, as one value."""

import numbers
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args

from facemotion.errors import UsageError
from facemotion.expressions.blends import parse_expressions
from facemotion.expressions.script import ExpressionScript, LevelsScript, Script, TrackScript
from facemotion.expressions.timing import DEFAULT_FPS, check_choice, frame_count
from facemotion.faces.find import ALIGNERS
from facemotion.faces.selection import check_face_choice

if TYPE_CHECKING:
    from facemotion.expressions.performance import Performance

MIN_SIZE_PX = 16
MAX_SIZE_PX = 16384
MAX_INTENSITY = 1.5
MOST_TURN_DEG = 12
MOST_LEVELS = 1001


@dataclass(frozen=True)
class AnimateSettings:
    """Everything that decides how a clip looks; checked when made (UsageError)."""

    expression: str = "smile"
    """As in ``--expr``; see `facemotion.expressions.blends`."""
    frames: int | None = None
    """Length; None is 32, or all of a track."""
    fps: float = DEFAULT_FPS
    """Frames per second."""
    intensity: float = 1.0
    """Factor on every weight, 0 to 1.5."""
    curve: str = "natural"
    """One of `dynamics.ENVELOPES`."""
    shape: str = "onset"
    """One of `dynamics.SHAPES`."""
    relative: bool = False
    """Add to what the photo shows, instead of replacing it."""
    life: str = "off"
    """Key of `life.LEVELS`: blinks, glances, breath and sway."""
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Yaw, pitch and roll in degrees to turn to along with the expression."""
    seed: int | None = None
    """The person's own way, and whose teeth are lent; None derives it from the photo."""
    recipes: str | None = None
    """A file of expressions of the user's own; see `facemotion.expressions.recipes`."""
    track: str | None = None
    """A CSV file to perform instead of an expression; see `facemotion.expressions.tracks`."""
    drive: str | None = None
    """A video whose face is performed instead; mp4 and webm carry its sound along."""
    levels: int | None = None
    """Stills of a continuum from the photo to the expression instead of a clip."""
    face: str = "largest"
    """``largest``, ``all``, a number from 1, or a point ``X,Y`` in the photo."""
    crop: bool = False
    """The faces alone instead of the whole photo."""
    size: int | None = None
    """Longer side of the clip in px; None keeps the photo's own."""
    compare: bool = False
    """Photo and clip side by side."""
    sheet: bool = False
    """Also write a contact sheet."""
    repeats: int = 0
    """How often gif, webp and png play; 0 = for ever."""
    metadata: bool = True
    """Say in the file that it is AI-generated, and by what."""
    aligner: str = "auto"
    """``auto``, ``builtin`` or ``face-alignment``."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = checked(field.name, getattr(self, field.name), field.type)
            object.__setattr__(self, field.name, value)
        frame_count(frames=self.frames, seconds=None, fps=self.fps)
        self._check_performance()
        check_face_choice(self.face)
        check_choice("aligner", self.aligner, ALIGNERS)
        if self.size is not None and not MIN_SIZE_PX <= self.size <= MAX_SIZE_PX:
            raise UsageError(
                f"A size of {self.size} px is out of range.", f"Give --size from {MIN_SIZE_PX} to {MAX_SIZE_PX}."
            )
        if not 0 <= self.repeats < 2**16:
            raise UsageError(f"{self.repeats} repeats are out of range.", "Give 0 (for ever) to 65535.")

    def _check_performance(self) -> None:
        from facemotion.expressions.dynamics import ENVELOPES, SHAPES
        from facemotion.expressions.life import LEVELS

        check_choice("shape", self.shape, SHAPES)
        check_choice("curve", self.curve, ENVELOPES)
        check_choice("life", self.life, tuple(LEVELS))
        if not 0 <= self.intensity <= MAX_INTENSITY:
            raise UsageError(
                f"An intensity of {self.intensity:g} is out of range.",
                f"Give a number from 0 to {MAX_INTENSITY:g}; 1 is the natural peak.",
            )
        if len(self.head) != 3 or not all(abs(angle) <= MOST_TURN_DEG for angle in self.head):
            raise UsageError(
                f"A head turned by {', '.join(f'{angle:g}' for angle in self.head)} is out of range.",
                f"Give yaw, pitch and roll of at most {MOST_TURN_DEG}°.",
            )
        given = [name for name in ("track", "drive", "levels") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(f"Both {given[0]} and {given[1]} were given.", "Say once what is to be performed.")
        if self.levels is not None and not 2 <= self.levels <= MOST_LEVELS:
            raise UsageError(f"{self.levels} levels are out of range.", f"Give a number from 2 to {MOST_LEVELS}.")
        if self.seed is not None and self.seed < 0:
            raise UsageError(f"A seed of {self.seed} is out of range.", "Give a whole number from 0 on.")

    @property
    def title(self) -> str:
        """What the clip shows, for file names; raises UsageError for an expression that there is not."""
        given = self.track or self.drive
        return self.script().title if given is None else Path(given).stem

    def script(self, *, on_note: Callable[[str], None] | None = None) -> Script:
        """What is to be performed. Reads the files it needs; raises UsageError, InputError."""
        from facemotion.expressions.recipes import Recipes

        if self.levels is not None:
            recipes = Recipes.load(self.recipes)
            steps = parse_expressions(self.expression, recipes=recipes)
            if len(steps) > 1 or not steps[0] or "photo" in steps[0]:
                raise UsageError("--levels goes from the photo to one expression.", "Name one, as in --expr smile.")
            return LevelsScript(
                steps, self.levels, self.fps, intensity=self.intensity, relative=self.relative, recipes=recipes
            )
        if self.track is None and self.drive is None:
            recipes = Recipes.load(self.recipes)
            return ExpressionScript(
                parse_expressions(self.expression, recipes=recipes),
                frames=frame_count(frames=self.frames, seconds=None, fps=self.fps),
                fps=self.fps,
                shape=self.shape,
                curve=self.curve,
                intensity=self.intensity,
                relative=self.relative,
                head=self.head,
                life=self.life,
                recipes=recipes,
            )
        return TrackScript(
            self._track(on_note).resampled(self.fps).first(self.frames),
            fps=self.fps,
            name=self.title,
            relative=self.relative,
            life=self.life,
            intensity=self.intensity,
        )

    def _track(self, on_note: Callable[[str], None] | None) -> "Performance":
        if self.drive is not None:
            from facemotion.faces.driving import performance_of

            return performance_of(self.drive, choice=self.face, on_note=on_note)
        from facemotion.expressions.tracks import read_track

        assert self.track is not None
        return read_track(self.track, on_note=on_note)


_KINDS: dict[object, tuple[str, type, Callable[[Any], object]]] = {
    str: ("text", str, str),
    int: ("a whole number", numbers.Integral, int),
    float: ("a number", numbers.Real, float),
}


def checked(name: str, value: object, kind: object) -> object:
    """An argument of the Python API as what it is declared to be; UsageError for anything else.

    Numbers of NumPy are taken, text for a number is not. ``kind``: str, int, float, bool, or one of them or None; what
    is declared as anything else is left as it is.
    """
    if value is None and type(None) in get_args(kind):
        return None
    if isinstance(kind, UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    truth = isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")
    if kind is bool:
        if truth:
            return bool(value)
        words = "True or False"
    elif kind in _KINDS:
        words, wanted, convert = _KINDS[kind]
        if isinstance(value, wanted) and not truth:
            return convert(value)
    else:
        return value
    shown = repr(value) if len(repr(value)) < 60 else type(value).__name__
    raise UsageError(f"{name} is {shown}.", f"Give {words}.")
