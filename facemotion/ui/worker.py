"""One thread that does all the work of the model, the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, TypeVar

Result = TypeVar("Result")


class Urgency(IntEnum):
    """What goes first."""

    LOOK = 0
    """The face under a slider that moves."""
    LOAD = 1
    PLAY = 2
    """Frames that are shown soon."""
    TILES = 3
    EXPORT = 4
    STOP = 5


class Worker:
    """A thread that is fed from an event loop. A context manager; leaving it waits for the work in hand."""

    def __init__(self) -> None:
        self._arrival = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[Urgency, int, Callable[[], None], Future[Any]]] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._arrival:
            left, self._waiting = self._waiting, []
        for entry in left:
            entry[3].cancel()  # whoever waits for it ends
        self._put(Urgency.STOP, self._stop, Future())
        self._thread.join()

    async def run(self, work: Callable[[], Result], urgency: Urgency) -> Result:
        """What ``work`` returns or raises. Work whose caller is cancelled before it begins is never done."""
        future: Future[Result] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except BaseException as error:  # handed to the task that asked for the work
                future.set_exception(error)
            else:
                future.set_result(result)

        self._put(urgency, do, future)
        return await asyncio.wrap_future(future)

    def give_way(self, urgency: Urgency) -> None:
        """Called by long work of that urgency now and then: what is more urgent is done now."""
        while (do := self._next_before(urgency)) is not None:
            do()

    def _put(self, urgency: Urgency, do: Callable[[], None], future: Future[Any]) -> None:
        with self._arrival:
            heapq.heappush(self._waiting, (urgency, next(self._numbers), do, future))
            self._arrival.notify()

    def _next_before(self, urgency: Urgency) -> Callable[[], None] | None:
        with self._arrival:
            if self._waiting and self._waiting[0][0] < urgency:
                return heapq.heappop(self._waiting)[2]
        return None

    def _work(self) -> None:
        while not self._stopped:
            with self._arrival:
                while not self._waiting:
                    self._arrival.wait()
                entry = heapq.heappop(self._waiting)
            entry[2]()
            del entry  # it may hold the photo of a session that has ended

    def _stop(self) -> None:
        self._stopped = True
