"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facemotion.errors import OutputError


def check_folder(path: Path, *, mark: str, overwrite: bool) -> None:
    """Raise OutputError where results must not be put at ``path``; asked before the long work.

    Only an empty folder, or with ``overwrite`` one that holds the file ``mark`` of earlier results, is replaced.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputError(f"{path} is a file.", "Choose another --out.")
    if any(path.iterdir()):
        if not overwrite:
            raise OutputError(f"{path} exists already.", "Use --overwrite to replace it, or --out for another name.")
        if not (path / mark).is_file():
            raise OutputError(f"{path} holds other things than results (no {mark}).", "Choose another --out.")


@contextmanager
def whole_folder(path: Path, *, mark: str, overwrite: bool) -> Iterator[Path]:
    """Gives a temporary folder beside ``path`` that takes its place when the block ends well."""
    check_folder(path, mark=mark, overwrite=overwrite)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        yield part
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.", "Choose another --out.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
