"""A batch as a table: one clip a line, with its own photo, expression, strength, length and file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facemotion.errors import InputError, UsageError
from facemotion.expressions.blends import MAX_WEIGHT, Blend, check_intensity, parse_expressions, slug
from facemotion.expressions.recipes import Recipes
from facemotion.expressions.tables import Table, number, open_table

COLUMNS = ("photo", "expression", "intensity", "frames", "output")
_OTHER_WORDS = {"image": "photo", "path": "photo", "expr": "expression", "out": "output", "strength": "intensity"}
_HINT = f"A manifest is a CSV file with the columns {', '.join(COLUMNS)}; all but photo may be left out."
_MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class ManifestRow:
    """One clip to be made. What the line leaves open is None.

    ``line`` where it stands in the file; ``photo`` and ``output`` as paths that do not depend on the current folder;
    ``steps`` the expression as parsed.
    """

    line: int
    photo: Path
    steps: tuple[Blend, ...] | None = None
    intensity: float | None = None
    frames: int | None = None
    output: Path | None = None

    @property
    def word(self) -> str | None:
        """The expression as part of a file name."""
        return None if self.steps is None else slug(self.steps)


def read_manifest(
    path: str | Path,
    *,
    out: Path | None = None,
    recipes: Recipes | None = None,
    on_note: Callable[[str], None] | None = None,
) -> list[ManifestRow]:
    """The lines of a manifest, all of them checked; photos are not opened.

    Paths of photos are relative to the manifest's own folder, outputs to ``out``, or else to that folder too. Raises
    InputError that names the line for anything wrong, so that nothing starts before all is right; ``on_note`` gets a
    line about columns that are left out.
    """
    path = Path(path)
    with open_table(path, hint=_HINT) as table:
        places = _places(table, on_note)
        rows = [_row(cells, places, line, path, out, recipes) for line, cells in table.rows]
    if not rows:
        raise InputError(f"{path} has no lines.", _HINT)
    _check_outputs(rows, path)
    return rows


def _places(table: Table, on_note: Callable[[str], None] | None) -> dict[str, int]:
    places: dict[str, int] = {}
    unknown = []
    for place, title in enumerate(table.header):
        name = _OTHER_WORDS.get(title.lower(), title.lower())
        if name in places:
            raise InputError(f"{table.name}: the column {name} is there twice.", _HINT)
        if name in COLUMNS:
            places[name] = place
        elif title:
            unknown.append(title)
    if "photo" not in places:
        raise InputError(f"{table.name} has no column photo.", _HINT)
    if unknown and on_note is not None:
        on_note(f"{table.name}: unknown columns left out: {', '.join(unknown)}.")
    return places


def _row(
    cells: list[str], places: dict[str, int], line: int, path: Path, out: Path | None, recipes: Recipes | None
) -> ManifestRow:
    text = {name: cells[place].strip() if place < len(cells) else "" for name, place in places.items()}
    try:
        if not text["photo"]:
            raise UsageError("no photo is named.", _HINT)
        expression, output = text.get("expression"), text.get("output")
        steps = parse_expressions(expression, recipes=recipes) if expression else None
        intensity = _number(text.get("intensity", ""), "intensity", most=MAX_WEIGHT)
        if steps is not None:
            check_intensity(steps, 1.0 if intensity is None else intensity)
        frames = _number(text.get("frames", ""), "frames", least=1, most=_MOST_FRAMES)
        if frames is not None and frames != int(frames):
            raise UsageError(f"{frames:g} is no whole number of frames.", _HINT)
    except UsageError as error:
        raise InputError(f"{path}, line {line}: {error.message}", error.hint) from error
    folder = path.absolute().parent
    return ManifestRow(
        line=line,
        photo=folder / text["photo"],
        steps=steps,
        intensity=intensity,
        frames=None if frames is None else int(frames),
        output=(folder if out is None else out.absolute()) / output if output else None,
    )


def _number(text: str, what: str, *, least: float = 0, most: float) -> float | None:
    if not text:
        return None
    try:
        value = number(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise UsageError(
            f"{text!r} is no number of frames." if what == "frames" else f"{text!r} is no {what}.",
            f"Give a number from {least:g} to {most:g}.",
        )
    return value


def _check_outputs(rows: list[ManifestRow], path: Path) -> None:
    lines: dict[Path, int] = {}
    for row in rows:
        if row.output is not None:
            if row.output in lines:
                raise InputError(
                    f"{path}, line {row.line}: {row.output.name} is the output of line {lines[row.output]} already.",
                    "Give every line an output of its own.",
                )
            lines[row.output] = row.line
