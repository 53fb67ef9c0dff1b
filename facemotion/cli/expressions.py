"""``facemotion expressions``: what can be asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli import console
from facemotion.errors import UsageError

if TYPE_CHECKING:
    from facemotion.expressions.recipes import Recipes

FAILED = 1
_CELL_PX = 256


def register(app: typer.Typer) -> None:
    """Adds the ``expressions`` command."""
    app.command(
        epilog="Examples: facemotion expressions · facemotion expressions --json · facemotion expressions --units · "
        "facemotion expressions --recipes mine.json --check · "
        "facemotion expressions --sheet all.png --photo photo.jpg · "
        "facemotion animate photo.jpg --expr smile:0.7+surprise:0.3"
    )(expressions)


def expressions(
    units: Annotated[bool, typer.Option("--units", help="List the 52 units with their FACS numbers.")] = False,
    recipes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List the recipes with those of this file.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Say all that is wrong with the --recipes file.")] = False,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw all of them on a face, a png.")] = None,
    photo: Annotated[Path | None, typer.Option(metavar="PHOTO", help="The face of --sheet.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    as_json: console.Json = False,
    quiet: console.Quiet = False,
) -> None:
    """List the expressions, what they look like and their other names."""
    from facemotion.expressions.recipes import Recipes

    if check:
        _check(recipes, as_json)
        return
    known = Recipes.load(recipes)
    if sheet is not None:
        if photo is None:
            raise UsageError("--sheet needs a face.", "Name a photo: --photo photo.jpg.")
        _draw(sheet, photo, known, recipes, units=units, overwrite=overwrite)
    elif units:
        _list_units(as_json)
    else:
        _list_recipes(known, as_json)


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


def _list_recipes(recipes: "Recipes", as_json: bool) -> None:
    from facemotion.expressions.blends import MAX_WEIGHT

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
        console.say_json({"expressions": rows, "max_weight": MAX_WEIGHT})
        return
    console.say_table(
        ("name", "also", "what it looks like"),
        [
            (name, ", ".join((*recipes.aliases_of(name), *recipes.variants_of(name))), recipes.by_name[name].looks)
            for name in recipes.names
        ],
    )
    console.say("\nOne:           --expr smile            weaker: --expr smile:0.5 (1 = natural peak, up to 1.5)")
    console.say("At once:       --expr smile:0.7+surprise:0.3, also with units: smile:0.7+browInnerUp:0.5")
    console.say('After another: --expr "smile,neutral,surprise"; photo is the face as it is')
    console.say("Units:         facemotion expressions --units")


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
