"""One file over HTTP onto its final name: whole and verified, or not at all.

The server is not trusted: what it sends is bounded in bytes and in time, never unpacked, written to a regular file
and nothing else, and gets its final name only when the sha256 is right.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong  # another class than TimeoutError before Python 3.11
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

from facemotion.errors import WeightsError

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 30
"""Longest silence of the server."""
PIECE_BYTES = 1 << 16
PIECE_TIMEOUT_S = 45
"""Longest time for the head of an answer or for `PIECE_BYTES` of its body: a byte now and then is no silence."""
SLOWEST_BYTES_S = 50_000
PATIENCE_S = 120
"""Seconds that a download may take, beside one for every `SLOWEST_BYTES_S` of the file."""
LARGEST_BYTES = 256 << 20
"""Most bytes of a file whose size is not known."""
ATTEMPTS = 4
PAUSE_S = 0.5
"""Wait before the third attempt is twice this, and doubles from there (`urllib3.util.Retry`)."""
MOST_REDIRECTS = 10
PASSING_FAULTS = (429, 500, 502, 503, 504)
"""Answers that may be others in a moment."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and the bytes in all (None if unknown)."""

_T = TypeVar("_T")
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", re.ASCII)
_LENGTH = re.compile(r"\d{1,100}", re.ASCII)
_AGAIN = (
    "Check the network and run the command again: it goes on where it stopped. FACEMOTION_MIRROR names another server."
)
_ELSEWHERE = "Try again later, or name a mirror with FACEMOTION_MIRROR."


def download(
    url: str, target: Path, *, sha256: str, size_bytes: int | None = None, progress: Progress | None = None
) -> None:
    """Fetch ``url`` to ``target`` unless that is there with the right sha256 already.

    The bytes go to ``target`` + ``.part``, which a later call resumes (only if the server answers 206), are hashed
    on the way, and get the final name when the sha256 is right. A lock lets one process download while others wait
    for its file. A broken connection is taken up again a few times. No more than ``size_bytes`` (`LARGEST_BYTES`
    where that is None) are stored, and no server is waited for longer than `PATIENCE_S` and `SLOWEST_BYTES_S` say.
    Raises WeightsError.
    """
    from filelock import FileLock, Timeout

    order = _Order(url, target, sha256, size_bytes, progress)
    lock = target.with_name(target.name + ".lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_unless_regular(lock)
        with FileLock(lock, timeout=order.allowed_s):
            if not _is_whole(target, sha256, size_bytes):
                _download_locked(order)
    except Timeout as error:
        raise WeightsError(
            f"{target.name} is not here yet: another process has been downloading it for {order.allowed_s:.0f} s.",
            "Run the command again when that process has ended.",
        ) from error
    except OSError as error:
        raise _storage_error(error, target) from error


@dataclass(frozen=True)
class _Order:
    """What is fetched, from where to where, within which bounds."""

    url: str
    target: Path
    sha256: str
    size_bytes: int | None
    progress: Progress | None

    @property
    def part(self) -> Path:
        """Where the bytes are gathered."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def most_bytes(self) -> int:
        return LARGEST_BYTES if self.size_bytes is None else self.size_bytes

    @property
    def allowed_s(self) -> float:
        return PATIENCE_S + self.most_bytes / SLOWEST_BYTES_S

    def refused(self, reason: str, hint: str = _ELSEWHERE) -> WeightsError:
        """The error that ends the download."""
        return WeightsError(f"{self.url} cannot be downloaded: {reason}.", hint)


class _PassingFault(Exception):
    """May be over at the next attempt; after the last one it ends in ``error``."""

    def __init__(self, error: WeightsError):
        super().__init__(error.message)
        self.error = error


def _download_locked(order: _Order) -> None:
    _remove_unless_regular(order.part)
    resumed = order.part.exists()
    deadline_s = time.monotonic() + order.allowed_s
    got = _receive_patiently(order, deadline_s)
    if got != order.sha256 and resumed:  # what an earlier run left may belong to another version of the file
        order.part.unlink()
        got = _receive_patiently(order, deadline_s)
    if got != order.sha256:
        order.part.unlink()
        raise WeightsError(
            f"Hash mismatch: {order.target.name} from {order.url}: expected sha256 {order.sha256}, got {got}.",
            "Nothing was kept. A proxy or a mirror may have changed the file: "
            "try again, or name another server with FACEMOTION_MIRROR.",
        )
    os.replace(order.part, order.target)


def _receive_patiently(order: _Order, deadline_s: float) -> str:
    """``_receive``, taken up again after a broken connection or a server's passing fault."""
    from urllib3.exceptions import MaxRetryError
    from urllib3.util import Retry

    retries = Retry(total=ATTEMPTS - 1, backoff_factor=PAUSE_S)
    while True:
        try:
            return _receive(order, deadline_s)
        except _PassingFault as fault:
            try:
                retries = retries.increment("GET", order.url, error=fault)
            except MaxRetryError:
                raise fault.error from fault
            retries.sleep()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                order.part.unlink(missing_ok=True)
            raise


def _receive(order: _Order, deadline_s: float) -> str:
    """Bring the part to its full length and return the sha256 of all of it."""
    digest = hashlib.sha256()
    have = _hash_existing(order.part, digest, most_bytes=order.most_bytes)
    if have and have == order.size_bytes:
        return digest.hexdigest()
    with _Connection(order, start=have, deadline_s=deadline_s) as connection:
        response = connection.response
        if have and response.status_code == 416:  # nothing is left to send; a wrong file is caught by its hash
            return digest.hexdigest()
        start = _start_of_body(order, response, asked=have)
        if start == 0:
            have, digest = 0, hashlib.sha256()
        total = _total_bytes(order, response, start)
        with open(order.part, "ab" if start else "wb", opener=_open_regular) as stream:
            while piece := connection.read():
                have += len(piece)
                if have > order.most_bytes:
                    order.part.unlink()
                    raise order.refused(f"the server sends more than the {order.most_bytes:,} bytes of the file")
                stream.write(piece)
                digest.update(piece)
                if order.progress is not None:
                    order.progress(have, total)
    if total is not None and have < total:  # urllib3 1.26 does not look
        raise _PassingFault(order.refused("the connection broke off before the end (truncated download)", _AGAIN))
    return digest.hexdigest()


def _start_of_body(order: _Order, response: requests.Response, *, asked: int) -> int:
    """Where in the file the body of an answer begins; ``asked`` is where it was asked to begin."""
    status = response.status_code
    if status in PASSING_FAULTS:
        raise _PassingFault(order.refused(f"the server answers {status}"))
    if status not in (200, 206):
        raise order.refused(f"the server answers {status}")
    packed = response.headers.get("Content-Encoding", "").strip().lower()
    if packed not in ("", "identity"):  # what it unpacks to has no bound
        raise order.refused(f"the server packs the file ({packed[:20]!a}) although it must not")
    if status == 200:
        return 0
    if not asked:
        raise order.refused("the server sends a part although the whole was asked for")
    sent = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if not sent or int(sent[1]) != asked:
        order.part.unlink()
        raise _PassingFault(order.refused("the server sends another part than it was asked for"))
    return asked


def _total_bytes(order: _Order, response: requests.Response, start: int) -> int | None:
    """Bytes of the whole file as far as known; raises WeightsError where the server offers a file of another size."""
    length = response.headers.get("Content-Length", "").strip()
    if "Transfer-Encoding" in response.headers or not _LENGTH.fullmatch(length):
        return order.size_bytes
    total = start + int(length)
    if total > order.most_bytes or (order.size_bytes is not None and total != order.size_bytes):
        expected = f"at most {order.most_bytes:,}" if order.size_bytes is None else f"{order.size_bytes:,}"
        raise order.refused(f"the server offers a file of {total:,} bytes, expected are {expected}")
    return total


class _Connection:
    """An answer of the server, its body read piece by piece; every wait for the server ends in time."""

    def __init__(self, order: _Order, *, start: int, deadline_s: float):
        self._order, self._deadline_s = order, deadline_s
        # Compressed transfer would make the byte counts of Range and Content-Length mean something else.
        self._headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        self._reading: Future | None = None

    def __enter__(self) -> _Connection:
        self.response: requests.Response = self._in_time(self._open)
        return self

    def __exit__(self, *_: object) -> None:
        if self._reading is not None and not self._reading.done():
            # Closing would wait for the reading thread. urllib3 before 2.3 cannot wake it; it ends with the silence.
            shutdown = getattr(self.response.raw, "shutdown", None)
            if shutdown is not None:
                shutdown()
            self._reading.add_done_callback(lambda _: self.response.close())
        else:
            self.response.close()

    def read(self) -> bytes:
        """The next `PIECE_BYTES` as they were sent, fewer at the end, then none."""
        return self._in_time(lambda: self.response.raw.read(PIECE_BYTES, decode_content=False))

    def _open(self) -> requests.Response:
        """The answer after redirects, followed here because `requests` would read the whole body of each."""
        import requests

        url = self._order.url
        with requests.Session() as session:
            for _ in range(MOST_REDIRECTS):
                request = session.prepare_request(requests.Request("GET", url, headers=self._headers))
                settings = session.merge_environment_settings(request.url, {}, True, None, None)
                adapter = session.get_adapter(str(request.url))
                response = adapter.send(request, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), **settings)  # type: ignore[arg-type]
                try:
                    location = session.get_redirect_target(response)
                except UnicodeDecodeError:
                    response.close()
                    raise
                if location is None:
                    return response
                response.close()
                url = urljoin(url, location)
        raise requests.TooManyRedirects

    def _in_time(self, step: Callable[[], _T]) -> _T:
        """What ``step`` returns. Raises _PassingFault or WeightsError for a fault of the network or of the server."""
        from urllib3.exceptions import HTTPError

        left_s = min(PIECE_TIMEOUT_S, self._deadline_s - time.monotonic())
        answer = self._in_thread(step)
        try:
            return answer.result(max(left_s, 0))
        except TookTooLong as error:
            answer.add_done_callback(_close_late)
            raise self._order.refused("the server is too slow", _AGAIN) from error
        except (OSError, HTTPError, ValueError) as error:  # a RequestException is an OSError
            reason, passing = _reason(error)
            refused = self._order.refused(reason, _AGAIN)
            raise (_PassingFault(refused) if passing else refused) from error

    def _in_thread(self, step: Callable[[], _T]) -> Future[_T]:
        """``step`` in a thread of its own: no timeout of a socket ends a read to which a byte comes now and then."""
        self._reading = answer = Future[_T]()

        def work() -> None:
            try:
                answer.set_result(step())
            except BaseException as error:  # handed to the waiting thread, as executors do
                answer.set_exception(error)

        threading.Thread(target=work, name="download", daemon=True).start()
        return answer


def _close_late(answer: Future) -> None:
    """Closes the answer of a server that came when nobody waited for it any more."""
    if answer.exception() is None and hasattr(answer.result(), "close"):
        answer.result().close()


def _reason(error: Exception) -> tuple[str, bool]:
    """The kind of network fault in words, without urllib3's nested representations, and whether it may pass."""
    import requests
    import urllib3.exceptions as lower

    if isinstance(error, requests.TooManyRedirects):
        return "its redirects do not end", False
    if isinstance(error, requests.Timeout | lower.TimeoutError):
        return "the server does not answer in time", True
    if isinstance(error, lower.ProtocolError):
        return "the connection broke off before the end (truncated download)", True
    if isinstance(error, ValueError):  # InvalidURL, MissingSchema, InvalidSchema, InvalidHeader, what urlparse raises
        return "this is no address, or leads to none", False
    return "the server cannot be reached", True


def _open_regular(path: str, flags: int) -> int:
    """Opens a regular file that has one name only; never follows a link, never waits for a pipe."""
    careful = flags & ~os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, careful, 0o666)
    if not _is_plain(os.fstat(descriptor)):
        os.close(descriptor)
        raise OSError(errno.EEXIST, "something else than a file is in the way")
    if flags & os.O_TRUNC:
        os.ftruncate(descriptor, 0)
    return descriptor


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1


def _remove_unless_regular(path: Path) -> None:
    """Removes a link, a pipe or a socket of this name; what a link points to is left alone."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not _is_plain(status):
        path.unlink()


def _hash_existing(part: Path, digest: hashlib._Hash, *, most_bytes: int) -> int:
    """Feed what an earlier run left into ``digest``; return its bytes. More than there can be is thrown away."""
    if not part.exists():
        return 0
    have = part.stat().st_size
    if have > most_bytes:
        part.unlink()
        return 0
    with open(part, "rb", opener=_open_regular) as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return have


def _is_whole(target: Path, sha256: str, size_bytes: int | None) -> bool:
    if not target.is_file() or target.stat().st_size != (size_bytes or target.stat().st_size):
        return False
    digest = hashlib.sha256()
    with open(target, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest() == sha256


def _storage_error(error: OSError, target: Path) -> WeightsError:
    if error.errno == errno.ENOSPC:
        return WeightsError(
            f"Disk full: {target} cannot be stored.", "Free some space, or name another folder with FACEMOTION_CACHE."
        )
    return WeightsError(
        f"Weights cannot be stored in {target.parent}: {error.strerror or error}.",
        "Make the folder writable, or name another one with FACEMOTION_CACHE.",
    )
