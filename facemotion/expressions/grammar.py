"""What can be asked for: names of expressions, their aliases, and the language of ``--expr``. Pure Python.

``smile``                  one expression at its natural peak
``smile:0.7+surprise:0.3`` several at once, each with a weight (1 = natural peak, up to 1.5)
``smile,neutral,surprise`` one after another
"""

import difflib
import math

from facemotion.errors import UsageError

EXPRESSIONS = ("smile", "surprise", "anger", "sadness", "disgust", "fear", "contempt", "blink", "closed-smile")
"""The expressions of the released model; entry ``i`` of a control vector belongs to ``EXPRESSIONS[i]``.

A model trained on other expressions carries its own tuple in its configuration.
"""

SMILES = ("smile", "closed-smile")
"""The two ways to smile, open and closed."""

LIPS_TOGETHER = ("contempt", "blink", "closed-smile")
"""Expressions under which lips that are closed stay closed: nothing of the mouth comes to light."""

NEUTRAL = "neutral"
"""The word for no expression: the photo as it is, control 0."""

MAX_WEIGHT = 1.5
"""The largest control a model is trained for; 1 is the natural peak."""

ALIASES = {
    "smile": ("happy", "happiness", "joy", "grin", "laugh"),
    "surprise": ("surprised", "amazed", "astonished", "wow"),
    "anger": ("angry", "furious", "mad"),
    "sadness": ("sad", "unhappy", "sorrow"),
    "disgust": ("disgusted",),
    "fear": ("afraid", "scared", "fearful", "frightened"),
    "contempt": ("contemptuous", "scorn", "smirk"),
    "blink": ("close-eyes", "eyes-closed", "shut-eyes"),
    "closed-smile": ("soft-smile", "gentle-smile", "slight-smile"),
    NEUTRAL: ("none", "photo", "rest"),
}

DESCRIPTIONS = {
    "smile": "cheeks up, mouth corners up, teeth at the peak",
    "surprise": "brows up, eyes wide, jaw dropped",
    "anger": "brows down and together, glare, teeth bared",
    "sadness": "inner brows up, mouth corners down",
    "disgust": "nose wrinkled, corners down, lips together",
    "fear": "brows up and together, eyes wide, mouth stretched",
    "contempt": "one mouth corner tightened and raised",
    "blink": "both eyes closed",
    "closed-smile": "cheeks up, mouth corners up, lips together",
}

Blend = dict[str, float]
"""Expressions shown at the same time, each with its weight; the empty blend is neutral."""


def canonical(word: str, *, known: tuple[str, ...] = EXPRESSIONS) -> str:
    """The model's name of an expression given by name or alias; raises UsageError that suggests the nearest."""
    key = word.strip().lower().replace("_", "-")
    if key in known or key == NEUTRAL:
        return key
    for name, aliases in ALIASES.items():
        if key in aliases and (name in known or name == NEUTRAL):
            return name
    words = [*known, NEUTRAL, *(alias for name in known for alias in ALIASES.get(name, ()))]
    nearest = difflib.get_close_matches(key, words, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"Known are: {', '.join(known)}, {NEUTRAL}."
    raise UsageError(f"Unknown expression {word.strip()!r}.", hint)


def parse_expressions(text: str, *, known: tuple[str, ...] = EXPRESSIONS) -> tuple[Blend, ...]:
    """The steps of an expression text in their order, each a blend; raises UsageError for anything unclear."""
    return tuple(_parse_blend(step, known) for step in text.split(","))


def check_blend(blend: Blend, *, known: tuple[str, ...] = EXPRESSIONS) -> Blend:
    """The blend with canonical names and checked weights, in the model's order, without zeros."""
    weights: Blend = {}
    for word, weight in blend.items():
        name = canonical(word, known=known)
        if not (math.isfinite(weight) and 0 <= weight <= MAX_WEIGHT):
            raise UsageError(
                f"The weight of {name} is {weight:g}.",
                f"Give a number from 0 to {MAX_WEIGHT:g}; 1 is the natural peak.",
            )
        if name in weights:
            raise UsageError(f"{name} is asked for twice in one expression.", "Name each expression once.")
        weights[name] = float(weight)
    return {name: weights[name] for name in known if weights.get(name)}


def control_vector(blend: Blend, *, known: tuple[str, ...] = EXPRESSIONS) -> tuple[float, ...]:
    """The model's control vector of a checked blend, one number per expression in the order of ``known``."""
    return tuple(float(blend.get(name, 0.0)) for name in known)


def slug(steps: tuple[Blend, ...]) -> str:
    """The steps as part of a file name: ``smile``, ``smile0.7+surprise0.3``, ``smile-neutral-surprise``."""
    return "-".join(
        "+".join(name if weight == 1 else f"{name}{weight:g}" for name, weight in blend.items()) or NEUTRAL
        for blend in steps
    )


def _parse_blend(text: str, known: tuple[str, ...]) -> Blend:
    blend: Blend = {}
    for part in text.split("+"):
        word, colon, number = part.partition(":")
        if not word.strip():
            raise UsageError(
                "The expression is empty." if not text.strip() else f"A name is missing in {text.strip()!r}.",
                "Write for example smile, smile:0.7+surprise:0.3 or smile,neutral,surprise.",
            )
        name = canonical(word, known=known)
        try:
            weight = float(number) if colon else 1.0
        except ValueError:
            raise UsageError(
                f"{number.strip()!r} is no weight for {name}.", f"Write a number, for example {name}:0.7."
            ) from None
        if name in blend:
            raise UsageError(f"{name} is asked for twice in {text.strip()!r}.", "Name each expression once.")
        blend[name] = weight
    return check_blend(blend, known=known)
