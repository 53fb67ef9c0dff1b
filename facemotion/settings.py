"""Everything that decides how a clip looks, as one value."""

import numbers
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, get_args

from facemotion.errors import UsageError
from facemotion.expressions.timing import DEFAULT_FPS, DEFAULT_FRAMES, check_choice, control_track, frame_count
from facemotion.faces.find import ALIGNERS
from facemotion.faces.selection import check_face_choice

MIN_SIZE_PX = 16
MAX_SIZE_PX = 16384


@dataclass(frozen=True)
class AnimateSettings:
    """Everything that decides how a clip looks; checked when made (UsageError)."""

    expression: str = "smile"
    """As in ``--expr``; see `facemotion.expressions.grammar`."""
    frames: int = DEFAULT_FRAMES
    fps: float = DEFAULT_FPS
    """Frames per second."""
    intensity: float = 1.0
    """Factor on every weight, 0 to 1.5."""
    curve: str = "linear"
    """Key of `timing.CURVES`."""
    shape: str = "onset"
    """One of `timing.SHAPES`."""
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
        control_track(({},), frames=self.frames, shape=self.shape, curve=self.curve, intensity=self.intensity)
        check_face_choice(self.face)
        check_choice("aligner", self.aligner, ALIGNERS)
        if self.size is not None and not MIN_SIZE_PX <= self.size <= MAX_SIZE_PX:
            raise UsageError(
                f"A size of {self.size} px is out of range.", f"Give --size from {MIN_SIZE_PX} to {MAX_SIZE_PX}."
            )
        if not 0 <= self.repeats < 2**16:
            raise UsageError(f"{self.repeats} repeats are out of range.", "Give 0 (for ever) to 65535.")


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
    kind = next((each for each in get_args(kind) if each is not type(None)), kind)
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
