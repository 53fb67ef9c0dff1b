"""The paint head alone, on crops of mouth and eyes: many more steps than the whole network affords.

Teeth and lashes fill a hundredth of the picture, yet a step of the whole generator pays for all of it. Here everything
but the last convolutions stands still: its outputs around mouth and eyes are computed once for some thousand frames and
remembered, and the head learns from crops of them.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from facemotion.errors import InputError, TrainingError, UsageError
from facemotion.model.generator import Encoding, Generator, resize, warp
from facemotion.train import losses
from facemotion.train.augment import augment
from facemotion.train.config import AugmentConfig, SamplerConfig
from facemotion.train.dataset import ClipPool
from facemotion.train.sampler import Sampler


@dataclass(frozen=True)
class PaintConfig:
    """What decides the outcome of the second stage."""

    frames: int = 4000
    """Frames remembered; each gives a crop of the mouth and one of the eyes."""
    crop: float = 1 / 3
    """Side of a crop, in widths of the generator's crop."""
    batch: int = 16
    """Crops a step."""
    mouths: float = 0.7
    """Share of mouths among the crops of a batch; the others are eyes."""
    seconds: float = 480.0
    """Time to train for, remembering apart."""
    lr: float = 1e-3
    """Peak learning rate; falls to zero as a cosine of the time that has passed."""
    gradient: float = 1.5
    """Weight of the L1 of image gradients against that of the colours."""
    sparsity: float = 0.02
    """Weight of painting where the moved photo would do."""
    average_steps: float = 200.0
    """Half-life of the weight average, in steps."""
    seed: int = 0
    """Of samples, augmentation and batches."""


_WARM_UP_STEPS = 100
_MARGIN_PX = 6
"""Border of a crop, at input resolution, that the loss leaves out: there the convolutions see the crop's edge."""


@dataclass
class Memory:
    """Crops of what the frozen part of the generator says; n crops of c px, painted at p px."""

    hidden: Tensor
    """(n, width, c, c) bfloat16, see `PaintHead.spread`."""
    moved: Tensor
    """(n, 3, p, p) uint8, the moved and shaded photo."""
    target: Tensor
    """(n, 3, p, p) uint8."""
    landmarks: Tensor
    """(n, 68, 2) of the target, in widths of the crop."""
    painted: Tensor
    """(n,) factor of the mask that the control gives."""

    @classmethod
    def joined(cls, parts: "Sequence[Memory]") -> "Memory":
        """All crops of some memories."""
        names = ("hidden", "moved", "target", "landmarks", "painted")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.painted)


@torch.inference_mode()
def remember(
    generator: Generator, pool: ClipPool, config: PaintConfig, *, on_frames: Callable[[int], None] | None = None
) -> tuple[Memory, Memory]:
    """Crops of mouths and of eyes from ``config.frames`` augmented frames of rendered clips.

    Photographic clips are left out: they show everybody's own teeth. Raises UsageError for a generator that has no
    moved photo to paint on, InputError where no clip is rendered.
    """
    if generator.paint_head.anchor is None:
        raise UsageError("the preset paper has no paint head of its own", "Name weights of the default preset.")
    numbers = [index for index, fact in enumerate(pool.facts) if not fact.real]
    rendered = [pool.facts[index] for index in numbers]
    if not rendered:
        raise InputError("no clip is rendered", "Prepare some with `facemotion prepare teacher`.")
    sampler = Sampler(rendered, config=SamplerConfig(), augment=AugmentConfig(), seed=config.seed)
    size = generator.config.input_px
    mouths, eyes, seen, sample = [], [], 0, 0
    while seen < config.frames:
        samples = [sampler.sample(sample + k) for k in range(4)]
        sample += 4
        batch = pool.batch([replace(s, clip=numbers[s.clip]) for s in samples], size=generator.config.paint_px)
        frames, landmarks = augment(batch, size=generator.config.paint_px)
        small = resize(frames[:, 0], (size, size))
        with torch.autocast("cpu", torch.bfloat16):
            encoding = generator.encode(small, (batch.control > 0).any(1))
        for target, points, control in zip(
            frames[:, 1:].unbind(1), landmarks[:, 1:].unbind(1), batch.control.unbind(1), strict=True
        ):
            mouth, eye = _crops(
                generator, encoding, frames[:, 0], target, points, control, side=2 * round(config.crop * size / 2)
            )
            mouths.append(mouth)
            eyes.append(eye)
            seen += len(samples)
        if on_frames is not None:
            on_frames(seen)
    return Memory.joined(mouths), Memory.joined(eyes)


def _crops(
    generator: Generator,
    encoding: Encoding,
    source: Tensor,
    target: Tensor,
    landmarks: Tensor,
    control: Tensor,
    *,
    side: int,
) -> tuple[Memory, Memory]:
    """Mouths and eyes, ``side`` px at input resolution, of a batch with one target (B, 3, P, P) of every source."""
    size, zoom = generator.config.input_px, generator.config.paint_px // generator.config.input_px
    with torch.autocast("cpu", torch.bfloat16):
        features, flow, shade, _ = generator.decoder(encoding.skips(control))
        hidden = generator.paint_head.spread(features).bfloat16()
    flow, shade, painted = generator.moving(flow.float(), shade.float(), control)
    moved = _to_byte(warp(source, resize(flow, source.shape[-2:])) + resize(shade, source.shape[-2:]))
    target = _to_byte(target)

    def around(points: slice) -> Memory:
        corners = (landmarks[:, points].mean(1) * size - side / 2).round().clamp(0, size - side).int()
        parts = []
        for n, (x, y) in enumerate(corners.tolist()):
            coarse = (n, slice(None), slice(y, y + side), slice(x, x + side))
            fine = (n, slice(None), slice(zoom * y, zoom * (y + side)), slice(zoom * x, zoom * (x + side)))
            place = (landmarks[n] * size - corners[n]) / side
            parts.append((hidden[coarse], moved[fine], target[fine], place, painted[n]))
        return Memory(*(torch.stack(column) for column in zip(*parts, strict=True)))

    return around(slice(60, 68)), around(slice(36, 48))


def _to_byte(picture: Tensor) -> Tensor:
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _to_signed(picture: Tensor) -> Tensor:
    return picture.float() / 127.5 - 1


def paint_loss(generator: Generator, memory: Memory, rows: Tensor, config: PaintConfig) -> Tensor:
    """Of some crops: L1 of the colours and of their gradients, weighted as in `losses.pixel_weight`, and sparsity."""
    moved, target = _to_signed(memory.moved[rows]), _to_signed(memory.target[rows])
    side = memory.hidden.shape[-1]
    seen = resize(moved, (side, side))
    with torch.autocast("cpu", torch.bfloat16):
        mask, colour = generator.paint_head.paint(memory.hidden[rows].float(), seen, memory.landmarks[rows])
    mask = memory.painted[rows, None, None, None] * torch.sigmoid(mask.float())
    frame = (1 - mask) * moved + mask * torch.tanh(colour.float())
    weight = losses.pixel_weight(moved, target, difference=16.0, regions=torch.ones_like(mask))
    margin = min(_MARGIN_PX, side // 4) * (moved.shape[-1] // side)
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    frame, target, weight, mask, moved = (x[inner] for x in (frame, target, weight, mask, moved))
    total = losses.reconstruction(frame, target, weight, levels=2)
    total = total + config.gradient * losses.gradient(frame, target, weight)
    return total + config.sparsity * losses.mask_sparsity(mask, moved, target)


def train_paint(
    generator: Generator,
    memories: tuple[Memory, Memory],
    config: PaintConfig,
    *,
    on_step: Callable[[int, float], None] | None = None,
) -> Generator:
    """A generator that differs from the one given by its paint head; ``on_step`` gets every step's number and loss."""
    mouths, eyes = memories
    trained = copy.deepcopy(generator)
    head = trained.paint_head
    learnt = [p for part in (head.mix, head.anchor, head.first, head.second, head.to_paint) for p in part.parameters()]
    mean = [p.detach().clone() for p in learnt]
    optimiser = torch.optim.AdamW(learnt, lr=config.lr, betas=(0.9, 0.99), weight_decay=1e-4)
    rng = torch.Generator().manual_seed(config.seed)
    of_mouths = round(config.mouths * config.batch)
    shares = [(mouths, of_mouths), (eyes, config.batch - of_mouths)]
    started, step = time.monotonic(), 0
    while (passed := (time.monotonic() - started) / config.seconds) < 1:
        step += 1
        for group in optimiser.param_groups:
            group["lr"] = config.lr * min(1, step / _WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * passed))
        loss = torch.zeros(())
        for memory, count in shares:
            rows = torch.randint(len(memory), (count,), generator=rng)
            loss = loss + paint_loss(trained, memory, rows, config) * count / config.batch
        if not torch.isfinite(loss):
            raise TrainingError("the loss became infinite or not a number", "Lower the rate.")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 5.0)
        optimiser.step()
        decay = 0.5 ** (1 / min(config.average_steps, 1 + step / 10))
        for average, now in zip(mean, learnt, strict=True):
            average.lerp_(now.detach(), 1 - decay)
        if on_step is not None:
            on_step(step, loss.item())
    with torch.no_grad():
        for now, average in zip(learnt, mean, strict=True):
            now.copy_(average)
    return trained
