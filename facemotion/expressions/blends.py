"""The language of ``--expr``, in words for expressions and units. Pure Python.

``smile``                      an expression at its natural peak
``smile:0.7+browInnerUp:0.5``  several at once, expressions and units, each with a weight (1 = natural peak, up to 1.5)
``AU12L:0.6+AU6:0.4``          units by their FACS numbers
``wink-left``                  one of an expression's variants
``smile,neutral,surprise``     one after another; ``neutral`` is a face at rest, ``photo`` the face as it is
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from facemotion.errors import UsageError
from facemotion.expressions.recipes import MAX_STRENGTH, NEUTRAL, PHOTO, RESERVED_ALIASES, Recipes, expression_key
from facemotion.expressions.units import (
    UNIT_COUNT,
    UNIT_INDEX,
    find_unit,
    hint_for,
    parse_unit,
    unit_words,
    words_for,
)

if TYPE_CHECKING:
    import numpy as np

MAX_WEIGHT = MAX_STRENGTH
"""The largest weight; 1 is the natural peak of an expression and the full movement of a unit."""

Blend = dict[str, float]
"""Expressions and units shown at the same time, each with its weight; the empty blend is neutral, ``{"photo": 1}`` the
face as the photo shows it."""


@functools.lru_cache(maxsize=1)
def builtin_recipes() -> Recipes:
    """The recipes that come with the package, read once."""
    return Recipes.load()


def canonical(word: str, *, recipes: Recipes | None = None) -> tuple[str, ...]:
    """What a word of the language stands for: one name of an expression, or names of units, pairs said once.

    Raises UsageError that suggests the nearest names.
    """
    recipes = recipes or builtin_recipes()
    key = expression_key(word)
    key = RESERVED_ALIASES.get(key, key)
    if key in (NEUTRAL, PHOTO):
        return (key,)
    name = recipes.find(word)
    if name is not None:
        return (name,)
    units = find_unit(word)
    if units is not None:
        return words_for(units)
    raise UsageError(
        f"Unknown expression or unit {word.strip()!r}.",
        hint_for(word, (*recipes.words, NEUTRAL, PHOTO, *unit_words())),
    )


def parse_expressions(text: str, *, recipes: Recipes | None = None) -> tuple[Blend, ...]:
    """The steps of an expression text in their order, each a blend; raises UsageError for anything unclear."""
    recipes = recipes or builtin_recipes()
    return tuple(_parse_blend(step, recipes) for step in text.split(","))


def check_blend(blend: Mapping[str, float], *, recipes: Recipes | None = None) -> Blend:
    """The blend with canonical names and checked weights, in the order given, without zeros."""
    recipes = recipes or builtin_recipes()
    weights: Blend = {}
    photo = False
    for word, weight in blend.items():
        if not (isinstance(weight, int | float) and math.isfinite(weight) and 0 <= weight <= MAX_WEIGHT):
            raise UsageError(
                f"The weight of {word} is {weight}.", f"Give a number from 0 to {MAX_WEIGHT:g}; 1 is the natural peak."
            )
        for name in canonical(word, recipes=recipes):
            if name in weights:
                raise UsageError(f"{name} is asked for twice in one expression.", "Name each expression once.")
            photo |= name == PHOTO
            weights[name] = float(weight)
    if photo and len(weights) > 1:
        raise UsageError("photo is mixed with other expressions.", "Write it alone, as in smile,photo,surprise.")
    if photo:
        return {PHOTO: 1.0}
    return {name: weight for name, weight in weights.items() if weight and name != NEUTRAL}


def slug(steps: Sequence[Blend]) -> str:
    """The steps as part of a file name: ``smile``, ``smile0.7+browInnerUp0.5``, ``smile-neutral-surprise``."""
    return "-".join(
        "+".join(name if weight == 1 else f"{name}{weight:g}" for name, weight in blend.items()) or NEUTRAL
        for blend in steps
    )


def unit_targets(
    blend: Mapping[str, float],
    *,
    recipes: Recipes | None = None,
    seed: int | None = None,
    intensity: float = 1.0,
    variation: float = 1.0,
) -> np.ndarray:
    """(52,) float32 absolute units of a checked blend: what each expression and unit shows, added up, 0 to 1.5.

    ``intensity`` scales all weights; ``seed`` and ``variation`` as in `Recipes.draw`. Raises UsageError for an
    intensity that takes a weight beyond 1.5, and for ``photo``, which has no units of its own.
    """
    import numpy as np

    recipes = recipes or builtin_recipes()
    check_intensity([blend], intensity)
    if PHOTO in blend:
        raise UsageError("The photo's own expression is not known here.", "Name an expression instead.")
    units = np.zeros(UNIT_COUNT, np.float32)
    for name, weight in blend.items():
        if recipes.find(name) == name:
            units += weight * intensity * recipes.draw(name, seed, variation=variation)
        else:
            for unit in parse_unit(name):
                units[UNIT_INDEX[unit]] += weight * intensity
    return np.clip(units, 0, MAX_STRENGTH)


def check_intensity(steps: Sequence[Mapping[str, float]], intensity: float) -> None:
    """Raises UsageError for an intensity that is no number from 0 to 1.5, or takes a weight beyond that."""
    peak = max((weight for blend in steps for weight in blend.values()), default=0.0)
    if not 0 <= intensity <= MAX_WEIGHT or peak * intensity > MAX_WEIGHT + 1e-9:
        raise UsageError(
            f"An intensity of {intensity:g} at a weight of {peak:g} is out of range.",
            f"Intensity, and intensity times weight, run from 0 to {MAX_WEIGHT:g}; 1 is the natural peak.",
        )


def _parse_blend(text: str, recipes: Recipes) -> Blend:
    blend: Blend = {}
    for part in text.split("+"):
        word, colon, number = part.partition(":")
        if not word.strip():
            raise UsageError(
                "The expression is empty." if not text.strip() else f"A name is missing in {text.strip()!r}.",
                "Write for example smile, smile:0.7+browInnerUp:0.5 or smile,neutral,surprise.",
            )
        names = canonical(word, recipes=recipes)
        try:
            weight = float(number) if colon else 1.0
        except ValueError:
            raise UsageError(
                f"{number.strip()!r} is no weight for {word.strip()}.",
                f"Write a number, for example {word.strip()}:0.7.",
            ) from None
        for name in names:
            if name in blend:
                raise UsageError(f"{name} is asked for twice in {text.strip()!r}.", "Name each expression once.")
            blend[name] = weight
    return check_blend(blend, recipes=recipes)
