"""The generator at work: crops and controls in, motions as arrays out; falls back by itself where a device fails."""

import copy
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemotion.device import Placement, cuda_was_used_before_fork, forked_cuda_error
from facemotion.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from facemotion.models.generator import Encoding, Generator, Motion

Note = Callable[[str], None]
"""Called with one line that the user should read."""


@dataclass(frozen=True)
class MotionArrays:
    """One frame of one face, as `Composite.frame` takes it.

    ``flow`` (h, w, 2) in crop widths, ``shade`` (2h, 2w), ``mask`` (m, m), ``colour`` (m, m, 3) in [-1, 1], ``kept``
    (m, m); float32.
    """

    flow: "np.ndarray"
    shade: "np.ndarray"
    mask: "np.ndarray"
    colour: "np.ndarray"
    kept: "np.ndarray"


_instances: "weakref.WeakSet[Inference]" = weakref.WeakSet()


class Inference:
    """A generator on a device. May be used from several threads; a fallback holds for all that follows."""

    def __init__(self, generator: "Generator", placement: Placement):
        self.config = generator.config
        self._lock = threading.Lock()
        _instances.add(self)
        self._generator = generator
        self._place(placement)

    def motions(
        self, crops: "Sequence[np.ndarray]", track: Sequence[tuple[float, ...]], *, on_note: Note
    ) -> Iterator[list[MotionArrays]]:
        """For every control of ``track`` the motion of every crop.

        crops: uint8 (input_px, input_px, 3) each. ``on_note`` is told of a fallback: fewer frames at a time and then
        the CPU where memory runs out, full precision and then the CPU where numbers are not finite or the device lacks
        an operator.
        """
        import torch

        if self.placement.device.type == "cuda" and cuda_was_used_before_fork():
            raise forked_cuda_error()
        return self._motions(crops, track, on_note=on_note, threads=torch.get_num_threads())

    def _motions(
        self, crops: "Sequence[np.ndarray]", track: Sequence[tuple[float, ...]], *, on_note: Note, threads: int
    ) -> Iterator[list[MotionArrays]]:
        import torch

        torch.set_num_threads(threads)  # the caller's share of the cores, also in a thread that runs ahead of it
        encodings: list[Encoding] | None = None
        placed: Placement | None = None
        batch = done = 0
        while done < len(track):
            generator, placement = self._current()
            try:
                with torch.inference_mode():
                    if encodings is None or placement != placed:
                        encodings = [_encode(generator, crop, track, placement) for crop in crops]
                        placed, batch = placement, batch or placement.batch
                    control = torch.tensor(track[done : done + batch], dtype=torch.float32, device=placement.device)
                    faces = [_arrays(generator.decode(encoding, control)) for encoding in encodings]
            except (RuntimeError, TypeError) as error:
                if self._has_fallback(placement) and is_unsupported(error):
                    encodings = None
                    self._fall_back_from(placement, on_note, reason=f"Not everything runs on {_named(placement)}")
                    continue
                if not is_out_of_memory(error):
                    raise
                encodings = None
                if batch > 1:
                    batch //= 2
                    on_note(f"Out of memory on {placement.device}: going on with {batch} frames at a time.")
                elif placement.device.type != "cpu":
                    reason = f"Out of memory on {placement.device}"
                    self._fall_back(placement, torch.device("cpu"), on_note, reason=reason)
                else:
                    raise MemoryError("Not enough memory for the network.") from error
                _release_memory(placement)
                continue
            if any(face is None for face in faces):
                encodings = None
                self._make_finite(placement, on_note)
                continue
            yield from (list(frame) for frame in zip(*faces, strict=True))
            done += len(control)

    def _current(self) -> "tuple[Generator, Placement]":
        with self._lock:
            return self._generator, self.placement

    def _place(self, placement: Placement) -> None:
        import torch

        channels_last = placement.device.type == "cuda" or placement.dtype == torch.bfloat16  # there it is faster
        layout = torch.channels_last if channels_last else torch.contiguous_format
        generator = copy.deepcopy(self._generator)  # another thread may be using this one
        self._generator = generator.place(placement.device, placement.dtype, layout).eval()
        self.placement = placement

    def _fall_back(self, failed: Placement, device: "torch.device", on_note: Note, *, reason: str) -> None:
        import torch

        with self._lock:
            if self.placement == failed:
                self._place(Placement(device, torch.float32))
                on_note(f"{reason}: going on with fp32 on {device.type}.")

    def _has_fallback(self, placement: Placement) -> bool:
        import torch

        return placement.dtype != torch.float32 or placement.device.type != "cpu"

    def _fall_back_from(self, placement: Placement, on_note: Note, *, reason: str) -> None:
        """Full precision on the same device, where it had less; else the CPU."""
        import torch

        device = placement.device if placement.dtype != torch.float32 else torch.device("cpu")
        self._fall_back(placement, device, on_note, reason=reason)

    def _make_finite(self, placement: Placement, on_note: Note) -> None:
        if not self._has_fallback(placement):
            raise WeightsError(
                "The generator gives numbers that are not finite.",
                "Its weights are damaged: run facemotion weights verify, or give others with --weights.",
            )
        self._fall_back_from(placement, on_note, reason=f"Numbers in {_named(placement)} not finite")


def is_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch ran out of memory on any kind of device."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error) or "allocate memory" in str(error)


def is_unsupported(error: Exception) -> bool:
    """Whether a device lacks an operator, or has it not for these numbers, as Apple's GPUs and half precision do.

    PyTorch raises NotImplementedError for an operator that is missing, RuntimeError for one that is missing for a type,
    TypeError where Apple's GPUs have no such type.
    """
    said = str(error).lower()
    return isinstance(error, NotImplementedError) or any(
        words in said
        for words in ("not implemented for", "not currently implemented", "not supported", "doesn't support")
    )


def _named(placement: Placement) -> str:
    return f"{str(placement.dtype).removeprefix('torch.')} on {placement.device}"


def _encode(
    generator: "Generator", crop: "np.ndarray", track: Sequence[tuple[float, ...]], to: Placement
) -> "Encoding":
    import torch

    source = torch.from_numpy(crop).permute(2, 0, 1)[None].to(to.device, to.dtype) / 127.5 - 1
    asked = torch.tensor([[any(column) for column in zip(*track, strict=True)]], device=to.device)
    return generator.encode(source, asked)


def _arrays(motion: "Motion") -> list[MotionArrays] | None:
    """One entry per frame; None where a number is not finite."""
    import torch

    fields = (
        motion.flow.permute(0, 2, 3, 1),
        motion.shade[:, 0],
        motion.mask[:, 0],
        motion.colour.permute(0, 2, 3, 1),
        motion.kept[:, 0],
    )
    if not all(bool(torch.isfinite(field.sum())) for field in fields):  # a sum is twenty times as fast as every number
        return None
    arrays = [field.float().cpu().contiguous().numpy() for field in fields]
    return [MotionArrays(*frame) for frame in zip(*arrays, strict=True)]


def _release_memory(placement: Placement) -> None:
    import torch

    if placement.device.type == "cuda":
        torch.cuda.empty_cache()


def _renew_locks() -> None:
    """In a forked process a lock that another thread held would never be let go."""
    for inference in _instances:
        inference._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
