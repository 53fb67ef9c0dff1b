"""The training state on disk: everything that an exact resume needs, written atomically, read without pickle code.

Samples and augmentation are functions of seed and step, and nothing else in a training is random once the networks
exist, so a counter takes the place of random states.
"""

from pathlib import Path
from typing import Any

import torch

from facemotion.errors import OutputError, TrainingError
from facemotion.media.atomic import replaced
from facemotion.media.records import MalformedError, checked, malformed

VERSION = 3


def save_state(path: Path, state: dict) -> None:
    """Write a state of tensors and plain values; the file appears under its name only when whole.

    Raises ``OutputError`` when the disk is full or the folder is not writable.
    """
    try:
        with replaced(path) as file:
            torch.save({"version": VERSION, **state}, file)
    except OSError as error:
        hint = "Free some space or choose another --out."
        raise OutputError(f"cannot write {path}: {error.strerror}", hint) from error


def load_state(path: Path) -> dict:
    """A state written by ``save_state``, on the CPU. Raises ``TrainingError`` for anything else."""
    if not path.is_file():
        raise TrainingError(f"no training state at {path}", "Give a state.pt or a release (.safetensors).")
    state = load_plain(path)
    if state.get("version") != VERSION:
        raise TrainingError(f"{path} is no training state of this version", "Start again in a new folder.")
    return state


def load_plain(path: Path) -> dict:
    """The dictionary of tensors and plain values in a file of ``torch.save``. Raises ``TrainingError``."""
    try:
        with malformed():
            return checked(torch.load(path, map_location="cpu", weights_only=True), dict, path.name)
    except (OSError, MalformedError) as error:
        raise TrainingError(
            f"{path} is damaged or no training state ({error})", "Start again in a new folder."
        ) from error


def load_moments(optimiser: torch.optim.Optimizer, saved: Any) -> None:
    """The moments of ``saved``, the state of an AdamW of the same parameters; rates and decays stay those set here.

    Raises MalformedError where it is anything else.
    """
    own = [p for group in optimiser.param_groups for p in group["params"]]
    with malformed():
        moments = checked(saved["state"], dict, "moments")
        order = [number for group in saved["param_groups"] for number in group["params"]]
        if order != list(range(len(own))) or not moments.keys() <= set(order):
            raise MalformedError("moments of other parameters")
        for number, moment in moments.items():
            if moment.keys() != {"step", "exp_avg", "exp_avg_sq"}:
                raise MalformedError("moments of another optimiser")
            shapes = [moment[name].shape for name in ("step", "exp_avg", "exp_avg_sq")]
            if shapes != [(), own[number].shape, own[number].shape]:
                raise MalformedError(f"moments of another shape: {shapes}")
            if not all(tensor.is_floating_point() for tensor in moment.values()):
                raise MalformedError("moments of another kind of numbers")
        optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
