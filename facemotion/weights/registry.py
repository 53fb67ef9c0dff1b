"""A named weight file -> a verified path: given, cached, inside the package, else downloaded.

The table of files is ``facemotion/assets/weights.json``; ``weights.sha256`` at the project's root is generated from
it. **After a new release of a bundled file** (generator or finder), run from the project's root ::

    python -m facemotion.weights.registry

which measures the files in ``facemotion/assets`` and rewrites both, and commit all of it together.

Environment variables: ``FACEMOTION_WEIGHTS`` (a generator file, or a folder of weight files by their file names),
``FACEMOTION_CACHE`` (folder of downloaded files), ``FACEMOTION_MIRROR`` (address below which every file of the table
lies by its file name; used instead of the original addresses; set but empty it forbids downloads, or a script with a
misspelt name in it would go to the public addresses), ``FACEMOTION_OFFLINE=1`` (never download).
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from facemotion.errors import UsageError, WeightsError
from facemotion.media.records import MalformedError, built, malformed, parse_object

ASSETS = Path(__file__).parents[1] / "assets"
TABLE = ASSETS / "weights.json"
LARGEST_WEIGHTS = 1 << 30
"""Bytes beyond which a file is not read as weights."""

Watcher = Callable[[str, int, int | None], None]
"""Called while a file arrives: name of the file, bytes so far, bytes in all (None if the server does not say)."""


@dataclass(frozen=True)
class WeightFile:
    """One row of the table of weight files.

    ``sha256`` is None only for a bundled file that has not been released yet, ``size_bytes`` where the size is not
    known, ``url`` where the file has no public address: it then comes with the package (``bundled``) or a mirror.
    """

    name: str
    file_name: str
    sha256: str | None
    size_bytes: int | None
    licence: str
    url: str | None
    bundled: bool
    purpose: str
    command: str = "animate"
    """The command that needs it."""


@dataclass(frozen=True)
class Located:
    """A copy of a weight file on this machine, not yet verified; ``place`` is given, cache or package."""

    path: Path
    place: str


def read_table(path: Path) -> dict[str, WeightFile]:
    """The table of weight files; raises WeightsError for a damaged one."""
    try:
        rows = parse_object(path.read_bytes())
        with malformed():
            table = {name: built(WeightFile, {"name": name} | row) for name, row in rows.items()}
        for file in table.values():
            if Path(file.file_name).name != file.file_name or not re.fullmatch("[0-9a-f]{64}", file.sha256 or "0" * 64):
                raise MalformedError(f"{file.name}: no plain file name, or no sha256")
            if file.size_bytes is not None and file.size_bytes < 1:
                raise MalformedError(f"{file.name}: {file.size_bytes} bytes")
    except (OSError, MalformedError) as error:
        raise WeightsError(f"The table of weights {path} is damaged ({error}).", "Install facemotion again.") from error
    return table


WEIGHTS: dict[str, WeightFile] = read_table(TABLE)


def weight_file(name: str) -> WeightFile:
    """The row of the table; UsageError for a name that is not in it."""
    if name not in WEIGHTS:
        raise UsageError(f"There are no weights called {name!r}.", f"Names: {', '.join(WEIGHTS)}.")
    return WEIGHTS[name]


def weight_path(
    name: str, *, given: Path | str | None = None, offline: bool | None = None, watcher: Watcher | None = None
) -> Path:
    """Path of the weight file ``name`` (a key of ``WEIGHTS``), verified by sha256, downloaded when it has to be.

    ``given`` is a file of the user's own choice and taken as it is: no hash is known for it. ``offline`` None means
    what ``FACEMOTION_OFFLINE`` says. A damaged copy is passed over, or replaced by a fresh download, and only an
    error when nothing better is to be had. Raises WeightsError; UsageError for an unknown name.
    """
    file = weight_file(name)
    own = given if given is not None else _own_generator(name)
    if own is not None:
        if not Path(own).is_file():
            raise WeightsError(f"No such weights: {own}", "Check --weights or FACEMOTION_WEIGHTS.")
        return Path(own)
    damaged: WeightsError | None = None
    for copy in copies(name):
        try:
            verify_file(copy.path, file)
        except WeightsError as error:
            damaged = damaged or error
        else:
            return copy.path
    try:
        return fetch(name, offline=offline, watcher=watcher)
    except _NotFetched as error:
        raise damaged or error from damaged


def fetch(name: str, *, offline: bool | None = None, watcher: Watcher | None = None) -> Path:
    """Download the weight file ``name`` into the cache unless a whole copy lies there already; return its path."""
    from facemotion.weights.download import download

    file = weight_file(name)
    address = _address(file, offline=offline)
    target = cache_folder() / file.file_name
    watcher = watcher or _watcher
    progress = None if watcher is None else lambda done, total: watcher(file.file_name, done, total)
    download(address, target, sha256=str(file.sha256), size_bytes=file.size_bytes, progress=progress)
    return target


def copies(name: str) -> list[Located]:
    """Copies of the weight file on this machine in the order in which they are looked for, unverified."""
    file = weight_file(name)
    folders = [(cache_folder(), "cache")]
    chosen = os.environ.get("FACEMOTION_WEIGHTS")
    if chosen and Path(chosen).is_dir():
        folders.insert(0, (Path(chosen), "given"))
    if file.bundled:
        folders.append((ASSETS, "package"))
    return [Located(folder / file.file_name, place) for folder, place in folders if (folder / file.file_name).is_file()]


def verify_file(path: Path, file: WeightFile) -> None:
    """Raise WeightsError, naming file, expected and got, unless ``path`` has the sha256 of the table."""
    try:
        got = file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.", "Check who may read it.") from error
    if got != file.sha256:
        raise WeightsError(
            f"Hash mismatch: {path}: expected sha256 {file.sha256 or 'none yet'}, got {got}.",
            f"Remove the damaged file: facemotion weights clear {file.name}"
            if path.parent == cache_folder()
            else "Reinstall facemotion, or, after a new release of the file: python -m facemotion.weights.registry",
        )


def known_sha256(name: str, path: Path) -> str | None:
    """What a file that `weight_path` gave must hash to; None for one of the user's own, of which no hash is known."""
    return weight_file(name).sha256 if path in (copy.path for copy in copies(name)) else None


def read_verified(path: Path, sha256: str | None) -> bytes:
    """The content of a weight file, checked as it is used: what lies under a name may change after a check.

    ``sha256`` None takes it as it is. Raises WeightsError for another content, a missing file or one beyond
    `LARGEST_WEIGHTS` bytes.
    """
    try:
        if not path.is_file():
            raise WeightsError(f"no weights at {path}", "Give the path of a weight file.")
        if path.stat().st_size > LARGEST_WEIGHTS:
            raise WeightsError(f"{path} is too large for weights", "Give the path of a weight file.")
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.", "Check the file.") from error
    got = hashlib.sha256(content).hexdigest() if sha256 else None
    if got != sha256:
        raise WeightsError(
            f"Hash mismatch: {path}: expected sha256 {sha256}, got {got}.", "The file changed just now: try again."
        )
    return content


@contextmanager
def private_copies(names: Sequence[str], *, offline: bool | None = None) -> Iterator[dict[str, Path]]:
    """Verified copies of weight files, by name, in a folder of this process alone, for libraries that open files.

    What a library then reads is what was hashed, whatever becomes of the originals. They lie below ``checkpoints``,
    where `torch.hub` looks, in a folder that is gone after the block. Raises WeightsError as `weight_path` does.
    """
    with TemporaryDirectory(prefix="facemotion-") as folder:
        checkpoints = Path(folder, "checkpoints")
        checkpoints.mkdir()
        copied = {}
        for name in names:
            path = weight_path(name, offline=offline)
            content = read_verified(path, known_sha256(name, path))
            copied[name] = checkpoints / weight_file(name).file_name
            try:
                copied[name].write_bytes(content)
            except OSError as error:
                raise WeightsError(
                    f"{name} cannot be copied to {folder}: {error.strerror or error}.",
                    "Free some space there, or name another folder with TMPDIR.",
                ) from error
        yield copied


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Folder of downloaded weights: ``FACEMOTION_CACHE``, else the user's cache folder. It need not exist."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("FACEMOTION_CACHE")
    return Path(chosen) if chosen else user_cache_path("facemotion", appauthor=False) / "weights"


def is_offline(offline: bool | None = None) -> bool:
    """What was asked for, else what ``FACEMOTION_OFFLINE`` says."""
    if offline is not None:
        return offline
    return os.environ.get("FACEMOTION_OFFLINE", "").lower() not in ("", "0", "false", "no")


_watcher: Watcher | None = None


@contextmanager
def watch_downloads(watcher: Watcher) -> Iterator[None]:
    """Have every download inside the block, however deep, report its progress to ``watcher``."""
    global _watcher
    before, _watcher = _watcher, watcher
    try:
        yield
    finally:
        _watcher = before


def checksum_lines(table: dict[str, WeightFile]) -> str:
    """The text of ``weights.sha256``: ``sha256sum -c --ignore-missing`` at the project's root or in the cache."""
    bundled = ASSETS.relative_to(ASSETS.parents[1]).as_posix()
    lines = [
        f"{file.sha256}  {bundled + '/' if file.bundled else ''}{file.file_name}\n"
        for file in table.values()
        if file.sha256 is not None
    ]
    return "".join(lines)


def record_bundled(table: Path, assets: Path, checksums: Path) -> None:
    """Write sha256 and size of the bundled files in ``assets`` into the table, and the checksum file from it."""
    rows = json.loads(table.read_text(encoding="utf-8"))
    for row in rows.values():
        path = assets / row["file_name"]
        if row["bundled"] and path.is_file():
            row["sha256"], row["size_bytes"] = file_sha256(path), path.stat().st_size
    table.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    files = {name: WeightFile(name=name, **row) for name, row in rows.items()}
    checksums.write_text(checksum_lines(files), encoding="utf-8")


def _own_generator(name: str) -> str | None:
    """The generator file of ``FACEMOTION_WEIGHTS``, unless that is a folder or another file is asked for."""
    chosen = os.environ.get("FACEMOTION_WEIGHTS")
    return chosen if chosen and name == "generator" and not Path(chosen).is_dir() else None


class _NotFetched(WeightsError):
    """The file may not or cannot be downloaded; the network was not asked."""


def _address(file: WeightFile, *, offline: bool | None) -> str:
    """Where the file is downloaded from; raises _NotFetched where it has no address or none may be used."""
    mirror = os.environ.get("FACEMOTION_MIRROR")
    if file.sha256 is None or (file.url is None and not mirror):
        raise _NotFetched(
            f"The weights {file.name!r} are missing: {file.file_name} comes with the package and is not there.",
            "Reinstall facemotion, or name your own file with --weights or FACEMOTION_WEIGHTS.",
        )
    if is_offline(offline):
        raise _NotFetched(
            f"The weights {file.name!r} are not on this machine, and downloading is switched off.",
            f"Run once with a network: facemotion weights fetch {file.name}; "
            f"or put {file.file_name} into {cache_folder()}.",
        )
    if mirror is None:
        return str(file.url)
    if not mirror.strip():
        raise _NotFetched(
            f"The weights {file.name!r} are not on this machine, and FACEMOTION_MIRROR is set but empty.",
            "Name a server in it, or unset it to download from the public addresses.",
        )
    return f"{mirror.strip().rstrip('/')}/{file.file_name}"


if __name__ == "__main__":
    record_bundled(TABLE, ASSETS, ASSETS.parents[1] / "weights.sha256")
