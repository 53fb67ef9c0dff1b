"""The paint head alone, on crops of mouth and eyes: many more steps than the whole network affords.

Teeth and lashes fill a hundredth of the picture, yet a step of the whole generator pays for all of it. Here everything
but the last convolutions stands still: its outputs around mouth and eyes are computed once for some thousand frames and
remembered, and the head learns from crops of them, at first by comparison, then against discriminators of its own.
Where teeth stand, a linear function of the other landmarks, is fitted once.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from facemotion.device import multiplies_in_bf16
from facemotion.errors import InputError, TrainingError, UsageError
from facemotion.faces.ibug68 import inter_ocular
from facemotion.models.anchors import POINTS, on_the_lip
from facemotion.models.discriminators import PatchDiscriminator
from facemotion.models.generator import Encoding, Generator, moved_photo, resize
from facemotion.models.transfer import with_finer_paint
from facemotion.training import adversarial as adversary
from facemotion.training import losses
from facemotion.training.augment import augment
from facemotion.training.config import AugmentConfig, SamplerConfig
from facemotion.training.dataset import ClipPool
from facemotion.training.ema import follow_tensors
from facemotion.training.networks import initialise_he
from facemotion.training.regions import lips_part
from facemotion.training.sampler import Sampler


@dataclass(frozen=True)
class PaintConfig:
    """What decides the outcome of the second stage."""

    frames: int = 5000
    """Frames remembered; each gives a crop of an eye, and one of the mouth unless that is a photographed open one."""
    paint_px: int | None = None
    """Side of mask and colour, `GeneratorConfig.paint_px`, from now on; None: as before."""
    crop: float = 1 / 3
    """Side of a crop, in widths of the generator's crop."""
    batch: int = 16
    """Crops a step."""
    mouths: float = 0.5
    """Share of mouths among the crops of a batch; the rest are eyes."""
    seconds: float = 480.0
    """Time to train for, remembering apart."""
    lr: float = 1e-3
    """Peak learning rate; falls to zero as a cosine of the time that has passed."""
    gradient: float = 1.5
    """Weight of the L1 of image gradients against that of the colours."""
    sparsity: float = 0.08
    """Weight of painting where the moved photo would do."""
    judged_from: float = 0.5
    """Share of the time after which discriminators of mouth and eyes join; 1: never."""
    adversarial: float = 0.02
    """Weight of their hinge loss."""
    feature_matching: float = 1.0
    """Weight of the L1 of their features."""
    judges_lr: float = 3e-4
    """Their learning rate."""
    r1: float = 1.0
    """Weight of their gradient penalty, applied in every 16th step."""
    average_steps: float = 200.0
    """Half-life of the weight average, in steps."""
    seed: int = 0
    """Of samples, augmentation and batches."""

    def begun(self, generator: Generator) -> Generator:
        """The generator to train: a copy, with paint of this resolution. Raises UsageError for one that cannot be."""
        try:
            return with_finer_paint(generator, self.paint_px or generator.config.paint_px)
        except ValueError as error:
            side = generator.config.input_px
            raise UsageError(str(error), f"For example --paint-px {2 * side} or {4 * side}.") from error


AUGMENT = AugmentConfig(blur=0.1)
"""Less blur than in the first stage, which has taught to tell a blurred photo."""
PLACES = ("mouth", "eye")
_OF_MOUTH = torch.arange(POINTS) >= 48
"""(78,) bool: points of lips and teeth."""
_WARM_UP_STEPS = 100
_R1_EVERY = 16
_MARGIN_PX = 6
"""Border of a crop, at input resolution, that the loss leaves out: there the convolutions see the crop's edge."""
_JUDGED_PX = 112
"""Side of what a discriminator sees of a crop at a time: more costs more than it tells."""
_LEAST_JUDGED_PX = 48
"""Smaller crops, as those of tiny networks, have nothing left for four strided convolutions."""


@dataclass
class Memory:
    """Crops of what the frozen part of the generator says; n crops of c px, painted at p px."""

    hidden: Tensor
    """(n, width, c, c) bfloat16, see `PaintHead.spread`."""
    moved: Tensor
    """(n, 3, p, p) uint8, the moved and shaded photo."""
    skin: Tensor
    """(n, 3, c, c) uint8, the photo with skin where it shows eyes."""
    target: Tensor
    """(n, 3, p, p) uint8."""
    landmarks: Tensor
    """(n, 78, 2) to paint by, in widths of the crop: the target's, but of closed mouths those foreseen."""
    painted: Tensor
    """(n,) factor of the mask that the control gives."""
    control: Tensor
    """(n, E)"""

    @classmethod
    def joined(cls, parts: "Sequence[Memory]") -> "Memory":
        """All crops of some memories."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def chosen(self, rows: Tensor) -> "Memory":
        """Those crops; rows (n,) bool."""
        return Memory(*(getattr(self, f.name)[rows] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.painted)


@dataclass
class Memories:
    """What is remembered of some frames."""

    crops: dict[str, Memory]
    """By `PLACES`."""
    points: Tensor
    """(n, 78, 2) landmarks and points of the teeth of the rendered frames, in widths of the generator's crop."""


@torch.inference_mode()
def remember(
    generator: Generator, pool: ClipPool, config: PaintConfig, *, on_frames: Callable[[int], None] | None = None
) -> Memories:
    """Crops around mouths and eyes of ``config.frames`` augmented frames.

    Of photographic clips, which teach where moved skin needs no paint, mouths that open are left out: they show
    everybody's own teeth. Raises UsageError for a generator that has no moved photo to paint on, InputError where no
    clip is rendered.
    """
    if generator.paint_head.anchor is None:
        raise UsageError("the preset paper has no paint head of its own", "Name weights of the default preset.")
    if all(fact.real for fact in pool.facts):
        raise InputError("no clip is rendered", "Prepare some with `facemotion prepare teacher`.")
    sampler = Sampler(pool.facts, config=SamplerConfig(), augment=AUGMENT, seed=config.seed)
    random = torch.Generator().manual_seed(config.seed)
    size = generator.config.input_px
    parts: dict[str, list[Memory]] = {place: [] for place in PLACES}
    points, seen, sample = [], 0, 0
    while seen < config.frames:
        samples = [sampler.sample(sample + k) for k in range(4)]
        sample += 4
        batch = pool.batch(samples, size=generator.config.paint_px)
        frames, landmarks = augment(batch, size=generator.config.paint_px)
        if landmarks[~batch.real, 1:].isnan().any():
            raise InputError(
                "the clips do not say where teeth stand", "Make them again with `facemotion prepare teacher`."
            )
        small = resize(frames[:, 0], (size, size))
        with _autocast():
            encoding = generator.encode(small, (batch.control > 0).any(1))
        for target, marks, control in zip(
            frames[:, 1:].unbind(1), landmarks[:, 1:].unbind(1), batch.control.unbind(1), strict=True
        ):
            cut = _Cut(generator, encoding, frames[:, 0], target, marks, control, config.crop)
            usable = {"mouth": ~(batch.real & lips_part(marks)), "eye": torch.ones_like(batch.real)}
            for place, memory in cut.memories(random):
                parts[place].append(memory.chosen(usable[place]))
            points.append(marks[~batch.real])
            seen += len(samples)
        if on_frames is not None:
            on_frames(seen)
    if not any(map(len, points)) or not all(any(map(len, found)) for found in parts.values()):
        raise InputError("no rendered frame was drawn", "Give more --frames, or more rendered clips.")
    crops = {place: Memory.joined(parts.pop(place)) for place in PLACES}  # popped: there is not room for two
    return Memories(crops, torch.cat(points))


class _Cut:
    """A batch with one target (B, 3, P, P) of every source, to be cut into crops."""

    def __init__(
        self,
        generator: Generator,
        encoding: Encoding,
        source: Tensor,
        target: Tensor,
        landmarks: Tensor,
        control: Tensor,
        crop: float,
    ):
        self.size = generator.config.input_px
        self.zoom = generator.config.paint_px // self.size
        self.side = 2 * round(crop * self.size / 2)
        self.landmarks, self.control = landmarks, control
        with _autocast():
            features, flow, shade, foreseen = generator.decoder(encoding.skips(control))
            self.hidden = generator.paint_head.spread(features).bfloat16()
        # The target's own places, that paint need not guess; but lips that are foreseen a little apart, where they are
        # closed, must not be filled with teeth.
        closed = ~lips_part(landmarks)[:, None] & _OF_MOUTH
        foreseen = on_the_lip(foreseen.float())
        self.anchors = torch.where(closed[..., None] | landmarks.isnan(), foreseen, landmarks)
        # Glasses bend here, as they do in the clips; held still, they would have to be painted bent.
        flow, shade, self.painted = generator.moving(flow.float(), shade.float(), control)
        self.moved = _to_byte(moved_photo(source, flow, shade))
        self.skin, self.target = _to_byte(encoding.skin), _to_byte(target)

    def memories(self, random: torch.Generator) -> list[tuple[str, Memory]]:
        """A crop of the mouth and one of either eye for every sample."""
        eyes = self.landmarks[:, 36:48].unflatten(1, (2, 6)).mean(2)
        either = torch.randint(2, (len(eyes),), generator=random)
        centres = {"mouth": self.landmarks[:, 60:68].mean(1), "eye": eyes[torch.arange(len(eyes)), either]}
        return [(place, self._around(centres[place])) for place in PLACES]

    def _around(self, centre: Tensor) -> Memory:
        """Crops about centres (B, 2)."""
        corners = (centre * self.size - self.side / 2).round().clamp(0, self.size - self.side).int()
        parts = []
        for n in range(len(centre)):
            x, y = corners[n].tolist()
            coarse = (n, slice(None), slice(y, y + self.side), slice(x, x + self.side))
            fine = (slice(self.zoom * low, self.zoom * (low + self.side)) for low in (y, x))
            fine = (n, slice(None), *fine)
            place = (self.anchors[n] * self.size - corners[n]) / self.side
            crops = (self.hidden[coarse], self.moved[fine], self.skin[coarse], self.target[fine])
            parts.append((*crops, place, self.painted[n], self.control[n]))
        return Memory(*(torch.stack(column) for column in zip(*parts, strict=True)))


def _autocast(enabled: bool = True) -> torch.autocast:
    """bfloat16 where that is faster."""
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled and multiplies_in_bf16())


def _to_byte(picture: Tensor) -> Tensor:
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _to_signed(picture: Tensor) -> Tensor:
    return picture.float() / 127.5 - 1


@torch.no_grad()
def fit_teeth(generator: Generator, points: Tensor, *, ridge: float = 1e-6) -> float:
    """Set the generator's ``to_teeth`` to the ridge regression of the teeth on the other landmarks of the clips.

    points (n, 78, 2). From the true landmarks, because paint should meet the lips that it is anchored to, wherever the
    generator foresees them. Returns the mean distance, in distances of the eyes' centres, for the last tenth of the
    frames, by a first fit that did not see them.
    """
    inputs, targets = (part.flatten(1).double() for part in (points[:, :68], points[:, 68:]))
    test = torch.arange(len(inputs)) >= 0.9 * len(inputs)

    def solved(rows: Tensor) -> tuple[Tensor, Tensor]:
        mean, middle = inputs[rows].mean(0), targets[rows].mean(0)
        x = inputs[rows] - mean
        gram = x.T @ x
        gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        weight = torch.linalg.solve(gram, x.T @ (targets[rows] - middle)).T
        return weight, middle - weight @ mean

    weight, bias = solved(~test)
    missed = (inputs[test] @ weight.T + bias - targets[test]).unflatten(1, (-1, 2)).norm(dim=-1).mean(1)
    error = float((missed / inter_ocular(points[test])).mean())
    weight, bias = solved(torch.ones_like(test))
    generator.decoder.to_teeth.weight.copy_(weight)
    generator.decoder.to_teeth.bias.copy_(bias)
    return error


@dataclass
class Painted:
    """Crops as painted, without their margins."""

    frame: Tensor
    """(n, 3, p, p) in [-1, 1], as ``target`` and ``moved``."""
    target: Tensor
    moved: Tensor
    mask: Tensor
    """(n, 1, p, p) in [0, 1]."""
    weight: Tensor
    """(n, 1, p, p), see `losses.pixel_weight`."""


def painted(generator: Generator, memory: Memory, rows: Tensor) -> Painted:
    """Some crops, painted."""
    moved, target = _to_signed(memory.moved[rows]), _to_signed(memory.target[rows])
    side = memory.hidden.shape[-1]
    seen, skin = resize(moved, (side, side)), _to_signed(memory.skin[rows])
    with _autocast():
        mask, colour = generator.paint_head.paint(memory.hidden[rows].float(), seen, memory.landmarks[rows], skin)
    mask = memory.painted[rows, None, None, None] * mask
    frame = (1 - mask) * moved + mask * colour
    weight = losses.pixel_weight(moved, target, difference=16.0, regions=torch.ones_like(mask))
    margin = min(_MARGIN_PX, side // 4) * (moved.shape[-1] // side)
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    return Painted(*(x[inner] for x in (frame, target, moved, mask, weight)))


def paint_loss(crops: Painted, config: PaintConfig) -> Tensor:
    """Of painted crops: L1 of the colours and of their gradients, weighted as in `losses.pixel_weight`, and
    sparsity."""
    total = losses.reconstruction(crops.frame, crops.target, crops.weight, levels=2)
    total = total + config.gradient * losses.gradient(crops.frame, crops.target, crops.weight)
    return total + config.sparsity * losses.mask_sparsity(crops.mask, crops.moved, crops.target)


class _Judge:
    """A discriminator of one place, told the moved photo and the control; it looks at a random part of every crop."""

    def __init__(self, controls: int, config: PaintConfig, random: torch.Generator):
        self.network = PatchDiscriminator(controls=controls)
        initialise_he(self.network)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.judges_lr, betas=(0.5, 0.99))
        self.config, self.random, self.steps = config, random, 0

    def terms(self, crops: Painted, control: Tensor) -> Tensor:
        """Learn to tell painted crops from their targets, then say how the painted ones could be better."""
        self.steps += 1
        crops = self._part(crops)
        penalised = self.config.r1 > 0 and self.steps % _R1_EVERY == 0
        real = crops.target.detach().requires_grad_(penalised)
        with _autocast(not penalised):
            on_real = {"": self.network(real, crops.moved, control)}
            on_fake = {"": self.network(crops.frame.detach(), crops.moved, control)}
        loss = adversary.discriminator_hinge(on_real, on_fake, torch.ones(len(real)))
        if penalised:
            loss = loss + self.config.r1 * _R1_EVERY * adversary.r1_penalty(on_real, {"": real})
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.network.requires_grad_(False)
        with _autocast():
            on_fake = {"": self.network(crops.frame, crops.moved, control)}
        self.network.requires_grad_(True)
        return self.config.adversarial * adversary.generator_hinge(
            on_fake
        ) + self.config.feature_matching * adversary.feature_matching(on_real, on_fake)

    def _part(self, crops: Painted) -> Painted:
        """A square of at most `_JUDGED_PX`, somewhere in the crops."""
        room = crops.frame.shape[-1] - _JUDGED_PX
        if room <= 0:
            return crops
        x, y = torch.randint(room + 1, (2,), generator=self.random).tolist()
        part = (..., slice(y, y + _JUDGED_PX), slice(x, x + _JUDGED_PX))
        return Painted(*(getattr(crops, f.name)[part] for f in fields(crops)))


def train_paint(
    generator: Generator,
    memories: Memories,
    config: PaintConfig,
    *,
    on_step: Callable[[int, float], None] | None = None,
) -> Generator:
    """A generator that differs from the one given by its paint head; ``on_step`` gets every step's number and loss."""
    trained = copy.deepcopy(generator)
    head = trained.paint_head
    learnt = [p for name, p in head.named_parameters() if not name.startswith("features.")]
    mean = [p.detach().clone() for p in learnt]
    optimiser = torch.optim.AdamW(learnt, lr=config.lr, betas=(0.9, 0.99), weight_decay=1e-4)
    rng = torch.Generator().manual_seed(config.seed)
    counts = {"mouth": round(config.mouths * config.batch)}
    counts["eye"] = config.batch - counts["mouth"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        discriminators = {
            place: _Judge(memory.control.shape[1], config, rng)
            for place, memory in memories.crops.items()
            if memory.target.shape[-1] >= _LEAST_JUDGED_PX
        }
    started, step = time.monotonic(), 0
    while (passed := (time.monotonic() - started) / config.seconds) < 1:
        step += 1
        for group in optimiser.param_groups:
            group["lr"] = config.lr * min(1, step / _WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * passed))
        loss = torch.zeros(())
        for place, count in counts.items():
            memory = memories.crops[place]
            if not count:
                continue
            rows = torch.randint(len(memory), (count,), generator=rng)
            crops = painted(trained, memory, rows)
            part = paint_loss(crops, config)
            if place in discriminators and passed >= config.judged_from:
                part = part + discriminators[place].terms(crops, memory.control[rows])
            loss = loss + part * count / config.batch
        if not torch.isfinite(loss):
            raise TrainingError("the loss became infinite or not a number", "Lower the rate.")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learnt, 5.0)
        optimiser.step()
        decay = 0.5 ** (1 / min(config.average_steps, 1 + step / 10))
        follow_tensors(mean, [p.detach() for p in learnt], decay=decay)
        if on_step is not None:
            on_step(step, loss.item())
    with torch.no_grad():
        for now, average in zip(learnt, mean, strict=True):
            now.copy_(average)
    return trained
