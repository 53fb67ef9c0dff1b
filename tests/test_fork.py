"""Processes forked from one that has used the Python API, as gunicorn and Celery do it: they go on working."""

import multiprocessing
import os
import threading

import numpy as np
import pytest

import facemotion
from facemotion.api import AnimateSettings, Animator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

WAIT_S = 120


def in_a_forked_process(function, *arguments):
    """What ``function`` returns in a forked process, which must end by itself."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(function(*arguments)), daemon=True)
    process.start()
    try:
        assert receiver.poll(WAIT_S), "the forked process hangs"
        return receiver.recv()
    finally:
        process.kill()
        process.join()


@pytest.fixture
def photo_of_a_face():
    """A photograph for the real finder."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:260, 100:360])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_animates_and_finds_faces(photo_of_a_face, tiny_weights):
    def work() -> tuple[np.ndarray, int]:
        frames = facemotion.animate(photo_of_a_face, frames=3, weights=tiny_weights)
        return frames, len(facemotion.find_faces(photo_of_a_face))

    frames, faces = work()
    forked_frames, forked_faces = in_a_forked_process(work)
    assert forked_faces == faces == 1
    difference = np.abs(frames.astype(int) - forked_frames)  # another number of threads adds in another order
    assert difference.max() <= 8
    assert difference.mean() < 0.01


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_animator_made_before_the_fork_works_after_it(photo, tmp_path, tiny_weights):
    animator = Animator(AnimateSettings(frames=3), weights=tiny_weights)
    animator.animate_file(photo, tmp_path / "parent.mp4")
    in_a_forked_process(lambda: animator.animate_file(photo, tmp_path / "child.mp4").frames)
    assert (tmp_path / "child.mp4").stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} == {photo.name, "parent.mp4", "child.mp4"}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_locks_that_other_threads_held_at_the_fork_are_free(photo, tmp_path, tiny_weights):
    import facemotion.api
    import facemotion.faces.find
    import facemotion.faces.mesh
    import facemotion.media.photos

    animator = Animator(AnimateSettings(frames=2), weights=tiny_weights)
    locks = [
        facemotion.api._LOADING,
        facemotion.media.photos._OPEN_LOCK,
        facemotion.faces.find._shared._lock,
        facemotion.faces.mesh._lock,
    ]
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        over.wait()
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_a_forked_process(lambda: animator.animate_file(photo, tmp_path / "child.mp4").frames) == 2
        assert in_a_forked_process(lambda: len(facemotion.animate(photo, frames=2, weights=tiny_weights))) == 2
    finally:
        over.set()
        thread.join()
