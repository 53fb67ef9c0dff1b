import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from facemotion.media.prefetch import Background, BackgroundWriter, Prefetcher, for_each

ROOT = Path(__file__).parents[2]


class Recorder:
    """A writer that remembers its frames and fails at one of them."""

    def __init__(self, *, fails_at=None):
        self.frames, self.closed, self._fails_at = [], False, fails_at

    def write(self, frame):
        if frame == self._fails_at:
            raise OSError("disk")
        self.frames.append(frame)

    def close(self):
        self.closed = True


def test_items_come_in_order_and_the_thread_ends():
    before = threading.active_count()
    with Prefetcher(iter(range(100))) as items:
        assert list(items) == list(range(100))
    assert threading.active_count() == before


def test_only_a_few_items_are_made_before_they_are_asked_for():
    made = []
    with Prefetcher((made.append(n) or n for n in itertools.count()), ahead=2) as items:
        assert [next(items), next(items)] == [0, 1]
    assert len(made) <= 6


def test_errors_arrive_where_the_item_is_asked_for():
    def failing():
        yield 1
        raise ValueError("no more")

    with Prefetcher(failing()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="no more"):
            next(items)


def test_frames_are_written_in_order_and_the_writer_closed():
    writer = Recorder()
    with BackgroundWriter(writer) as background:
        for frame in range(50):
            background.write(frame)
    assert writer.frames == list(range(50))
    assert writer.closed


@pytest.mark.parametrize("fails_at", [0, 4, 9])
def test_what_the_writer_raises_comes_back(fails_at):
    writer = Recorder(fails_at=fails_at)
    with pytest.raises(OSError, match="disk"), BackgroundWriter(writer) as background:
        for frame in range(10):
            background.write(frame)
    assert writer.closed
    assert fails_at not in writer.frames


def test_an_error_of_the_producer_releases_the_file_and_goes_on_up():
    writer = Recorder()
    with pytest.raises(KeyboardInterrupt), BackgroundWriter(writer) as background:
        background.write(1)
        raise KeyboardInterrupt
    assert writer.closed


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_item_is_worked_on_once_by_two_threads(count):
    meeting, seen = threading.Barrier(2, timeout=20), []

    def work(item: int) -> None:
        if count == 2:
            meeting.wait()
        seen.append(item)

    for_each(work, range(count))
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("reason", [ValueError, KeyboardInterrupt])
def test_what_the_work_raises_comes_back_and_ends_it(reason):
    seen = []

    def work(item: int) -> None:
        seen.append(item)
        if item == 3:
            raise reason
        if item > 3:
            time.sleep(0.01)

    with pytest.raises(reason):
        for_each(work, range(1000))
    assert len(seen) < 100


INTERRUPTED = """
import signal, time
from facemotion.media.prefetch import Prefetcher, BackgroundWriter, for_each

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)

class Writer:
    def write(self, frame): pass
    def close(self): pass

def numbers():  # not for ever: an interrupt that comes in a destructor is lost
    end = time.monotonic() + 1
    while time.monotonic() < end:
        yield 1

for _ in range(400):
    signal.setitimer(signal.ITIMER_REAL, 0.002)
    try:
        with BackgroundWriter(Writer()) as writer, Prefetcher(numbers()) as items:
            for item in items:
                for_each(lambda _: None, range(3))
                writer.write(item)
    except KeyboardInterrupt:
        pass
print("over")
"""


@pytest.mark.skipif(os.name == "nt", reason="timers of POSIX")
def test_an_interrupt_at_any_moment_leaves_no_lock_taken():
    """The signal comes at another bytecode every time."""
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stdout == "over\n", done.stderr


def test_work_in_the_background_is_done_when_the_block_ends():
    began, done = threading.Event(), []

    def work():
        began.wait(10)
        done.append(1)

    with Background(work):
        assert not done
        began.set()
    assert done == [1]


def test_what_background_work_raises_is_raised_where_it_is_waited_for():
    def failing():
        raise ValueError("no such file")

    with Background(failing) as loading, pytest.raises(ValueError, match="no such file"):
        loading.wait()
    with pytest.raises(ValueError, match="no such file"), Background(failing):
        pass


def test_an_error_of_the_block_comes_before_that_of_the_background():
    def failing():
        raise ValueError("background")

    with pytest.raises(KeyError, match="block"), Background(failing):
        raise KeyError("block")
