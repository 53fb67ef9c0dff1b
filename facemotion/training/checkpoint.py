"""The training state on disk: everything that an exact resume needs, written atomically, read without pickle code.

Samples and augmentation are functions of seed and sample number, and nothing else in a training is random once the
networks exist, so counters take the place of random states.
"""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from facemotion.errors import OutputError, TrainingError

VERSION = 3


@dataclass
class TrainingProgress:
    """Counters of a training."""

    images: int = 0
    """Target frames shown, over all processes."""
    samples: int = 0
    """Sources shown; the number of the next sample."""
    steps: int = 0
    """Optimiser steps."""
    seconds: float = 0.0
    """Time spent training, over all runs."""


def save_state(path: Path, state: dict) -> None:
    """Write a state of tensors and plain values; the file appears under its name only when whole.

    Raises ``OutputError`` when the disk is full or the folder is not writable.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            torch.save({"version": VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        hint = "Free some space or choose another --out."
        raise OutputError(f"cannot write {path}: {error.strerror}", hint) from error


def load_state(path: Path) -> dict:
    """A state written by ``save_state``, on the CPU. Raises ``TrainingError`` for anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"no training state at {path}", "Give a state.pt or a release (.safetensors).") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path} is damaged or no training state", "Start again in a new folder.") from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise TrainingError(f"{path} is no training state of this version", "Start again in a new folder.")
    return state


def load_matching(network: nn.Module, state: dict[str, torch.Tensor]) -> list[str]:
    """Load what fits by name and shape; returns the names in ``network`` that keep their initial values."""
    own = network.state_dict()
    fitting = {name: t for name, t in state.items() if name in own and own[name].shape == t.shape}
    network.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())


def is_finite(network: nn.Module) -> bool:
    """Whether every weight is a finite number."""
    return all(bool(torch.isfinite(p).all()) for p in network.parameters())
