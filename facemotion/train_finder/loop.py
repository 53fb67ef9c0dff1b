"""One training loop for both networks: batches, loss, moving average, checkpoint, resume."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facemotion.errors import TrainingError
from facemotion.media.atomic import replaced
from facemotion.media.records import MalformedError, check_tensors, checked, malformed
from facemotion.training.checkpoint import load_moments, load_plain
from facemotion.training.ema import MovingAverage


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train one network."""

    budget_s: float
    """Seconds of training, over all sittings; the learning rate falls along half a cosine over them."""
    batch: int = 48
    learning_rate: float = 3e-3
    warmup_steps: int = 200
    checkpoint_s: float = 120.0
    """Seconds between checkpoints (and validations)."""
    ema_steps: float = 400.0
    """Time constant of the moving average of the weights, in steps."""
    seed: int = 0
    max_steps: int | None = None
    """Stop early after so many steps (tests)."""


@dataclass
class Progress:
    """Where a training stands."""

    step: int = 0
    seconds: float = 0.0


def train(
    network: nn.Module,
    loss_of: Callable[[nn.Module, np.random.Generator, int], dict[str, Tensor]],
    *,
    schedule: Schedule,
    state_path: Path,
    on_checkpoint: Callable[[nn.Module, Progress, dict[str, float]], None],
) -> nn.Module:
    """Train a network within its budget and return the moving average of its weights; resumes from ``state_path``.

    loss_of: draws a batch with the generator given and returns named losses, of which "total" is minimised. The
    generator of a step follows from seed and step, so that a resumed training does not repeat its batches.
    on_checkpoint: called with the averaged network, the progress and the mean losses since the last call.
    Raises TrainingError when the loss is no longer finite, or the state belongs to another configuration.
    """
    network.to(memory_format=torch.channels_last)
    decay, rest = [], []
    for parameter in network.parameters():
        (decay if parameter.ndim > 1 else rest).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 1e-2}, {"params": rest, "weight_decay": 0.0}], lr=schedule.learning_rate
    )
    average = MovingAverage(network, buffers=True)
    progress = Progress()
    if state_path.exists():
        _resume(state_path, network, average.network, optimizer, progress)
    sums: dict[str, float] = {}
    counted = 0
    saved_at = progress.seconds
    while progress.seconds < schedule.budget_s and progress.step != schedule.max_steps:
        started = time.monotonic()
        rate = schedule.learning_rate * min(1.0, (progress.step + 1) / schedule.warmup_steps)
        rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress.seconds / schedule.budget_s)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.train()
        rng = np.random.default_rng((schedule.seed, progress.step))
        losses = loss_of(network, rng, schedule.batch)
        total = losses["total"]
        if not torch.isfinite(total):
            raise TrainingError("The loss is no longer a number.", "Start again with another --seed.")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        progress.step += 1
        average.follow(network, decay=1 - 1 / min(schedule.ema_steps, 1 + progress.step / 10))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        counted += 1
        progress.seconds += time.monotonic() - started
        done = progress.seconds >= schedule.budget_s or progress.step == schedule.max_steps
        if done or progress.seconds - saved_at >= schedule.checkpoint_s:
            _save(state_path, network, average.network, optimizer, progress)
            on_checkpoint(average.network, progress, {name: value / counted for name, value in sums.items()})
            sums, counted, saved_at = {}, 0, progress.seconds
    return average.network


def _save(path: Path, network: nn.Module, average: nn.Module, optimizer, progress: Progress) -> None:
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": progress.step,
        "seconds": progress.seconds,
    }
    with replaced(path) as file:
        torch.save(state, file)


def _resume(path: Path, network: nn.Module, average: nn.Module, optimizer, progress: Progress) -> None:
    try:
        with malformed():
            state = load_plain(path)
            for name, module in (("network", network), ("average", average)):
                check_tensors(state[name], module.state_dict())
                module.load_state_dict(state[name])
            load_moments(optimizer, state["optimizer"])
            progress.step, progress.seconds = checked(state["step"], int, "step"), checked(state["seconds"], float, "")
            if progress.step < 0 or progress.seconds < 0:
                raise MalformedError("counters below zero")
    except (TrainingError, MalformedError) as error:
        raise TrainingError(
            f"Cannot resume from {path} ({error}).", "Remove it to start again, or use another --out."
        ) from error
