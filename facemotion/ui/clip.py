"""What the page asks for, checked, and the command that makes the same clip."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from facemotion.errors import UsageError
from facemotion.expressions.recipes import NEUTRAL, PHOTO
from facemotion.media.formats import FORMATS, ClipFormat
from facemotion.settings import AnimateSettings

MOST_FRAMES = 1500
"""Length of a clip that the page makes; longer ones are made on the command line."""
_MOST_STEPS, _MOST_WORDS = 12, 80
_HINT = "Load the page again."

_TAKEN = ("frames", "fps", "shape", "curve", "life", "seed", "face", "crop", "size", "compare")
_DEFAULTS = AnimateSettings()
_OPTIONS = {
    "fps": "--fps",
    "curve": "--curve",
    "shape": "--shape",
    "life": "--life",
    "seed": "--seed",
    "face": "--face",
    "size": "--size",
}
_SWITCHES = {"relative": "--relative", "crop": "--crop", "compare": "--compare"}


@dataclass(frozen=True)
class ClipRequest:
    """A clip as the page describes it."""

    settings: AnimateSettings
    format: ClipFormat

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> ClipRequest:
        """Of the JSON object that the page sends. Raises UsageError for anything that makes no sense."""
        relative = _flag(message, "relative")
        options: dict[str, Any] = {name: message[name] for name in _TAKEN if message.get(name) is not None}
        if options.get("shape") == "idle" and options.get("life", "off") == "off":
            options["life"] = "subtle"  # as `facemotion animate` has it: a clip of life alone lives
        settings = AnimateSettings(
            expression=expression_text(message.get("steps"), relative=relative),
            relative=relative,
            head=_head(message.get("head")),
            **options,
        )
        if settings.frames is not None and settings.frames > MOST_FRAMES:
            raise UsageError(
                f"{settings.frames} frames are more than the page makes.",
                f"Ask for at most {MOST_FRAMES}, or copy the command and make the clip with it.",
            )
        settings.script()  # raises what is wrong with the words
        format = message.get("format", "mp4")
        if format not in FORMATS:
            raise UsageError(f"There is no format {format!r:.40}.", f"Use one of: {', '.join(FORMATS)}.")
        return cls(settings, FORMATS[format])

    def still(self, step: int) -> AnimateSettings:
        """Of the peak of one of the steps, counted from 0; the last for a number that there is not."""
        steps = self.settings.expression.split(",")
        text = steps[min(max(step, 0), len(steps) - 1)]
        # Nothing is left of life in a single frame.
        return replace(self.settings, expression=text, frames=1, shape="onset", life="off")

    def command(self, photo_name: str) -> str:
        """The line for a shell that makes the same clip of a photo of that name."""
        settings = self.settings
        words = ["facemotion", "animate", photo_name if not photo_name.startswith("-") else f"./{photo_name}"]
        words += ["--expr", settings.expression, "--frames", str(settings.frames)]
        for name, option in _OPTIONS.items():
            value = getattr(settings, name)
            if value != getattr(_DEFAULTS, name):
                words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        words += [option for name, option in _SWITCHES.items() if getattr(settings, name)]
        if any(settings.head):
            words += ["--head", ",".join(f"{angle:g}" for angle in settings.head)]
        if self.format.name != "mp4":
            words += ["--format", self.format.name]
        return shlex.join(words)


def expression_text(steps: object, *, relative: bool) -> str:
    """The text of ``--expr`` for steps ``[{"smile": 0.7, "browInnerUp": 0.5}, {}, …]``; a step in which nothing is
    asked for is the photo where steps are added to it, and neutral where they are not."""
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not 1 <= len(steps) <= _MOST_STEPS:
        raise UsageError(f"A clip has from 1 to {_MOST_STEPS} steps.", _HINT)
    return ",".join(_step_text(step, empty=PHOTO if relative else NEUTRAL) for step in steps)


def _step_text(step: object, *, empty: str) -> str:
    if not isinstance(step, Mapping) or len(step) > _MOST_WORDS:
        raise UsageError("A step of the expression cannot be read.", _HINT)
    parts = []
    for name, weight in step.items():
        if any(sign in name for sign in "+,:"):
            raise UsageError(f"{name[:40]!r} is no name of an expression.", _HINT)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise UsageError(f"The weight of {name[:40]} is no number.", _HINT)
        if weight:
            parts.append(name if weight == 1 else f"{name}:{weight:g}")
    return "+".join(parts) or empty


def _flag(message: Mapping[str, Any], name: str) -> bool:
    value = message.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(f"{name} is neither on nor off.", _HINT)
    return value


def _head(angles: object) -> tuple[float, float, float]:
    if angles is None:
        return 0.0, 0.0, 0.0
    if not isinstance(angles, Sequence) or len(angles) != 3 or not all(_is_number(angle) for angle in angles):
        raise UsageError("The head's three angles cannot be read.", _HINT)
    yaw, pitch, roll = (float(angle) for angle in angles)
    return yaw, pitch, roll


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
