"""The ``facemotion`` command: collects the sub-commands."""

import typer

app = typer.Typer(name="facemotion", no_args_is_help=True)


def main() -> None:
    """Entry point of the console script."""
    app()
