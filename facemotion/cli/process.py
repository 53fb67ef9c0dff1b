"""What surrounds a command: standard streams that may be closed, signals that may come at any moment.

Imports nothing that takes time: until the signals are looked after, an interrupt shows a traceback.
"""

import contextlib
import gc
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO

INTERRUPTED = 130

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_PATIENCE_S = 10.0
"""A second signal within this time is not heeded: the command is tidying up already. After it, it ends at once."""

_AGAIN_S = 0.02
"""After this time an interrupt that came at a bad moment is tried again."""

_DELICATE = frozenset({"__enter__", "__exit__", "__del__"})
"""Functions in which something has been taken that nobody would let go: `threading.Condition` is entered in Python."""


class _Signals:
    """What has come so far."""

    first_s: float | None = None


class _Command:
    """The one that `run` runs."""

    started_s: float | None = None


def running_s() -> float:
    """Seconds since `run` was called; 0 in a process that was started in another way."""
    return 0.0 if _Command.started_s is None else time.perf_counter() - _Command.started_s


class Stream:
    """A text stream that cannot fail a command: what nobody can read any more is dropped.

    ``error`` is why; a reader that went away, as ``| head`` does, is none.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As of a text stream."""
        with self._dropping():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As of a text stream."""
        with self._dropping():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropping(self) -> Any:
        try:
            yield
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.error = self.error or error
            with contextlib.suppress(OSError, ValueError):  # what is buffered still would fail again at the end
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


def run(command: Callable[[], object]) -> NoReturn:
    """Runs a command that ends with SystemExit, and ends the process with its exit code.

    An interrupt at any moment ends with exit code 130, one line, and nothing half-written.
    """
    _Command.started_s = time.perf_counter()
    look_after_streams()
    look_after_signals()
    code: object = INTERRUPTED
    try:
        code = command()
    except SystemExit as ending:
        code = ending.code
    except KeyboardInterrupt:
        sys.stderr.write("Error: Interrupted.\nNothing half-written was left.\n")
    sys.exit(tidy_up(code))


def look_after_streams() -> None:
    """Standard streams that are closed lead nowhere; no file that is opened later takes their number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 (for as long as the process lives)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be printable
        setattr(sys, name, Stream(stream))


def look_after_signals() -> None:
    """Ctrl-C, a polite kill and the end of the terminal all raise KeyboardInterrupt, so that the command tidies up.

    A signal that the process was started to ignore (nohup, a background job) stays ignored.
    """
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    sys.unraisablehook = _unraisable


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """A block that loads modules, which stay: to look for garbage among them would take a quarter of the time."""
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # once: no garbage of the work is to stay with them
            gc.freeze()
        gc.enable()


def share_heaps() -> None:
    """Threads of this process give back to one another what they free: with a heap for each, large frames stay in all
    of them (1,190 instead of 1,240 MB for 12 megapixels). The GNU C library alone has such heaps."""
    import ctypes

    most_heaps = -8  # M_ARENA_MAX of malloc.h
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(most_heaps, 1)


def tidy_up(code: object) -> int:
    """The very end: no signal disturbs it, nothing half-written stays, and the exit code tells of lost results."""
    gc.freeze()  # what is left goes with the process
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    _remove_unfinished()
    status = code if isinstance(code, int) else 0 if code is None else 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    lost = getattr(sys.stdout, "error", None)
    if lost is not None and status == 0:
        reason = lost.strerror or lost
        sys.stderr.write(f"Error: Standard output cannot be written: {reason}.\nWrite it to another place.\n")
        sys.stderr.flush()
        status = 1
    return status


def _stop(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _Signals.first_s is None:
        _Signals.first_s = now
        _interrupt(frame)
    elif now - _Signals.first_s > _PATIENCE_S:
        _remove_unfinished()
        os._exit(INTERRUPTED)


def _interrupt(frame: FrameType | None) -> None:
    if hasattr(signal, "setitimer") and _is_delicate(frame):
        _interrupt_later()
    else:
        raise KeyboardInterrupt


def _interrupt_later() -> None:
    signal.signal(signal.SIGALRM, lambda _, frame: _interrupt(frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)


def _is_delicate(frame: FrameType | None) -> bool:
    """Whether an exception would be lost here, or leave something broken: in imports, between taking and holding."""
    if frame is not None and frame.f_code.co_name in _DELICATE:
        return True
    while frame is not None:
        if "importlib._bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _unraisable(lost: Any) -> None:
    """An interrupt that came in a destructor, where Python cannot raise anything, is raised again outside."""
    if issubclass(lost.exc_type, KeyboardInterrupt) and hasattr(signal, "setitimer"):
        _interrupt_later()
    else:
        sys.__unraisablehook__(lost)


def _remove_unfinished() -> None:
    atomic = sys.modules.get("facemotion.media.atomic")
    if atomic is not None:
        atomic.remove_unfinished()
