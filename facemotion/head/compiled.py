"""Functions compiled by Numba, kept between runs where there is a place for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: bool) -> Callable[[Callable], Any]:
    """`numba.njit` without the GIL; what is compiled is kept on disk, and compiled anew where that cannot be.

    Numba itself fails where the package and the user's cache are read-only, and where the disk is full.
    """

    def compile_function(function: Callable) -> Any:
        try:
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
