"""Batches in order, known in advance and read ahead by threads (decoding JPEG releases Python's lock)."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from facemotion.training.checkpoint import TrainingProgress
from facemotion.training.config import Phase, TrainConfig
from facemotion.training.distributed import World

Request = TypeVar("Request")
Read = TypeVar("Read")


@dataclass(frozen=True)
class BatchRequest:
    """Asks the loader for samples ``first`` … ``first + count − 1`` for one batch of one process."""

    first: int
    count: int
    phase: Phase


def plan_batches(config: TrainConfig, world: World, progress: TrainingProgress) -> Iterator[list[BatchRequest]]:
    """The batches of this process, step by step, from ``progress`` on."""
    images, samples = progress.images, progress.samples
    while True:
        phase = config.phase_at(images)
        share = phase.sources
        batches = config.optimiser.accumulate
        firsts = [samples + (batch * world.size + world.rank) * share for batch in range(batches)]
        yield [BatchRequest(first, share, phase) for first in firsts]
        samples += share * world.size * batches
        images += share * world.size * batches * config.sampler.frames_per_source


class Loader(Generic[Request, Read]):
    """``read(request)`` for a sequence of requests, computed ahead of time; ``waited_s`` says what that did not hide.

    ``next_request`` is asked for one request after another, early; the batches come back in the same order.
    """

    def __init__(self, read: Callable[[Request], Read], next_request: Callable[[], Request], *, workers: int):
        self._read, self._next_request = read, next_request
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="loader")
        self._ahead: deque[Future[Read]] = deque()
        self._depth = workers + 1
        self.workers = workers
        self.waited_s = 0.0
        self.busy_s = 0.0
        """Time that reading took, summed over the threads."""

    def __next__(self) -> Read:
        while len(self._ahead) < self._depth:
            self._ahead.append(self._pool.submit(self._timed, self._next_request()))
        start = time.perf_counter()
        batch = self._ahead.popleft().result()
        self.waited_s += time.perf_counter() - start
        self._ahead.append(self._pool.submit(self._timed, self._next_request()))
        return batch

    def close(self) -> None:
        """Stop reading ahead."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _timed(self, request: Request) -> Read:
        start = time.perf_counter()
        batch = self._read(request)
        self.busy_s += time.perf_counter() - start
        return batch
