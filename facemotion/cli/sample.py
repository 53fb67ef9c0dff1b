"""``facemotion sample``: a portrait to try things with, without a network."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console


def register(app: typer.Typer) -> None:
    """Adds the ``sample`` command."""
    app.command(epilog="Example: facemotion sample && facemotion animate astronaut.png --expr smile")(sample)


def sample(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to put it.")] = Path("astronaut.png"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    quiet: console.Quiet = False,
) -> None:
    """Put a portrait in the public domain here, to try things with.

    It is NASA's photo of the astronaut Eileen Collins, which comes with scikit-image, a dependency; 512×512 px.
    """
    from facemotion.errors import InputError
    from facemotion.media.atomic import staged
    from facemotion.media.sample import sample_path

    photo = sample_path()
    if photo is None:
        raise InputError("This installation of scikit-image has no portrait.", "Take a photo of your own.")
    if out.is_dir():
        out = out / photo.name
    pixels = photo.read_bytes()
    if not (out.is_file() and out.read_bytes() == pixels):
        with staged(out, overwrite=overwrite) as part:
            part.write_bytes(pixels)
    console.say(str(out))
