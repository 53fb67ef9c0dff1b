"""torch's hub folder for libraries that load their weights from it: verified files, and no download of their own."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from facemotion.errors import WeightsError
from facemotion.weights.registry import private_copies

_LOCK = threading.Lock()


def _renew_lock() -> None:
    """In a forked process a lock that another thread held would never be let go."""
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def torch_hub_with(names: Sequence[str], *, offline: bool | None = None) -> Iterator[dict[str, Path]]:
    """Inside the block torch's hub folder holds verified copies of these weight files and nothing else.

    Libraries look there, and download what they do not find without checking a hash: that is refused meanwhile.
    Gives the copies by name. Raises WeightsError as `weight_path` does, and where a library asks for another file.
    """
    import torch

    with private_copies(names, offline=offline) as copied, _LOCK:
        before, urlopen = torch.hub.get_dir(), torch.hub.urlopen
        torch.hub.set_dir(next(iter(copied.values())).parents[1])
        torch.hub.urlopen = _refuse  # type: ignore[assignment]  # all downloads of torch.hub go through it
        try:
            yield copied
        finally:
            torch.hub.urlopen = urlopen
            torch.hub.set_dir(before)


def _refuse(request: object, *_: object, **__: object) -> NoReturn:
    raise WeightsError(
        f"A library asks for weights that were not laid out for it: {getattr(request, 'full_url', request)}.",
        "Try again: something removed a file of this process from the folder for temporary files.",
    )
