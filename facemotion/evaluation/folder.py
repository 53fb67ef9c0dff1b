"""A folder of results that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from facemotion.errors import OutputExistsError
from facemotion.media.atomic import staged


def check_folder(path: Path, *, mark: str, overwrite: bool) -> None:
    """Raise OutputExistsError where results must not be put at ``path``; asked before the long work.

    Only an empty folder, or with ``overwrite`` one that holds the file ``mark`` of earlier results, is replaced.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputExistsError(f"{path} is a file.", "Choose another --out.")
    if any(path.iterdir()):
        if not overwrite:
            raise OutputExistsError(
                f"{path} exists already.", "Use --overwrite to replace it, or --out for another name."
            )
        if not (path / mark).is_file():
            raise OutputExistsError(f"{path} holds other things than results (no {mark}).", "Choose another --out.")


@contextmanager
def whole_folder(path: Path, *, mark: str, overwrite: bool) -> Iterator[Path]:
    """Gives a temporary folder that takes the place of ``path`` when the block ends well; until then, and if it does
    not, an earlier result stays where it is."""
    with staged(path, check=partial(check_folder, mark=mark, overwrite=overwrite)) as part:
        part.mkdir()
        yield part
