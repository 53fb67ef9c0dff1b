"""Settings of the machine that the network runs on."""

import ctypes
import sys
from types import SimpleNamespace

import pytest

from facemotion.device import keep_freed_memory


@pytest.fixture
def library(monkeypatch):
    """A C library that records what is set."""
    options = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=options.__setitem__))
    return options


def test_freed_memory_is_kept_where_the_library_is_glibc(library, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert set(library) == {-1, -3}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
    assert all(value >= 32 << 20 for value in library.values())


def test_nothing_is_set_elsewhere(library, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
    assert library == {}


def test_a_linux_without_glibc_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()
