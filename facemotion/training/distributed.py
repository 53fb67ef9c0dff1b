"""Several processes as one training, started by ``torchrun``: gradients are averaged by DistributedDataParallel."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from facemotion.device import choose_placement, multiplies_in_bf16


@dataclass(frozen=True)
class World:
    """This process among its peers."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def init(cls, device: str = "auto") -> "World":
        """The world that torchrun describes by its environment variables, or this process alone.

        ``auto`` takes the process's GPU where there is one. Raises ``UsageError`` for a device that is not there.
        """
        size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        chosen = _own_device(device, int(os.environ.get("LOCAL_RANK", "0")))
        if size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        return cls(rank, size, chosen)

    @property
    def is_main(self) -> bool:
        """This process writes the files and reports."""
        return self.rank == 0

    def best_precision(self) -> str:
        """``bf16`` where the device computes in it natively, else ``fp32``."""
        if self.device.type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
        return "bf16" if self.device.type == "cpu" and multiplies_in_bf16() else "fp32"

    def wrap(self, module: nn.Module, *, partly_used: bool = False) -> nn.Module:
        """``module`` with its gradients averaged over the processes during ``backward``.

        ``partly_used``: a batch may leave some parameters without gradient.
        """
        if self.size == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, find_unused_parameters=partly_used)

    def most(self, value: int) -> int:
        """The largest ``value`` of any process; the same answer everywhere."""
        if self.size == 1:
            return value
        largest = torch.tensor(value, device=self.device)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return int(largest.item())

    def destroy(self) -> None:
        """Leave the process group."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def _own_device(name: str, local_rank: int) -> torch.device:
    device = choose_placement(name).device
    if device.type == "cuda":
        device = device if device.index is not None else torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    return device
