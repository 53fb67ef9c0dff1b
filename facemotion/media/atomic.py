"""Outputs appear under their name only when they are whole: written beside it under a hidden name, then renamed."""

import contextlib
import errno
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from facemotion.errors import OutputError

_PART = ".part"


@contextlib.contextmanager
def staged(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary name beside ``path``; on success what was written there becomes ``path``.

    Whatever ends the block early (an error, Ctrl-C) removes the temporary file or folder. Leftovers of killed
    processes are removed by the next attempt on the same name. Raises OutputError where ``path`` exists and
    ``overwrite`` is False, where the folder cannot be written and where the disk is full.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        part = path.with_name(_part_name(path, os.getpid()))
        try:
            yield part
            check_output(path, overwrite=overwrite)  # another process may have been faster
            _move_into_place(part, path)
        finally:
            _remove(part)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _output_error(error, path) from error


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file of which the content takes the place of ``path`` when the block ends well, else nothing changes.

    For the files that a folder of results or a training writes again and again, by one process at a time; whatever
    happens, a power cut too, there is the old content or the new one. Raises OSError.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, *content: bytes) -> None:
    """Writes a file as `replaced` does."""
    with replaced(path) as stream:
        stream.writelines(content)


def check_output(path: str | Path, *, overwrite: bool = False) -> None:
    """Raises OutputError where writing ``path`` would destroy something that it may not; asked before the work."""
    path = Path(path)
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise OutputError(f"{path} exists already.", "Use --overwrite to replace it, or --out for another name.")
    if path.is_dir() and not is_frames_folder(path):
        raise OutputError(
            f"{path} is a folder that holds other things than frames; it is not replaced.", "Choose another --out."
        )


def is_frames_folder(path: Path) -> bool:
    """True for a folder with nothing in it but numbered frames; only such a folder is ever replaced."""
    return all(entry.name.startswith("frame-") and entry.suffix == ".png" for entry in path.iterdir())


def _move_into_place(part: Path, path: Path) -> None:
    if part.is_dir() and path.is_dir():
        old = path.with_name(_part_name(path, os.getpid()) + "-old")
        path.rename(old)
        part.rename(path)
        _remove(old)
    else:
        part.replace(path)


def _part_name(path: Path, process: int | str) -> str:
    # The suffix stays last: encoders choose their format by it.
    return f".{path.stem}.{platform.node() or 'host'}-{process}{_PART}{path.suffix}"


def _remove_leftovers(path: Path) -> None:
    """Removes what processes of this machine that no longer run have left for this output."""
    head, tail = _part_name(path, "\0").split("\0")
    for entry in path.parent.iterdir():
        process = entry.name[len(head) : len(entry.name) - len(tail)]
        if entry.name == head + process + tail and process.isdigit() and not _is_running(int(process)):
            _remove(entry)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _output_error(error: OSError, path: Path) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"No space left to write {path}.", "Free some space or choose another --out.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path.parent} cannot be written.", "Choose another place with --out.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(f"{path} cannot be made: part of its path is a file.", "Choose another --out.")
    return OutputError(f"{path} cannot be written: {error.strerror or error}.", "Choose another --out.")
