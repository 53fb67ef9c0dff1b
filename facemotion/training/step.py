"""One batch through generator and discriminators: from frames to losses. The modules are what DistributedDataParallel
wraps."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from facemotion.models.discriminators import DiscriminatorOutput, Discriminators
from facemotion.models.generator import Generator, resize
from facemotion.training import adversarial, losses
from facemotion.training.config import LossWeights
from facemotion.training.regions import lips_part, region_weight


@dataclass
class AugmentedBatch:
    """An augmented batch: ``frames`` (B, 1 + K, 3, N, N) in [-1, 1], the source first; ``landmarks`` (B, 1 + K, 78, 2)
    in crop widths; ``control`` (B, K, E); ``real`` (B,) bool."""

    frames: Tensor
    landmarks: Tensor
    control: Tensor
    real: Tensor

    @property
    def source(self) -> Tensor:
        """(B, 3, N, N)"""
        return self.frames[:, 0]

    @property
    def targets(self) -> Tensor:
        """(B, K, 3, N, N)"""
        return self.frames[:, 1:]

    def first(self, targets: int) -> "AugmentedBatch":
        """The batch with only the first ``targets`` of every source."""
        frames, landmarks = self.frames[:, : 1 + targets], self.landmarks[:, : 1 + targets]
        return AugmentedBatch(frames, landmarks, self.control[:, :targets], self.real)

    def per_target(self, of_source: Tensor) -> Tensor:
        """Rows of the sources, repeated for every target: (B, …) -> (B·K, …)."""
        return of_source.repeat_interleave(self.control.shape[1], 0)


class Generated(NamedTuple):
    """What the generator made of a batch; every tensor (B, K, …), see ``model.generator.Motion``."""

    frames: Tensor
    flow: Tensor
    mask: Tensor
    moved: Tensor
    """The source moved and shaded but not painted, at half the resolution; not differentiated."""
    landmarks: Tensor


class GeneratorStep(nn.Module):
    """All targets of a batch: every source is encoded once."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator

    def forward(
        self, source: Tensor, control: Tensor, anchors: Tensor | None = None, *, input_px: int, autocast: bool
    ) -> Generated:
        """source (B, 3, N, N) in [-1, 1]; control (B, K, E); anchors (B, K, 78, 2) landmarks to paint by, crop widths;
        the generator's own where there are none."""
        with torch.autocast(source.device.type, torch.bfloat16, enabled=autocast):
            seen = resize(source, (input_px, input_px))
            encoding = self.generator.encode(seen, (control > 0).any(1))
            places = [None] * control.shape[1] if anchors is None else anchors.unbind(1)
            motions = [
                self.generator.decode(encoding, one, place)
                for one, place in zip(control.unbind(1), places, strict=True)
            ]
        frames = [self.generator.compose(source, motion) for motion in motions]
        with torch.no_grad():
            small = resize(source, (source.shape[-2] // 2, source.shape[-1] // 2))
            unpainted = [replace(motion, mask=torch.zeros_like(motion.mask)) for motion in motions]
            moved = [self.generator.compose(small, motion) for motion in unpainted]
        return Generated(
            frames=torch.stack(frames, 1),
            flow=torch.stack([motion.flow for motion in motions], 1),
            mask=torch.stack([motion.mask for motion in motions], 1),
            moved=torch.stack(moved, 1),
            landmarks=torch.stack([motion.landmarks for motion in motions], 1),
        )


def supervised_terms(shown: AugmentedBatch, generated: Generated, weights: LossWeights) -> dict[str, Tensor]:
    """The unweighted terms that need no discriminator, by their names in ``LossWeights``."""
    size = shown.frames.shape[-1]
    count = shown.control.shape[1]
    target, frame = shown.targets.flatten(0, 1), generated.frames.flatten(0, 1)
    points = shown.landmarks[:, 1:].flatten(0, 1)
    own_teeth = shown.per_target(shown.real) & lips_part(points)
    photographed = torch.where(own_teeth, weights.photographed_mouth, 1.0)[:, None, None]
    regions = region_weight(points, size, mouth=weights.mouth * photographed, eyes=weights.eyes)
    weight = losses.pixel_weight(shown.per_target(shown.source), target, difference=weights.difference, regions=regions)
    half = generated.moved.shape[-1]
    mask = resize(generated.mask.flatten(0, 1), (half, half))
    return {
        "reconstruction": losses.reconstruction(frame, target, weight),
        "gradient": losses.gradient(frame, target, weight),
        "temporal": losses.temporal(generated.frames, shown.targets, weight.unflatten(0, (-1, count))),
        "landmark": losses.landmark(generated.landmarks, shown.landmarks[:, 1:]),
        "flow_smoothness": losses.flow_smoothness(generated.flow),
        "mask_sparsity": losses.mask_sparsity(mask, generated.moved.flatten(0, 1), resize(target, (half, half))),
    }


@dataclass
class DiscriminatorInput:
    """Views of a batch for the discriminators, one row for every target."""

    real: dict[str, Tensor]
    fake: dict[str, Tensor]
    source: dict[str, Tensor]
    control: Tensor
    weight: Tensor
    """(B·K,) of every sample in the discriminators' loss."""


def discriminator_input(
    shown: AugmentedBatch, frames: Tensor, discriminators: Discriminators, *, real_weight: float
) -> DiscriminatorInput:
    """Real and generated frames (B, K, 3, N, N) as the discriminators see them: same places, same degradation."""
    landmarks = shown.landmarks[:, 1:].flatten(0, 1)
    return DiscriminatorInput(
        real=discriminators.views(shown.targets.flatten(0, 1), landmarks),
        fake=discriminators.views(frames.flatten(0, 1), landmarks),
        source=discriminators.views(shown.per_target(shown.source), landmarks),
        control=shown.control.flatten(0, 1),
        weight=shown.per_target(torch.where(shown.real, real_weight, 1.0)),
    )


class DiscriminatorStep(nn.Module):
    """Real and generated views in one pass."""

    def __init__(self, discriminators: Discriminators):
        super().__init__()
        self.discriminators = discriminators

    def forward(
        self, real: dict[str, Tensor], fake: dict[str, Tensor], source: dict[str, Tensor], control: Tensor
    ) -> tuple[dict[str, DiscriminatorOutput], dict[str, DiscriminatorOutput]]:
        """Outputs on the real and on the generated views."""
        both = {name: torch.cat([real[name], fake[name]]) for name in real}
        sources = {name: torch.cat([view, view]) for name, view in source.items()}
        outputs = self.discriminators(both, sources, torch.cat([control, control]))
        halves = {name: (_half(output, 0), _half(output, 1)) for name, output in outputs.items()}
        return {name: pair[0] for name, pair in halves.items()}, {name: pair[1] for name, pair in halves.items()}


def _half(output: DiscriminatorOutput, index: int) -> DiscriminatorOutput:
    return DiscriminatorOutput(output.logits.chunk(2)[index], [feature.chunk(2)[index] for feature in output.features])


def discriminator_loss(
    step: nn.Module, seen: DiscriminatorInput, *, r1: float, autocast: bool
) -> tuple[Tensor, dict[str, Tensor], dict[str, DiscriminatorOutput]]:
    """Loss of the discriminators, its parts for the log, and the outputs on the real views.

    ``r1`` is the weight of the gradient penalty in this step; 0: none.
    """
    device = seen.control.device.type
    real = {name: view.detach().requires_grad_(r1 > 0) for name, view in seen.real.items()}
    fake = {name: view.detach() for name, view in seen.fake.items()}
    with torch.autocast(device, torch.bfloat16, enabled=autocast and r1 == 0):
        on_real, on_fake = step(real, fake, seen.source, seen.control)
    hinge = adversarial.discriminator_hinge(on_real, on_fake, seen.weight)
    accuracy = {f"{name}_accuracy": share for name, share in adversarial.accuracy(on_real, on_fake).items()}
    parts = {"discriminator": hinge.detach(), **accuracy}
    loss = hinge
    if r1 > 0:
        penalty = adversarial.r1_penalty(on_real, real)
        parts["r1"] = penalty.detach()
        loss = loss + r1 * penalty
    return loss, parts, on_real


def adversarial_terms(
    discriminators: Discriminators, seen: DiscriminatorInput, on_real: dict[str, DiscriminatorOutput], *, autocast: bool
) -> dict[str, Tensor]:
    """The unweighted terms by which the discriminators, held fixed, train the generator."""
    discriminators.requires_grad_(False)
    with torch.autocast(seen.control.device.type, torch.bfloat16, enabled=autocast):
        on_fake = discriminators(seen.fake, seen.source, seen.control)
    discriminators.requires_grad_(True)
    return {
        "adversarial": adversarial.generator_hinge(on_fake),
        "feature_matching": adversarial.feature_matching(on_real, on_fake),
    }
