"""One file over HTTP onto its final name: whole and verified, or not at all."""

import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from facemotion.errors import WeightsError

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 30
ATTEMPTS = 4
PAUSE_S = 0.5
"""Wait before the second attempt, twice as long before the third, and so on."""
PIECE_BYTES = 1 << 16

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and the bytes in all (None if unknown)."""


def download(
    url: str, target: Path, *, sha256: str, size_bytes: int | None = None, progress: Progress | None = None
) -> None:
    """Fetch ``url`` to ``target`` unless that is there with the right sha256 already.

    The bytes go to ``target`` + ``.part``, which a later call resumes (only if the server answers 206), are hashed
    on the way, and get the final name when the sha256 is right. A lock lets one process download while others wait
    for its file. A broken connection is taken up again a few times. Raises WeightsError.
    """
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if not _is_whole(target, sha256):
                _download_locked(url, target, sha256=sha256, size_bytes=size_bytes, progress=progress)
    except OSError as error:
        raise _storage_error(error, target) from error


def _download_locked(url: str, target: Path, *, sha256: str, size_bytes: int | None, progress: Progress | None) -> None:
    part = target.with_name(target.name + ".part")
    resumed = part.exists()
    got = _receive_patiently(url, part, size_bytes=size_bytes, progress=progress)
    if got != sha256 and resumed:  # what an earlier run left may belong to another version of the file
        part.unlink()
        got = _receive_patiently(url, part, size_bytes=size_bytes, progress=progress)
    if got != sha256:
        part.unlink()
        raise WeightsError(
            f"Hash mismatch: {target.name} from {url}: expected sha256 {sha256}, got {got}.",
            "Nothing was kept. A proxy or a mirror may have changed the file: "
            "try again, or name another server with FACEMOTION_MIRROR.",
        )
    os.replace(part, target)


def _receive_patiently(url: str, part: Path, *, size_bytes: int | None, progress: Progress | None) -> str:
    """``_receive``, taken up again after a broken connection or a server's passing fault."""
    import requests

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _receive(url, part, size_bytes=size_bytes, progress=progress)
        except requests.HTTPError as error:
            status = error.response.status_code
            if status < 500 or attempt == ATTEMPTS:
                raise WeightsError(
                    f"{url} cannot be downloaded: the server answers {status}.",
                    "Try again later, or name a mirror with FACEMOTION_MIRROR.",
                ) from error
        except requests.RequestException as error:
            if attempt == ATTEMPTS:
                raise WeightsError(
                    f"{url} cannot be downloaded: {_reason(error)}.",
                    "Check the network and run the command again: it goes on where it stopped. "
                    "FACEMOTION_MIRROR names another server.",
                ) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                part.unlink(missing_ok=True)
            raise
        time.sleep(PAUSE_S * attempt)
    raise AssertionError("the last attempt returns or raises")


def _receive(url: str, part: Path, *, size_bytes: int | None, progress: Progress | None) -> str:
    """Bring ``part`` to its full length and return the sha256 of all of it."""
    import requests

    digest = hashlib.sha256()
    have = _hash_existing(part, digest)
    if size_bytes is not None and have >= size_bytes:
        return digest.hexdigest()
    # Compressed transfer would make the byte counts of Range and Content-Length mean something else.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            return digest.hexdigest()  # nothing is left to send; a wrong file is caught by its hash
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            have, digest = 0, hashlib.sha256()
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise requests.ConnectionError("the server sent another range than it was asked for")
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else size_bytes
        with open(part, "ab" if have else "wb") as stream:
            for piece in response.iter_content(PIECE_BYTES):
                stream.write(piece)
                digest.update(piece)
                have += len(piece)
                if progress is not None:
                    progress(have, total)
    if total is not None and have < total:  # urllib3 1.26 does not look
        raise requests.exceptions.ChunkedEncodingError(f"{have} of {total} bytes")
    return digest.hexdigest()


def _hash_existing(part: Path, digest: "hashlib._Hash") -> int:
    """Feed what an earlier run left of ``part`` into ``digest``; return its bytes."""
    if not part.is_file():
        return 0
    with open(part, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return part.stat().st_size


def _is_whole(target: Path, sha256: str) -> bool:
    digest = hashlib.sha256()
    return _hash_existing(target, digest) > 0 and digest.hexdigest() == sha256


def _reason(error: Exception) -> str:
    """The kind of network fault in words, without urllib3's nested representations."""
    import requests

    if isinstance(error, requests.ConnectTimeout | requests.ReadTimeout):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off before the end (truncated download)"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return "this is no address"
    return "the server cannot be reached"


def _storage_error(error: OSError, target: Path) -> WeightsError:
    if error.errno == errno.ENOSPC:
        return WeightsError(
            f"Disk full: {target} cannot be stored.", "Free some space, or name another folder with FACEMOTION_CACHE."
        )
    return WeightsError(
        f"Weights cannot be stored in {target.parent}: {error.strerror or error}.",
        "Make the folder writable, or name another one with FACEMOTION_CACHE.",
    )
