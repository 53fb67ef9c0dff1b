"""Functions compiled by Numba, kept between runs where there is a place for them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba

_FOLDER = "kernels"


def compiled(**options: bool) -> Callable[[Callable], Any]:
    """`numba.njit` without the GIL; what is compiled is kept in the user's cache, or made anew where that cannot be.

    Numba itself would keep it beside the source. Such files outlive `pip uninstall`, and a folder that is left of a
    package hides the next installation from the source tree. It also fails where it may write nowhere, and where the
    disk is full.
    """

    def compile_function(function: Callable) -> Any:
        try:
            with _kept_with_the_user():
                kernel = numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # no folder to keep it in
            return numba.njit(nogil=True, **options)(function)
        cache = kernel._cache
        keep = cache.save_overload

        def keep_if_possible(signature: object, data: object) -> None:
            with contextlib.suppress(OSError):
                keep(signature, data)

        cache.save_overload = keep_if_possible
        return kernel

    return compile_function


@contextlib.contextmanager
def _kept_with_the_user() -> Iterator[None]:
    """Functions that are declared meanwhile are kept in ``FACEMOTION_CACHE``, else in the user's cache folder; or where
    ``NUMBA_CACHE_DIR`` says."""
    from platformdirs import user_cache_path

    before = numba.config.CACHE_DIR
    if not before:
        chosen = os.environ.get("FACEMOTION_CACHE") or user_cache_path("facemotion", appauthor=False)
        numba.config.CACHE_DIR = str(Path(chosen).absolute() / _FOLDER)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
