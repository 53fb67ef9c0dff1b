"""``facemotion expressions``: what can be asked for."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console
from facemotion.errors import UsageError

FAILED = 1


def register(app: typer.Typer) -> None:
    """Adds the ``expressions`` command."""
    app.command(
        epilog="Examples: facemotion expressions · facemotion expressions --json · facemotion expressions --units · "
        "facemotion expressions --recipes mine.json --check · "
        "facemotion animate photo.jpg --expr smile:0.7+surprise:0.3"
    )(expressions)


def expressions(
    units: Annotated[bool, typer.Option("--units", help="List the 52 units with their FACS numbers.")] = False,
    recipes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List the recipes with those of this file.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Say all that is wrong with the --recipes file.")] = False,
    as_json: console.Json = False,
    weights: Annotated[
        Path | None, typer.Option(help="List those of this generator file.", envvar="FACEMOTION_WEIGHTS")
    ] = None,
    quiet: console.Quiet = False,
) -> None:
    """List the expressions, what they look like and their other names."""
    if check:
        _check(recipes, as_json)
    elif units:
        _list_units(as_json)
    elif recipes is not None:
        _list_recipes(recipes, as_json)
    else:
        _list_expressions(weights, as_json)


def _list_expressions(weights: Path | None, as_json: bool) -> None:
    from facemotion.expressions.grammar import ALIASES, DESCRIPTIONS, MAX_WEIGHT

    names = _known(weights)
    if as_json:
        rows = [
            {"name": name, "aliases": list(ALIASES.get(name, ())), "looks_like": DESCRIPTIONS.get(name, "")}
            for name in names
        ]
        console.say_json({"expressions": rows, "max_weight": MAX_WEIGHT})
        return
    console.say_table(
        ("name", "also", "what it looks like"),
        [(name, ", ".join(ALIASES.get(name, ())), DESCRIPTIONS.get(name, "")) for name in names],
    )
    console.say("\nOne:           --expr smile            weaker: --expr smile:0.5 (1 = natural peak, up to 1.5)")
    console.say("At once:       --expr smile:0.7+surprise:0.3")
    console.say('After another: --expr "smile,neutral,surprise"')


def _list_units(as_json: bool) -> None:
    from facemotion.expressions.units import UNITS

    if as_json:
        rows = [
            {
                "name": unit.name,
                "facs": unit.facs_label,
                "side": unit.side,
                "group": unit.group,
                "looks_like": unit.look,
            }
            for unit in UNITS
        ]
        console.say_json({"units": rows})
        return
    console.say_table(
        ("unit", "FACS", "group", "what it looks like"),
        [(unit.name, unit.facs_label, unit.group, unit.look) for unit in UNITS],
    )


def _list_recipes(path: Path, as_json: bool) -> None:
    from facemotion.expressions.recipes import Recipes

    recipes = Recipes.load(path)
    rows = [
        {
            "name": recipe.name,
            "aliases": list(recipes.aliases_of(recipe.name)),
            "variants": list(recipes.variants_of(recipe.name)),
            "facs": recipe.facs,
            "looks_like": recipe.looks,
            "units": recipe.variant().strengths,
        }
        for recipe in recipes.by_name.values()
    ]
    if as_json:
        console.say_json({"expressions": rows})
        return
    console.say_table(
        ("name", "also", "units"),
        [(name, ", ".join(recipes.aliases_of(name)), ", ".join(recipes.by_name[name].units)) for name in recipes.names],
    )


def _check(path: Path | None, as_json: bool) -> None:
    from facemotion.expressions.recipes import check_recipes

    if path is None:
        raise UsageError("There is no file to check.", "Name it with --recipes FILE.")
    problems = check_recipes(path)
    if as_json:
        console.say_json({"file": str(path), "problems": problems})
    elif problems:
        for problem in problems:
            console.fail(f"{path}: {problem}")
    else:
        console.say(f"{path} is in order.")
    if problems:
        raise typer.Exit(FAILED)


def _known(weights: Path | None) -> tuple[str, ...]:
    from facemotion.expressions.grammar import EXPRESSIONS

    if weights is None or weights.is_dir():
        return EXPRESSIONS
    from facemotion.api import known_expressions

    return known_expressions(weights)
