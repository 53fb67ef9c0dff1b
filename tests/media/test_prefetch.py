import itertools
import threading

import pytest

from facemotion.media.prefetch import Ahead, BackgroundWriter


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
    with Ahead(iter(range(100))) as items:
        assert list(items) == list(range(100))
    assert threading.active_count() == before


def test_only_a_few_items_are_made_before_they_are_asked_for():
    made = []
    with Ahead((made.append(n) or n for n in itertools.count()), ahead=2) as items:
        assert [next(items), next(items)] == [0, 1]
    assert len(made) <= 6


def test_errors_arrive_where_the_item_is_asked_for():
    def failing():
        yield 1
        raise ValueError("no more")

    with Ahead(failing()) as items:
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
