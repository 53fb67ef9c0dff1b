"""The entry point of the console script and of ``python -m facemotion``.

Nothing is imported here that takes time: signals are looked after before the commands are loaded.
"""

import os
from typing import NoReturn

from facemotion.cli import process


def main() -> NoReturn:
    """Runs the command and ends the process with its exit code."""
    # The matrices of a head's fit are small: OpenBLAS's threads would spend their time waiting for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    process.run(_start)


def _start() -> None:
    from facemotion.cli.app import app

    app()
