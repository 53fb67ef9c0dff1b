"""``facemotion expressions``: what can be asked for."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console


def register(app: typer.Typer) -> None:
    """Adds the ``expressions`` command."""
    app.command(
        epilog="Examples: facemotion expressions · facemotion expressions --json · "
        "facemotion animate photo.jpg --expr smile:0.7+surprise:0.3"
    )(expressions)


def expressions(
    as_json: console.Json = False,
    weights: Annotated[
        Path | None, typer.Option(help="List those of this generator file.", envvar="FACEMOTION_WEIGHTS")
    ] = None,
) -> None:
    """List the expressions, what they look like and their other names."""
    from facemotion.expressions.grammar import ALIASES, DESCRIPTIONS, MAX_WEIGHT

    rows = [
        {"name": name, "aliases": list(ALIASES.get(name, ())), "looks_like": DESCRIPTIONS.get(name, "")}
        for name in _known(weights)
    ]
    if as_json:
        console.say_json({"expressions": rows, "max_weight": MAX_WEIGHT})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "also", "what it looks like"):
        table.add_column(title)
    for row in rows:
        table.add_row(str(row["name"]), ", ".join(row["aliases"]), str(row["looks_like"]))
    shown = console.stdout()
    shown.print(table, soft_wrap=False)
    shown.print("\nOne:           --expr smile            weaker: --expr smile:0.5 (1 = natural peak, up to 1.5)")
    shown.print("At once:       --expr smile:0.7+surprise:0.3")
    shown.print('After another: --expr "smile,neutral,surprise"')


def _known(weights: Path | None) -> tuple[str, ...]:
    from facemotion.expressions.grammar import EXPRESSIONS

    if weights is None or weights.is_dir():
        return EXPRESSIONS
    from facemotion.api import known_expressions

    return known_expressions(weights)
