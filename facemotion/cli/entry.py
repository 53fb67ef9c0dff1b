"""The entry point of the console script and of ``python -m facemotion``.

Nothing is imported here that takes time: signals are looked after before the commands are loaded.
"""

from typing import NoReturn

from facemotion.cli import process


def main() -> NoReturn:
    """Runs the command and ends the process with its exit code."""
    process.run(_start)


def _start() -> None:
    from facemotion.cli.app import app

    app()
