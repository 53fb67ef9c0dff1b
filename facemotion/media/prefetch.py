"""Threads between the steps of a clip: the network runs ahead of the composite, the encoder follows behind.

What passes between threads goes through `queue.SimpleQueue` alone. A KeyboardInterrupt may come between any two
bytecodes; in the other queues, and in what `concurrent.futures` is made of, it can leave a lock taken for ever.
"""

import _thread
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from facemotion.media.formats import ClipWriter

Item = TypeVar("Item")


def for_each(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """``work`` of every item, on this thread and a second one; raises what ``work`` raises, when both have ended.

    The second thread lives as long as the call: one that waited between calls would be missing in a forked process.
    """
    left = deque(items)
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def work_on() -> None:
        with contextlib.suppress(IndexError):
            while True:
                item = left.popleft()
                work(item)

    def help_out() -> None:
        try:
            work_on()
        except BaseException as error:  # handed to the thread that asked for the work
            left.clear()
            ended.put(error)
        else:
            ended.put(None)

    if len(left) < 2:
        work_on()
        return
    _thread.start_new_thread(help_out, ())
    try:
        work_on()
    finally:
        left.clear()
        error = ended.get()
    if error is not None:
        raise error


class Background:
    """Does a piece of work in another thread while the block runs: imports, files that will be needed next.

    A context manager; leaving it waits for the thread, so that none is left half-way in a process that is forked.
    """

    def __init__(self, work: Callable[[], object]):
        self._work = work
        self._ended: SimpleQueue[Exception | None] = SimpleQueue()
        self._waiting = False

    def __enter__(self) -> "Background":
        _thread.start_new_thread(self._run, ())
        self._waiting = True
        return self

    def wait(self) -> None:
        """Returns when the work is done; raises what it raised."""
        if self._waiting:
            error = self._ended.get()
            self._waiting = False
            if error is not None:
                raise error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._waiting and kind is not None:
            self._ended.get()
        else:
            self.wait()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # handed to the thread that waits
            self._ended.put(error)
        else:
            self._ended.put(None)


class Prefetcher(Generic[Item]):
    """Goes through ``items`` in another thread, at most ``ahead`` items before they are asked for.

    A context manager, which gives the iterator; leaving it stops the thread. What ``items`` raises is raised again
    where the item is asked for.
    """

    def __init__(self, items: Iterable[Item], *, ahead: int = 2):
        self._items = items
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(ahead):
            self._room.put(None)
        self._ready: SimpleQueue[tuple[bool, Item | Exception | None]] = SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._room.put(None)
        self._thread.join()

    def _taken(self) -> Iterator[Item]:
        while True:
            more, item = self._ready.get()
            if more:
                self._room.put(None)
                yield item  # type: ignore[misc]
            elif isinstance(item, Exception):
                raise item
            else:
                return

    def _work(self) -> None:
        try:
            for item in self._items:
                self._room.get()
                if self._stopped:
                    return
                self._ready.put((True, item))
            self._ready.put((False, None))
        except Exception as error:  # handed to the thread that asks for the item
            self._ready.put((False, error))


class BackgroundWriter:
    """Hands frames to ``writer`` in another thread; at most ``ahead`` wait there, so memory stays bounded.

    With ``ahead`` 1 none waits: a frame is taken when the encoder is done with the one before.

    A context manager: leaving it finishes the file, or, on an error, only releases it. What the writer raises is
    raised again at the next frame or at the end. Frames must not be changed after they were handed over.
    """

    def __init__(self, writer: "ClipWriter", *, ahead: int = 2):
        self._writer = writer
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(ahead):
            self._room.put(None)
        self._frames: SimpleQueue[np.ndarray | None] = SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    def write(self, frame: "np.ndarray") -> None:
        """Waits while the encoder is behind."""
        self._raise_error()
        self._room.get()
        self._frames.put(frame)

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._frames.put(None)
        whole = False
        try:
            self._thread.join()
            whole = kind is None and self._error is None
            if whole:
                self._writer.close()
        finally:
            if not whole:
                self._thread.join()
                with contextlib.suppress(OSError, ValueError, EOFError):  # only to let go of what will be removed
                    self._writer.close()
        if kind is None:
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (frame := self._frames.get()) is not None:
            if self._error is None:
                try:
                    self._writer.write(frame)
                except Exception as error:  # handed to the thread that asked for the frame
                    self._error = error
            del frame
            self._room.put(None)
