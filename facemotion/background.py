"""Encoding in a thread of its own, so that the network works on the next frame meanwhile."""

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from facemotion.video import ClipWriter


class BackgroundWriter:
    """Hands frames to ``writer`` in another thread; at most ``ahead`` wait there, so memory stays bounded.

    A context manager: leaving it finishes the file, or, on an error, only releases it. What the writer raises is
    raised again at the next frame or at the end. Frames must not be changed after they were handed over.
    """

    def __init__(self, writer: "ClipWriter", *, ahead: int = 2):
        self._writer = writer
        self._frames: queue.Queue[np.ndarray | None] = queue.Queue(ahead)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    def write(self, frame: "np.ndarray") -> None:
        """Waits while the encoder is behind."""
        self._raise_error()
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
