"""Threads between the steps of a clip: the network runs ahead of the composite, the encoder follows behind."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from facemotion.media.video import ClipWriter

Item = TypeVar("Item")
_POLL_S = 0.05


class Ahead(Generic[Item]):
    """Goes through ``items`` in another thread, at most ``ahead`` items before they are asked for.

    A context manager, which gives the iterator; leaving it stops the thread. What ``items`` raises is raised again
    where the item is asked for.
    """

    def __init__(self, items: Iterable[Item], *, ahead: int = 2):
        self._items = items
        self._ready: queue.Queue[tuple[bool, Item | Exception | None]] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _taken(self) -> Iterator[Item]:
        while True:
            more, item = self._ready.get()
            if more:
                yield item
            elif item is None:
                return
            else:
                raise item

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._hand_over(True, item):
                    return
            self._hand_over(False, None)
        except Exception as error:  # handed to the thread that asks for the item
            self._hand_over(False, error)

    def _hand_over(self, more: bool, item: Item | Exception | None) -> bool:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put((more, item), timeout=_POLL_S)
                return True
        return False


class BackgroundWriter:
    """Hands frames to ``writer`` in another thread; at most ``ahead`` wait there, so memory stays bounded.

    With ``ahead`` 0 none waits: a frame is taken when the encoder is done with the one before.

    A context manager: leaving it finishes the file, or, on an error, only releases it. What the writer raises is
    raised again at the next frame or at the end. Frames must not be changed after they were handed over.
    """

    def __init__(self, writer: "ClipWriter", *, ahead: int = 2):
        self._writer = writer
        self._frames: queue.Queue[np.ndarray | None] = queue.Queue(max(1, ahead))
        self._one_by_one = ahead == 0
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    def write(self, frame: "np.ndarray") -> None:
        """Waits while the encoder is behind."""
        self._raise_error()
        if self._one_by_one:
            self._frames.join()
        self._frames.put(frame)

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._frames.put(None)
        self._thread.join()
        if kind is not None or self._error is not None:
            with contextlib.suppress(OSError, ValueError, EOFError):  # only to let go of the file; it will be removed
                self._writer.close()
        else:
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
            self._frames.task_done()
