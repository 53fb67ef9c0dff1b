"""``facemotion expressions``: what can be asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli import console
from facemotion.errors import UsageError

if TYPE_CHECKING:
    from facemotion.expressions.recipes import Recipes

_EPILOG = """Examples:

facemotion expressions

facemotion expressions --units

facemotion expressions --sheet all.png --photo photo.jpg

facemotion expressions --recipes mine.json --check
"""
_CELL_PX = 256


def register(app: typer.Typer) -> None:
    """Adds the ``expressions`` command."""
    app.command(epilog=_EPILOG)(expressions)


def expressions(
    units: Annotated[bool, typer.Option("--units", help="List the 52 units instead.")] = False,
    recipes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also those of your own, a JSON file.", show_default="none")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Say everything that is wrong with --recipes.")] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw all of them on a face, a png.", show_default="none")
    ] = None,
    photo: Annotated[Path | None, typer.Option(metavar="PHOTO", help="The face of --sheet.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    as_json: console.Json = False,
) -> None:
    """List the expressions, or the units that they are made of, and what they look like."""
    from facemotion.expressions.recipes import Recipes

    if check:
        _check(recipes)
        return
    known = Recipes.load(recipes)
    if sheet is not None:
        if photo is None:
            raise UsageError("--sheet needs a face.", "Name a photo: --photo photo.jpg.")
        _draw(sheet, photo, known, recipes, units=units, overwrite=overwrite)
    elif units:
        _list_units(as_json=as_json)
    else:
        _list(known, as_json=as_json)


def _check(recipes: Path | None) -> None:
    from facemotion.expressions.recipes import check_recipes

    if recipes is None:
        raise UsageError("--check needs a file.", "Name one: --recipes mine.json.")
    problems = check_recipes(recipes)
    for problem in problems:
        console.say(problem)
    console.say(f"{recipes}: {'no' if not problems else len(problems)} problem{'s' * (len(problems) != 1)}")
    raise typer.Exit(1 if problems else 0)


def _list(known: "Recipes", *, as_json: bool) -> None:
    from facemotion.expressions.blends import MAX_WEIGHT

    rows = [
        {
            "name": recipe.name,
            "aliases": list(recipe.aliases),
            "variants": list(known.variants_of(recipe.name)),
            "looks_like": recipe.looks,
            "units": recipe.variant().strengths,
        }
        for recipe in known.by_name.values()
    ]
    if as_json:
        console.say_json({"expressions": rows, "max_weight": MAX_WEIGHT})
        return
    console.say_table(
        ("name", "also", "what it looks like"),
        [
            (recipe.name, ", ".join((*recipe.aliases, *known.variants_of(recipe.name))), recipe.looks)
            for recipe in known.by_name.values()
        ],
    )
    console.say("\nOne:           --expr smile            weaker: --expr smile:0.5 (1 = natural peak, up to 1.5)")
    console.say("At once:       --expr smile:0.7+surprise:0.3, also with units: smile:0.7+browInnerUp:0.5")
    console.say('After another: --expr "smile,neutral,surprise"; photo is the face as it is')
    console.say("Units:         facemotion expressions --units")


def _list_units(*, as_json: bool) -> None:
    from dataclasses import asdict

    from facemotion.expressions.units import UNITS

    if as_json:
        console.say_json({"units": [asdict(unit) for unit in UNITS]})
        return
    rows = [(unit.name, unit.facs_label, unit.group, unit.look) for unit in UNITS]
    console.say_table(("unit", "FACS", "part", "what it looks like"), rows)


def _draw(sheet: Path, photo: Path, known: "Recipes", recipes: Path | None, *, units: bool, overwrite: bool) -> None:
    """Draw the peak of every expression, or of every unit, on one face."""
    from PIL import Image

    from facemotion.api import animate
    from facemotion.expressions.units import UNIT_NAMES
    from facemotion.media.atomic import check_output, staged
    from facemotion.media.grid import labelled_grid

    check_output(sheet, overwrite=overwrite)
    words = UNIT_NAMES if units else ("photo", "neutral", *known.names)
    own = None if recipes is None else str(recipes)
    cells = []
    with console.progress(sheet.name, len(words), unit="faces") as step:
        for word in words:
            picture = animate(photo, word, frames=1, crop=True, size=_CELL_PX, recipes=own)[0]
            cells.append((word, picture))
            step()
    across = 6
    rows = [cells[start : start + across] for start in range(0, len(cells), across)]
    with staged(sheet, overwrite=overwrite) as part:
        Image.fromarray(labelled_grid(rows)).save(part, "PNG")
    console.say(str(sheet))
