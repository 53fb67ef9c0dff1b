"""CSV as it comes: from spreadsheets of any language, phones and programs. Pure Python.

Commas, semicolons or tabs between the cells, decimal points or commas, with or without a byte order mark; rows are read
one at a time.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facemotion.errors import InputError, MissingFileError
from facemotion.media.regular import open_regular

_SEPARATORS = ",;\t"
_MISSING = frozenset(("", "nan", "na", "n/a", "null", "none", "-", "inf", "-inf", "infinity", "-infinity"))


@dataclass(frozen=True)
class Table:
    """An open CSV file: its header and, once, its rows with their line numbers."""

    name: str
    header: tuple[str, ...]
    separator: str
    rows: Iterator[tuple[int, list[str]]]


@contextmanager
def open_table(path: str | Path, *, hint: str) -> Iterator[Table]:
    """The table in a file. Empty lines and lines that start with ``#`` are left out.

    Raises MissingFileError, and InputError, with ``hint``, for a file that cannot be read, is no text, or is empty.
    """
    try:
        with open_regular(path) as stream:
            start = stream.read(4096)
        encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        if encoding != "utf-16" and b"\0" in start:
            raise InputError(f"{path} is no CSV file.", hint)
        with io.TextIOWrapper(open_regular(path), encoding=encoding, errors="replace", newline="") as text:
            yield _table(str(path), text, hint)
    except FileNotFoundError as error:
        raise MissingFileError(f"Cannot read {path}: it does not exist.", "Check its name.") from error
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.", hint) from error
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file: {error}.", hint) from error


def number(cell: str) -> float:
    """The number in a cell, NaN for an empty one; raises ValueError for anything else."""
    text = cell.strip()
    if text.lower() in _MISSING:
        return float("nan")
    if "_" in text:
        raise ValueError(cell)
    if "," in text and "." not in text:
        text = text.replace(",", ".")
    value = float(text)
    return value if abs(value) != float("inf") else float("nan")


def _table(name: str, text: Iterable[str], hint: str) -> Table:
    lines = _Lines(text)
    header = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    separator = ""
    if header.lower().startswith("sep=") and len(header.strip()) == 5:  # a spreadsheet's own first line
        separator = header[4]
        header = next((line for line in lines if line.strip()), "")
    if not header.strip():
        raise InputError(f"{name} is empty.", hint)
    separator = separator or max(_SEPARATORS, key=header.count)
    cells = tuple(cell.strip() for cell in next(csv.reader([header], delimiter=separator)))
    return Table(name, cells, separator, _rows(lines, separator))


class _Lines:
    """Lines of a text, and how many were read."""

    def __init__(self, text: Iterable[str]):
        self._text, self.count = iter(text), 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.count += 1
        return line


def _rows(lines: _Lines, separator: str) -> Iterator[tuple[int, list[str]]]:
    for cells in csv.reader(lines, delimiter=separator):
        if cells and not cells[0].startswith("#") and any(cell.strip() for cell in cells):
            yield lines.count, cells
