"""Batches in order, read ahead by threads (decoding JPEG releases Python's lock)."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from facemotion.training.dataset import Batch


class Loader:
    """``make(ticket)`` for a sequence of tickets, computed ahead of time; ``waited_s`` says what that did not hide.

    ``next_ticket`` is asked for one ticket after another, early; the batches come back in the same order.
    """

    def __init__(self, make: Callable[[object], Batch], next_ticket: Callable[[], object], *, workers: int):
        self._make, self._next_ticket = make, next_ticket
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="loader")
        self._ahead: deque[Future[Batch]] = deque()
        self._depth = workers + 1
        self.workers = workers
        self.waited_s = 0.0
        self.busy_s = 0.0
        """Time that reading took, summed over the threads."""

    def __next__(self) -> Batch:
        while len(self._ahead) < self._depth:
            self._ahead.append(self._pool.submit(self._timed, self._next_ticket()))
        start = time.perf_counter()
        batch = self._ahead.popleft().result()
        self.waited_s += time.perf_counter() - start
        self._ahead.append(self._pool.submit(self._timed, self._next_ticket()))
        return batch

    def close(self) -> None:
        """Stop reading ahead."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _timed(self, ticket: object) -> Batch:
        start = time.perf_counter()
        batch = self._make(ticket)
        self.busy_s += time.perf_counter() - start
        return batch
