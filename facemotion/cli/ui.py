"""``facemotion ui``: a page of its own, on this machine alone."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console
from facemotion.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the ``ui`` command."""
    app.command(epilog="Examples: facemotion ui · facemotion ui photo.jpg · facemotion ui --no-browser --port 8765")(ui)


def ui(
    photo: Annotated[Path | None, typer.Argument(metavar="PHOTO", help="The photo to begin with.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Where it listens.", show_default="any that is free")
    ] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open nothing.")] = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
) -> None:
    """Open a page with the face under your hands: expressions, sliders, timing, export.

    It is served by this machine for this machine: photos stay here, and nothing is downloaded. Ctrl-C ends it.
    """
    import asyncio
    import os
    import threading

    from facemotion.media.photos import STDIN, check_readable
    from facemotion.ui.server import PageServer, serve

    os.environ["FACEMOTION_OFFLINE"] = "1"
    if photo is not None:
        if str(photo) == STDIN:
            raise UsageError("The page takes no photo from standard input.", "Name a file, or drop one on the page.")
        check_readable(photo)

    def ready(address: str) -> None:
        console.say_raw(address)
        console.warn("Nobody without this address gets in. Ctrl-C ends it.")
        if not no_browser:  # in a thread, since a browser in a terminal would keep the server waiting
            threading.Thread(target=_open, args=(address,), daemon=True).start()

    asyncio.run(serve(PageServer(opening=photo), port, on_ready=ready))


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        console.warn("No browser could be opened: open the address above in one on this machine.")
