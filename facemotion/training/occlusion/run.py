"""Train the occlusion network on photos with drawn occluders, and measure it on people it never saw."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.errors import TrainingError
from facemotion.faces.geometry import photo_to_crop
from facemotion.faces.occlusion import HIDDEN, share_in_front
from facemotion.faces.occlusion_network import OcclusionConfig, OcclusionNetwork, occlusion_input, save_occlusion
from facemotion.media.records import MalformedError, check_tensors, checked, malformed
from facemotion.training.checkpoint import load_moments, load_plain
from facemotion.training.occlusion.glasses import fit_glasses
from facemotion.training.occlusion.photos import TrainingPhoto, people_with_glasses, read_photos
from facemotion.training.occlusion.scenes import Scene, Scenes, listed_occluders


@dataclass(frozen=True)
class OcclusionTraining:
    """One training; steps, not time, so that it can be repeated."""

    data: Path
    """The face data folder: photos and landmarks.npz."""
    out: Path
    """Where checkpoint, log and occlusion.safetensors go."""
    network: OcclusionConfig = field(default_factory=OcclusionConfig)
    steps: int = 4500
    batch: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    ema_steps: float = 300.0
    checkpoint_steps: int = 500
    validation_scenes: int = 400
    seed: int = 0


def train_occlusion(training: OcclusionTraining, *, report: Callable[[str], None]) -> Path:
    """Train, from the checkpoint where there is one, and return the finished file.

    People of ``assets/validation.txt`` are only measured. ``report`` gets a line at every checkpoint; the same numbers
    go to ``log.jsonl``.
    """
    cv2.setNumThreads(1)
    training.out.mkdir(parents=True, exist_ok=True)
    occluded, glasses = listed_occluders(), people_with_glasses()
    photos = read_photos(training.data, validation=False)
    held_out = read_photos(training.data, validation=True)
    size = training.network.input_px
    scenes = Scenes(photos, size, occluded=occluded, glasses=glasses)
    checks = Scenes(held_out, size, occluded=occluded, glasses=glasses)
    drawn = [checks.draw(np.random.default_rng((1, k)), occluders=1.0) for k in range(training.validation_scenes)]

    torch.manual_seed(training.seed)
    network = OcclusionNetwork(training.network)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on CPUs
    average = copy.deepcopy(network).eval().requires_grad_(False)
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for parameter in network.parameters():
        groups[parameter.ndim == 1].append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": training.weight_decay}, {"params": groups[1], "weight_decay": 0.0}],
        lr=training.learning_rate,
    )
    state_path = training.out / "state.pt"
    first = _resume(state_path, network, average, optimizer) if state_path.exists() else 0
    losses = []
    for step in range(first, training.steps):
        share = step / training.steps
        rate = training.learning_rate * min(1.0, (step + 1) / training.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
        rng = np.random.default_rng((training.seed, 0, step))
        batch = [scenes.draw(rng) for _ in range(training.batch)]
        network.train()
        loss = occlusion_loss(network(occlusion_input(np.stack([scene.crop for scene in batch]))), batch)
        if not torch.isfinite(loss):
            raise TrainingError("The loss is no longer a number.", "Start again with another --seed.")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        _follow(average, network, 1 / min(training.ema_steps, 1 + step / 10))
        losses.append(float(loss.detach()))
        if (step + 1) % training.checkpoint_steps == 0 or step + 1 == training.steps:
            _save(state_path, network, average, optimizer, step + 1)
            measured = {"loss": float(np.mean(losses))} | quality(average, drawn)
            measured |= false_alarms(average, held_out, occluded)
            losses = []
            with (training.out / "log.jsonl").open("a") as file:
                file.write(json.dumps({"step": step + 1} | measured) + "\n")
            report(f"step {step + 1}: " + "  ".join(f"{name} {value:.4f}" for name, value in measured.items()))
    fit_glasses(average, photos, occluded=occluded, wearers=glasses)
    finished = training.out / "occlusion.safetensors"
    recipe = {k: v for k, v in asdict(training).items() if k not in ("data", "out", "network")}
    save_occlusion(finished, average, record=recipe | {"photos": len(scenes.photos)})
    return finished


def occlusion_loss(logits: Tensor, scenes: list[Scene]) -> Tensor:
    """Weighted cross-entropy of every pixel, and a soft Dice loss of every crop that has an occluder."""
    front = torch.from_numpy(np.stack([scene.front for scene in scenes]))
    weight = torch.from_numpy(np.stack([scene.weight for scene in scenes]))
    entropy = F.binary_cross_entropy_with_logits(logits[:, 0], front, reduction="none")
    found = torch.sigmoid(logits[:, 0])
    both, either = ((weight * each).sum((1, 2)) for each in (found * front, found + front))
    dice = 1 - (2 * both + 10) / (either + 10)
    return (weight * entropy).sum() / weight.sum().clamp(min=1) + 0.3 * dice.mean()


@torch.inference_mode()
def quality(network: OcclusionNetwork, scenes: list[Scene]) -> dict[str, float]:
    """On scenes with drawn occluders: overlap with the truth (``iou``), and of lips and eyes that are hidden to more
    than four fifths, or to less than a fifth, the shares that are judged so (``hidden_found``, ``seen_found``)."""
    found = np.concatenate([_masks(network, scenes[k : k + 32]) for k in range(0, len(scenes), 32)])
    both = either = 0.0
    verdicts: dict[bool, list[bool]] = {True: [], False: []}
    for scene, mask in zip(scenes, found, strict=True):
        counts = scene.weight > 0.5
        both += float((np.minimum(scene.front, mask) * counts).sum())
        either += float((np.maximum(scene.front, mask) * counts).sum())
        truth, judged = (share_in_front(each, scene.landmarks) for each in (scene.front, mask))
        for hidden, said in zip(truth, judged, strict=True):
            if hidden < 0.2 or hidden > 0.8:
                verdicts[hidden > 0.8].append(said > HIDDEN)
    return {
        "iou": both / max(either, 1),
        "hidden_found": float(np.mean(verdicts[True])),
        "seen_found": 1 - float(np.mean(verdicts[False])),
    }


@torch.inference_mode()
def false_alarms(network: OcclusionNetwork, photos: list[TrainingPhoto], occluded: dict[str, str]) -> dict[str, float]:
    """Shares of lips, and of pairs of eyes, that count as hidden in photos that show them."""
    size = network.config.input_px
    lips, eyes = [], []
    for photo in photos:
        if (kind := occluded.get(photo.person)) in ("lips", "partly"):
            continue
        transform = photo_to_crop(photo.landmarks, size)
        crop = photo.warp(transform, (size, size))
        mask = torch.sigmoid(network(occlusion_input(crop[None])))[0, 0].numpy()
        points = photo.landmarks @ transform[:, :2].T + transform[:, 2]
        shares = share_in_front(mask, points)
        lips.append(shares[0] > HIDDEN)
        if kind != "eyes":
            eyes.append(max(shares[1:]) > HIDDEN)
    return {"lips_alarms": float(np.mean(lips)), "eyes_alarms": float(np.mean(eyes))}


def _masks(network: OcclusionNetwork, scenes: list[Scene]) -> np.ndarray:
    return torch.sigmoid(network(occlusion_input(np.stack([scene.crop for scene in scenes]))))[:, 0].numpy()


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, share: float) -> None:
    targets = network.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(targets[name], share)
        else:
            value.copy_(targets[name])


def _save(path: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    state = {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    temporary = path.with_name(path.name + ".part")
    torch.save(state | {"step": step}, temporary)
    temporary.replace(path)


def _resume(path: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    try:
        with malformed():
            state = load_plain(path)
            for name, module in (("network", network), ("average", average)):
                check_tensors(state[name], module.state_dict())
                module.load_state_dict(state[name])
            load_moments(optimizer, state["optimizer"])
            return checked(state["step"], int, "step")
    except (TrainingError, MalformedError) as error:
        hint = "Remove it to start again, or use another --out."
        raise TrainingError(f"Cannot resume from {path} ({error}).", hint) from error
