"""Named expressions as data: which units they show, how people differ in them, and when each part of the face moves.

`Recipes` reads ``assets/expressions.json`` and, at run time, files of the user in the same format, which
docs/expressions.md describes. Reading and checking is pure Python; drawing a performance needs numpy.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facemotion.errors import InputError, MissingFileError, UsageError
from facemotion.expressions.units import GROUPS, UNIT_COUNT, UNIT_INDEX, find_unit, hint_for, unit_words, words_for
from facemotion.media.regular import read_regular

if TYPE_CHECKING:
    import numpy as np

FORMAT = "facemotion-recipes"
VERSION = 2

MAX_STRENGTH = 1.5
"""The largest strength of a unit; 1 is its full natural movement."""

NEUTRAL = "neutral"
"""The word for a face at rest: every unit 0, whatever the photo shows."""

PHOTO = "photo"
"""The word for the face as the photo shows it."""

RESERVED_ALIASES = {"none": NEUTRAL, "rest": NEUTRAL, "relaxed": NEUTRAL, "original": PHOTO}
"""Other words for the two, which no recipe may take."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HINT = "docs/expressions.md describes the file; `facemotion expressions --recipes FILE --check` lists all it says."
_LIKELY = 2.0  # standard deviations beyond which nobody's own expression lies


@dataclass(frozen=True)
class Component:
    """Units of a recipe that move as one: a single unit, or the left and the right of a pair.

    ``strength`` at weight 1; ``spread`` the relative standard deviation between people, None for the recipe's.
    """

    units: tuple[str, ...]
    strength: float
    spread: float | None = None


@dataclass(frozen=True)
class Variant:
    """One of the forms that an expression takes; ``probability`` is relative to that of the others."""

    name: str
    probability: float
    components: tuple[Component, ...]

    @property
    def strengths(self) -> dict[str, float]:
        """Strength by unit name."""
        strengths: dict[str, float] = {}
        for component in self.components:
            for unit in component.units:
                strengths[unit] = strengths.get(unit, 0.0) + component.strength
        return strengths


@dataclass(frozen=True)
class Timing:
    """How long an expression takes at natural speed, in seconds.

    ``hold_s`` is None for expressions that may be held; a number means that the peak lasts so long and no longer,
    however long the clip is (a blink).
    """

    onset_s: float = 0.5
    hold_s: float | None = None
    offset_s: float = 0.8


@dataclass(frozen=True)
class Recipe:
    """A named expression.

    ``looks`` what one sees; ``facs`` its action units and ``source`` where the strengths come from, for the reader;
    ``whole_spread`` and ``unit_spread`` relative standard deviations between people of all units together and of each;
    ``asymmetry`` that between left and right; ``delays_s`` when each group of units starts, 0 where it is not named.
    """

    name: str
    looks: str
    aliases: tuple[str, ...]
    facs: str
    source: str
    whole_spread: float
    unit_spread: float
    asymmetry: float
    delays_s: Mapping[str, float]
    timing: Timing
    variants: tuple[Variant, ...]

    def variant(self, name: str | None = None) -> Variant:
        """The variant of that name, the first one without a name."""
        return next(variant for variant in self.variants if name is None or variant.name == name)

    @property
    def units(self) -> tuple[str, ...]:
        """Words for the units that any variant shows."""
        return words_for([unit for variant in self.variants for unit in variant.strengths])


@dataclass(frozen=True)
class Recipes:
    """Recipes by name. ``aliases`` leads from every other name to a recipe's."""

    by_name: Mapping[str, Recipe]
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path | None = None) -> Recipes:
        """The built-in recipes, extended and overridden by those of the JSON file ``path``.

        Raises InputError for a file that is unreadable or wrong; its first problem is the message.
        """
        if path is None:
            return _builtin()
        problems, recipes = _read(path)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise InputError(f"{path}: {problems[0]}{more}", _HINT)
        return _builtin().extended(recipes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the files."""
        return tuple(self.by_name)

    @property
    def words(self) -> tuple[str, ...]:
        """Everything that `find` knows: names, aliases, names with a variant."""
        variants = (f"{name}-{variant}" for name in self.names for variant in self.variants_of(name))
        return (*self.names, *self.aliases, *variants)

    def aliases_of(self, name: str) -> tuple[str, ...]:
        """Other names of a recipe."""
        return tuple(alias for alias, recipe in self.aliases.items() if recipe == name)

    def variants_of(self, name: str) -> tuple[str, ...]:
        """Names of the variants that can be asked for, as in ``wink-left``."""
        return tuple(variant.name for variant in self.by_name[name].variants if variant.name)

    def find(self, word: str) -> str | None:
        """The name of a recipe, ``name-variant`` where a variant is asked for, or None for other words."""
        key = expression_key(word)
        if key in self.by_name:
            return key
        if key in self.aliases:
            return self.aliases[key]
        stem, _, variant = key.rpartition("-")
        name = self.aliases.get(stem, stem)
        return f"{name}-{variant}" if name in self.by_name and variant in self.variants_of(name) else None

    def split(self, name: str) -> tuple[Recipe, str | None]:
        """Recipe and variant of a name as `find` returns it."""
        if name in self.by_name:
            return self.by_name[name], None
        stem, _, variant = name.rpartition("-")
        return self.by_name[stem], variant

    def extended(self, others: Mapping[str, Recipe]) -> Recipes:
        """These recipes and others, which win where names meet."""
        by_name = {**self.by_name, **others}
        own = {alias: recipe.name for recipe in others.values() for alias in recipe.aliases}
        aliases = {
            alias: recipe.name
            for recipe in by_name.values()
            for alias in recipe.aliases
            if alias not in by_name and own.get(alias, recipe.name) == recipe.name
        }
        return Recipes(by_name, aliases)

    def draw(self, name: str, seed: int | None, *, variation: float = 1.0) -> np.ndarray:
        """(52,) float32 units of a person's own way to show an expression at weight 1.

        The same name and seed give the same units, and how a person's left side differs from the right is alike in
        all expressions of one seed. ``variation`` scales what differs between people; without seed, or at 0, it is
        the first variant as the file says. ``name`` as `find` returns it.
        """
        import numpy as np

        recipe, chosen = self.split(name)
        units = np.zeros(UNIT_COUNT, np.float32)
        if seed is None or variation == 0:
            for unit, strength in recipe.variant(chosen).strengths.items():
                units[UNIT_INDEX[unit]] = strength
            return np.clip(units, 0, MAX_STRENGTH)
        side = float(_source(seed, "side").standard_normal())
        source = _source(seed, recipe.name)

        def around_one(spread: float) -> float:
            draw = min(_LIKELY, max(-_LIKELY, float(source.standard_normal())))
            return max(0.0, 1 + spread * variation * draw)

        chances = np.array([variant.probability for variant in recipe.variants])
        place = int(source.choice(len(chances), p=chances / chances.sum()))
        variant = recipe.variants[place] if chosen is None else recipe.variant(chosen)
        whole = around_one(recipe.whole_spread)
        for component in variant.components:
            spread = recipe.unit_spread if component.spread is None else component.spread
            strength = component.strength * whole * around_one(spread)
            tilt = recipe.asymmetry * variation * (0.7 * side + 0.7 * float(source.standard_normal()))
            for unit in component.units:
                sign = (unit.endswith("Left") - unit.endswith("Right")) if len(component.units) == 2 else 0
                units[UNIT_INDEX[unit]] += strength * (1 + sign * tilt)
        return np.clip(units, 0, MAX_STRENGTH)


def expression_key(word: str) -> str:
    """A word as names of expressions are compared: ``Closed_Smile`` is ``closed-smile``."""
    return re.sub(r"[ _-]+", "-", word.strip().lower())


def seed_from_bytes(content: bytes) -> int:
    """A seed that belongs to a photo: the same bytes, the same seed."""
    return int.from_bytes(hashlib.sha256(content).digest()[:6], "big")


def check_recipes(path: str | Path) -> list[str]:
    """Everything that is wrong with a recipe file, one line each; empty for a good one. Raises InputError where it
    cannot be read at all."""
    return _read(path)[0]


def _source(seed: int, purpose: str) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


@functools.cache
def _builtin() -> Recipes:
    text = files("facemotion").joinpath("assets/expressions.json").read_text("utf-8")
    problems, recipes = _parse(text)
    if problems:
        raise InputError(f"assets/expressions.json: {problems[0]}", "Install facemotion again.")
    return Recipes({}).extended(recipes)


_LARGEST = 16 << 20  # bytes of a file of recipes


def _read(path: str | Path) -> tuple[list[str], dict[str, Recipe]]:
    try:
        text = read_regular(path, most_bytes=_LARGEST).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise MissingFileError(f"Cannot read the recipes {path}: they do not exist.", "Check the name.") from error
    except OSError as error:
        raise InputError(f"Cannot read the recipes {path}: {error.strerror or error}", _HINT) from error
    except UnicodeDecodeError as error:
        raise InputError(f"The recipes {path} are no text in UTF-8.", _HINT) from error
    problems, recipes = _parse(text)
    builtin = _builtin()
    for recipe in recipes.values():
        for alias in recipe.aliases:
            if alias in builtin.by_name and alias not in recipes:
                problems.append(f"{recipe.name}: the alias {alias!r} is the name of a built-in expression")
    return problems, recipes


def _parse(text: str) -> tuple[list[str], dict[str, Recipe]]:
    problems: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        for name in sorted({name for name, _ in items if [other for other, _ in items].count(name) > 1}):
            problems.append(f"{name!r} is there twice in one object")
        return dict(items)

    try:
        content = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        return [f"no JSON: {error.msg} in line {error.lineno}, column {error.colno}"], {}
    except RecursionError:
        return ["no recipe file: nested too deeply"], {}
    if not isinstance(content, dict):
        return ["no recipe file: the outermost is no object"], {}
    if content.get("format", FORMAT) != FORMAT:
        problems.append(f"no recipe file: format is {content['format']!r}, not {FORMAT!r}")
    if content.get("version", VERSION) != VERSION:
        problems.append(f"version is {content['version']!r}; only version {VERSION} is understood")
    entries = content.get("expressions")
    if not isinstance(entries, dict) or not entries:
        problems.append("no expressions: give an object with at least one under 'expressions'")
        entries = {}
    for key in sorted(set(content) - {"format", "version", "expressions"}):
        problems.append(f"unknown field {key!r}")
    recipes = {}
    for name, entry in entries.items():
        recipe = _RecipeParser(name, problems).parse(entry)
        recipes[recipe.name] = recipe
    _check_names(recipes, problems)
    return problems, recipes


def _check_names(recipes: Mapping[str, Recipe], problems: list[str]) -> None:
    taken: dict[str, str] = dict.fromkeys(recipes, "an expression")
    for recipe in recipes.values():
        for alias in recipe.aliases:
            if alias in taken:
                problems.append(f"{recipe.name}: the alias {alias!r} is already {taken[alias]}")
            taken[alias] = f"an alias of {recipe.name}"


class _RecipeParser:
    """Reads one entry and notes all that is wrong with it."""

    _FIELDS = frozenset(
        ("looks", "aliases", "facs", "source", "spread", "asymmetry", "delays", "timing", "variants", "units")
    )

    def __init__(self, name: str, problems: list[str]):
        self._name, self._problems = name, problems

    def parse(self, entry: Any) -> Recipe:
        name = expression_key(self._name)
        self._check_name(name)
        if not isinstance(entry, dict):
            self._note("", "not an object")
            entry = {"units": {"browInnerUp": 1}}
        for key in sorted(set(entry) - self._FIELDS):
            self._note("", f"unknown field {key!r}")
        spread = entry.get("spread", 0.1)
        if not isinstance(spread, dict):
            spread = {"whole": spread, "units": spread}
        self._only(spread, "spread", ("whole", "units"))
        return Recipe(
            name=name,
            looks=self._text(entry, "looks"),
            aliases=self._aliases(entry.get("aliases", [])),
            facs=self._text(entry, "facs"),
            source=self._text(entry, "source"),
            whole_spread=self._number(spread.get("whole", 0.0), "spread.whole", most=1),
            unit_spread=self._number(spread.get("units", 0.0), "spread.units", most=1),
            asymmetry=self._number(entry.get("asymmetry", 0.05), "asymmetry", most=1),
            delays_s=self._delays(entry.get("delays", {})),
            timing=self._timing(entry.get("timing", {})),
            variants=self._variants(entry),
        )

    def _note(self, place: str, problem: str) -> None:
        self._problems.append(f"{self._name}{place and ': ' + place}: {problem}")

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            self._note("", "a name is made of letters, digits and hyphens, and starts with a letter")
        elif name in (NEUTRAL, PHOTO) or name in RESERVED_ALIASES:
            self._note("", "this word is reserved")
        elif _is_unit(name):
            self._note("", "this is the name of a unit")

    def _text(self, entry: dict[str, Any], key: str) -> str:
        value = entry.get(key, "")
        if not isinstance(value, str):
            self._note(key, "not a text")
            return ""
        return value

    def _number(self, value: Any, place: str, *, least: float = 0, most: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            self._note(place, f"{value!r:.40} is no number")
        elif not least <= value <= most:
            self._note(place, f"{value:g} is not between {least:g} and {most:g}")
        else:
            return float(value)
        return least

    def _object(self, value: Any, place: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self._note(place, "not an object")
        return {}

    def _only(self, value: dict[str, Any], place: str, known: tuple[str, ...]) -> None:
        for key in sorted(set(value) - set(known)):
            self._note(place, f"unknown field {key!r}; known are {', '.join(known)}")

    def _aliases(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(alias, str) for alias in value):
            self._note("aliases", "not a list of words")
            return ()
        aliases = tuple(expression_key(alias) for alias in value)
        for alias in aliases:
            if not _NAME.fullmatch(alias) or alias in (NEUTRAL, PHOTO) or alias in RESERVED_ALIASES or _is_unit(alias):
                self._note("aliases", f"{alias!r} cannot be an alias")
        return aliases

    def _delays(self, value: Any) -> dict[str, float]:
        delays = self._object(value, "delays")
        self._only(delays, "delays", GROUPS)
        return {group: self._number(delay, f"delays.{group}", most=1) for group, delay in delays.items()}

    def _timing(self, value: Any) -> Timing:
        timing = self._object(value, "timing")
        self._only(timing, "timing", ("onset_s", "hold_s", "offset_s"))
        hold = timing.get("hold_s")
        return Timing(
            onset_s=self._number(timing.get("onset_s", Timing.onset_s), "timing.onset_s", least=0.03, most=5),
            hold_s=None if hold is None else self._number(hold, "timing.hold_s", most=5),
            offset_s=self._number(timing.get("offset_s", Timing.offset_s), "timing.offset_s", least=0.03, most=5),
        )

    def _variants(self, entry: dict[str, Any]) -> tuple[Variant, ...]:
        if ("units" in entry) == ("variants" in entry):
            self._note("", "give either 'units' or 'variants'")
            return (Variant("", 1.0, ()),)
        if "units" in entry:
            return (Variant("", 1.0, self._components(entry["units"], "units")),)
        variants = entry["variants"]
        if not isinstance(variants, list) or not variants:
            self._note("variants", "not a list with at least one variant")
            return (Variant("", 1.0, ()),)
        parsed = tuple(self._variant(variant, f"variants[{place}]") for place, variant in enumerate(variants))
        if sum(variant.probability for variant in parsed) <= 0:
            self._note("variants", "their probabilities are all 0")
        names = [variant.name for variant in parsed if variant.name]
        if len(set(names)) < len(names):
            self._note("variants", "two of one name")
        return parsed

    def _variant(self, value: Any, place: str) -> Variant:
        variant = self._object(value, place)
        self._only(variant, place, ("name", "probability", "units"))
        name = variant.get("name", "")
        if not isinstance(name, str) or (name and not re.fullmatch(r"[a-z0-9]+", name)):
            self._note(f"{place}.name", f"{name!r} is not one word of small letters and digits")
            name = ""
        probability = self._number(variant.get("probability", 1.0), f"{place}.probability", most=1000)
        return Variant(name, probability, self._components(variant.get("units"), f"{place}.units"))

    def _components(self, value: Any, place: str) -> tuple[Component, ...]:
        units = self._object(value, place)
        if not units and isinstance(value, dict):
            self._note(place, "no units")
        components = []
        for word, wanted in units.items():
            spread = None
            if isinstance(wanted, dict):
                self._only(wanted, f"{place}.{word}", ("strength", "spread"))
                if "spread" in wanted:
                    spread = self._number(wanted["spread"], f"{place}.{word}.spread", most=1)
                wanted = wanted.get("strength")
            strength = self._number(wanted, f"{place}.{word}", most=MAX_STRENGTH)
            names = self._unit(word, place)
            if names:
                components.append(Component(names, strength, spread))
        return tuple(components)

    def _unit(self, word: str, place: str) -> tuple[str, ...]:
        try:
            names = find_unit(word)
        except UsageError as error:
            self._note(place, f"{error.message} {error.hint}")
            return ()
        if names is None:
            self._note(place, f"unknown unit {word!r}. {hint_for(word, unit_words())}")
            return ()
        return names


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _is_unit(word: str) -> bool:
    try:
        return find_unit(word) is not None
    except UsageError:
        return True  # a FACS number, if one without a unit
