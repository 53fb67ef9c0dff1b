"""Where and how precisely the network runs: what the machine has, what was asked for."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemotion.errors import UsageError
from facemotion.expressions.timing import check_choice

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")


@dataclass(frozen=True)
class Placement:
    """A device and the type of the numbers on it."""

    device: "torch.device"
    dtype: "torch.dtype"

    @property
    def batch(self) -> int:
        """Frames decoded at a time: more keep a GPU busy, and fall out of the caches of a CPU."""
        if self.device.type != "cpu":
            return 8
        return 2 if self.dtype.itemsize == 4 else 4


def choose_placement(device: str = "auto", precision: str = "auto") -> Placement:
    """``auto`` takes a GPU where there is one; half precision on CUDA, bfloat16 on CPUs that multiply in it.

    ``device`` may also name one of several GPUs (``cuda:1``). Raises UsageError for a device that is not there.
    """
    import torch

    check_choice("precision", precision, PRECISIONS)
    check_choice("device", device.partition(":")[0], DEVICES)
    forked = cuda_was_used_before_fork()
    available = {
        "cpu": True,
        "cuda": not forked and torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    name, _, index = device.partition(":")
    if forked and name == "cuda":
        raise forked_cuda_error()
    if not available[name]:
        raise UsageError(f"No {name} device is available to PyTorch.", "Use --device auto, or --device cpu.")
    if index and not (name == "cuda" and index.isdigit() and int(index) < torch.cuda.device_count()):
        raise UsageError(f"There is no device {device}.", "Use --device auto, or cuda:0.")
    if precision == "auto":
        precision = "fp16" if name == "cuda" else "bf16" if name == "cpu" and multiplies_in_bf16() else "fp32"
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    if name == "cpu" and dtype == torch.float16:
        raise UsageError("fp16 is not supported on the CPU.", "Use --precision auto, fp32 or bf16.")
    return Placement(torch.device(device), dtype)


def cuda_was_used_before_fork() -> bool:
    """Whether this process was forked from one that had used CUDA already, which then is out of reach here."""
    import torch

    return bool(torch.cuda._is_in_bad_fork())


def forked_cuda_error() -> UsageError:
    """What is said where CUDA is asked for nevertheless."""
    return UsageError(
        "CUDA was used before this process was forked and is out of reach here.",
        "Start processes with the spawn method, use CUDA in them alone, or take device='cpu'.",
    )


def multiplies_in_bf16() -> bool:
    """Whether the CPU has instructions that multiply in bfloat16 (AVX-512 BF16, AMX) and make the network faster;
    without them it would be slower than in fp32."""
    import torch

    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not in every version of PyTorch
    return any(getattr(torch.cpu, question, bool)() for question in questions)


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """PyTorch on one core in this thread while the block runs, for networks so small that others would only spin."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _compute_alone() -> None:
    """In a forked process PyTorch's worker threads are missing, and waiting for them would never end."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_compute_alone)
