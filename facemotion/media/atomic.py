"""Outputs appear under their name only when they are whole: written in a hidden folder beside it, then renamed.

The hidden folder, ``.facemotion-XXXXXXXX.part``, belongs to one task alone and is locked for as long as that task
lives. The system lets go of the lock however the process ends, so leftovers are told from work in progress without
asking for process numbers, which containers share.
"""

import contextlib
import errno
import functools
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from facemotion.errors import OutputError, OutputExistsError, OutputNameError

_PREFIX, _SUFFIX = ".facemotion-", ".part"
_FRAME_NAME = re.compile(r"frame-\d+\.png")
_ABANDONED_S = 24 * 3600.0  # where there are no locks, a hidden folder of this age is a leftover

_unfinished: set[Path] = set()
"""Hidden folders of this process that have not been removed yet."""


@contextlib.contextmanager
def staged(path: str | Path, *, overwrite: bool = False, check: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Gives a temporary path of the same name; on success the file or folder written there becomes ``path``.

    Whatever ends the block early (an error, Ctrl-C) removes it, and the folders made for it. Leftovers of killed
    processes are removed by the next output in the same folder. Raises OutputExistsError where ``path`` exists and
    ``overwrite`` is False, OutputError where the folder cannot be written and where the disk is full. ``check``
    replaces the rules of `check_output` for what may be overwritten.
    """
    with staged_together([Path(path)], overwrite=overwrite, check=check) as (part,):
        yield part


@contextlib.contextmanager
def staged_together(
    paths: Sequence[Path], *, overwrite: bool = False, check: Callable[[Path], None] | None = None
) -> Iterator[list[Path]]:
    """As `staged`, for outputs of one folder that are of use only together: all appear, the first one last, or none."""
    paths = [Path(path) if Path(path).name not in ("", "..") else Path(os.path.abspath(path)) for path in paths]
    target = paths[0]
    check = check or functools.partial(check_output, overwrite=overwrite)
    for path in paths:
        check(path)
    made: list[Path] = []
    try:
        made = _make_folders(target.parent)
        _remove_leftovers(target.parent)
        with _staging_folder(target.parent) as staging:
            parts = [staging / "new" / path.name for path in paths]
            yield parts
            for path in paths:
                check(path)  # another process may have been faster
            for part, path in reversed(list(zip(parts, paths, strict=True))):
                _replace(part, path, spare=staging / "old")
        made = []
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _output_error(error, target) from error
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # somebody else has put something into it
                folder.rmdir()


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
    """Raises OutputExistsError where writing ``path`` would destroy something that it may not; asked before the work.

    An empty folder is nothing that could be destroyed.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    folder = os.path.isdir(path) and not os.path.islink(path)
    if folder and not any(path.iterdir()):
        return
    if not overwrite:
        raise OutputExistsError(f"{path} exists already.", "Use --overwrite to replace it, or --out for another name.")
    if os.path.isdir(path) and not is_frames_folder(path):
        raise OutputExistsError(
            f"{path} is a folder that holds other things than frames; it is not replaced.", "Choose another --out."
        )


def is_frames_folder(path: Path) -> bool:
    """True for a folder of numbered frames and nothing else; only such a folder is ever replaced."""
    names = [entry.name for entry in path.iterdir()]
    return bool(names) and all(_FRAME_NAME.fullmatch(name) for name in names)


def _replace(part: Path, path: Path, *, spare: Path) -> None:
    """Put the file or folder ``part`` in the place of ``path``, whatever is there, so that at no time neither is there.

    In one step where the system can swap two names. Elsewhere what was there is moved into the folder ``spare`` first
    and comes back if the second step fails; `staged` brings it back after a kill, too.
    """
    if not os.path.lexists(path) or not (os.path.isdir(path) or os.path.isdir(part)):
        part.replace(path)
        return
    if _swapped(part, path):
        return
    spare.mkdir()
    old = spare / path.name
    try:
        path.rename(old)
        part.rename(path)
    finally:
        if os.path.lexists(old) and not os.path.lexists(path):
            old.rename(path)


def remove_unfinished() -> None:
    """Remove what this process has begun to write and not put in place; for the very end of a stopped command."""
    for folder in list(_unfinished):
        _remove(folder)
        _unfinished.discard(folder)


def fitting_name(stem: str, ending: str, *, limit_bytes: int = 255) -> str:
    """``stem`` + ``ending`` as a file name that systems take: a stem too long is cut, and a hash of it added."""
    name = stem + ending
    if len(os.fsencode(name)) <= limit_bytes:
        return name
    import hashlib

    mark = "-" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]
    room = limit_bytes - len(os.fsencode(mark + ending))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + mark + ending


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; gives those that were not there, the deepest first."""
    missing = []
    while not os.path.lexists(folder) and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
    if missing:
        return missing
    folder.mkdir(parents=True, exist_ok=True)  # says what is wrong with a path through a file
    return []


@contextlib.contextmanager
def _staging_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder of this task's own, locked while the block runs, removed at its end."""
    while True:
        folder = parent / f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}"
        _unfinished.add(folder)  # before it is there: whenever the process is interrupted, it is known
        lock = None
        try:
            folder.mkdir()
            lock = _lock(folder)
            if lock is not False:
                (folder / "new").mkdir()
                yield folder
                return
        finally:
            _remove(folder)
            _unfinished.discard(folder)
            if lock:
                os.close(lock)


def _lock(folder: Path) -> int | bool | None:
    """The file number of a lock on a folder; False where another process has it, None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        number = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False  # another process took it for a leftover in the moment before it was locked
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(number), os.stat(folder)):
            return number
    except BlockingIOError:
        pass
    except FileNotFoundError:
        pass
    except OSError:  # a network drive without locks
        os.close(number)
        return None
    os.close(number)
    return False


def _remove_leftovers(parent: Path) -> None:
    """Removes hidden folders of outputs whose process no longer runs, and puts back what they had set aside."""
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)]
    for name in names:
        folder = parent / name
        if folder in _unfinished:
            continue
        lock = _lock(folder)
        try:
            if lock or (lock is None and _is_abandoned(folder)):
                _put_back(folder, parent)
                _remove(folder)
        finally:
            if lock:
                os.close(lock)


def _is_abandoned(folder: Path) -> bool:
    try:
        newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return False
    return time.time() - newest > _ABANDONED_S


def _put_back(folder: Path, parent: Path) -> None:
    """What a killed process had set aside and not replaced yet is an output of an earlier one."""
    spare = folder / "old"
    for old in spare.iterdir() if spare.is_dir() else ():
        if not os.path.lexists(parent / old.name):
            old.rename(parent / old.name)


def _swapped(one: Path, other: Path) -> bool:
    """Whether two names could be swapped in one step."""
    import ctypes

    first, second = os.fsencode(os.path.abspath(one)), os.fsencode(os.path.abspath(other))
    try:
        if sys.platform == "linux":
            return ctypes.CDLL(None).renameat2(-100, first, -100, second, 2) == 0  # AT_FDCWD, RENAME_EXCHANGE
        if sys.platform == "darwin":
            return ctypes.CDLL(None).renamex_np(first, second, 2) == 0  # RENAME_SWAP
    except (OSError, AttributeError):  # a C library without the call
        pass
    return False


def _remove(path: Path) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _output_error(error: OSError, path: Path) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"No space left to write {path}.", "Free some space or choose another --out.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path.parent} cannot be written.", "Choose another place with --out.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(f"{path} cannot be made: part of its path is a file.", "Choose another --out.")
    if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
        return OutputNameError(f"{path} cannot be written: {error.strerror or error}.", "Choose another --out.")
    return OutputError(f"{path} cannot be written: {error.strerror or error}.", "Choose another --out.")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unfinished.clear)
