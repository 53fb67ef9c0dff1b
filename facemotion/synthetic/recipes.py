"""Expression recipes: which units of the head move, how far, with which spread."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from facemotion.errors import InputError
from facemotion.media.records import MalformedError, checked, malformed, parse_object
from facemotion.synthetic.head import HeadModel

FORMAT = "facemotion-recipes"
_STRONGEST = 1.6
"""No unit goes beyond this, whatever spread and control ask for."""


@dataclass(frozen=True)
class Recipe:
    """How one expression is made. A unit name without ``_L``/``_R`` means both sides."""

    facs: str
    """Action units in FACS terms, for the reader."""
    source: str
    """Where the strengths come from, for the reader."""
    spread: float
    """Relative standard deviation of each unit, and of the whole, from clip to clip."""
    asymmetry: float
    """Relative standard deviation between left and right."""
    variants: tuple[tuple[float, dict[str, float]], ...]
    """Probability and unit strengths at control 1 of each form of the expression."""


@dataclass(frozen=True)
class Recipes:
    """Recipes by expression name."""

    recipes: dict[str, Recipe]

    @classmethod
    def load(cls, path: str | Path | None = None) -> Recipes:
        """The built-in recipes, extended or overridden by those of the JSON file ``path``.

        Raises ``InputError`` for a file that is no recipe file.
        """
        recipes = _parse(files("facemotion").joinpath("assets/recipes.json").read_text(), "the built-in recipes")
        if path is not None:
            try:
                text = Path(path).read_bytes()
            except OSError as error:
                raise InputError(
                    f"Cannot read recipes: {error}", "Give a JSON file as docs/recipes.md describes it."
                ) from error
            recipes |= _parse(text, str(path))
        return cls(recipes)

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names of the expressions, in the file's order."""
        return tuple(self.recipes)

    def check(self, head: HeadModel) -> None:
        """Raise ``InputError`` when a recipe names a unit that this head does not have."""
        for expression, recipe in self.recipes.items():
            for _, units in recipe.variants:
                for unit in units:
                    _sides(unit, head, expression)

    def draw(
        self, expression: str, head: HeadModel, generator: np.random.Generator, *, jitter: float = 1.0
    ) -> np.ndarray:
        """(U,) unit strengths at control 1 of one performance; ``jitter`` 0 is the first variant as written."""
        recipe = self.recipes[expression]
        chances = np.array([chance for chance, _ in recipe.variants])
        chosen = int(generator.choice(len(chances), p=chances / chances.sum())) if jitter else 0
        spread, asymmetry = recipe.spread * jitter, recipe.asymmetry * jitter
        whole = 1 + 0.5 * spread * generator.standard_normal()
        strengths = np.zeros(len(head.unit_names), np.float32)
        for unit, strength in recipe.variants[chosen][1].items():
            own = strength * max(0.0, whole + spread * generator.standard_normal())
            tilt = asymmetry * generator.standard_normal()
            for index, sign in _sides(unit, head, expression):
                strengths[index] += own * (1 + sign * tilt)
        return np.clip(strengths, 0, _STRONGEST)


def _sides(unit: str, head: HeadModel, expression: str) -> list[tuple[int, int]]:
    """Unit numbers and signs of side that a unit name stands for."""
    if unit in head.unit_index:
        return [(head.unit_index[unit], 0)]
    try:
        return [(head.unit_index[f"{unit}_L"], 1), (head.unit_index[f"{unit}_R"], -1)]
    except KeyError:
        raise InputError(
            f"Recipe {expression!r} names the unit {unit!r}, which the head does not have",
            f"Units: {', '.join(sorted({name.removesuffix('_L').removesuffix('_R') for name in head.unit_names}))}.",
        ) from None


def _parse(text: str | bytes, name: str) -> dict[str, Recipe]:
    hint = "docs/recipes.md describes the file."
    try:
        content = parse_object(text)
        if content.get("format") != FORMAT:
            raise InputError(f"{name}: not a recipe file (format is not {FORMAT!r})", hint)
        with malformed():
            recipes = {
                expression: Recipe(
                    facs=str(entry.get("facs", "")),
                    source=str(entry.get("source", "")),
                    spread=checked(entry.get("spread", 0.1), float, "spread"),
                    asymmetry=checked(entry.get("asymmetry", 0.05), float, "asymmetry"),
                    variants=tuple(
                        (
                            checked(variant.get("probability", 1), float, "probability"),
                            checked(variant["units"], dict[str, float], "units"),
                        )
                        for variant in entry["variants"]
                    ),
                )
                for expression, entry in content["expressions"].items()
            }
    except MalformedError as error:
        raise InputError(f"{name}: damaged recipe file ({error})", hint) from error
    for expression, recipe in recipes.items():
        chances = [chance for chance, _ in recipe.variants]
        if min(recipe.spread, recipe.asymmetry, *chances, 0) < 0:
            raise InputError(f"{name}: recipe {expression!r} has a probability or a spread below 0", hint)
        if not 0 < sum(chances) < 1e9:
            raise InputError(f"{name}: recipe {expression!r} has no variant", hint)
    return recipes
