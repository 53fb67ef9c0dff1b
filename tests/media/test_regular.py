"""Inputs that are no files: no reader waits for a pipe or reads a device to its end."""

import errno
import os
from pathlib import Path

import pytest

from facemotion.datasets.splits import read_validation
from facemotion.errors import InputError
from facemotion.expressions.recipes import Recipes
from facemotion.expressions.tables import open_table
from facemotion.media.footage import Footage
from facemotion.media.regular import open_regular, read_regular

POSIX = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")


def read_table(path: Path) -> None:
    with open_table(path, hint="Give a table."):
        pass


READERS = {"table": read_table, "recipes": Recipes.load, "people": read_validation, "video": Footage}


@POSIX
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, reader, name):
    path = tmp_path / name
    if name == "pipe":
        os.mkfifo(path)
    with pytest.raises(InputError, match="not a regular file"):
        READERS[reader](path)


def test_a_file_is_read_within_its_bound(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, most_bytes=5) == b"12345"
    with pytest.raises(OSError, match="larger") as raised:
        read_regular(path, most_bytes=4)
    assert raised.value.errno == errno.EFBIG


def test_what_is_missing_or_a_folder_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
