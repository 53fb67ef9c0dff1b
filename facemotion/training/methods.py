"""What the presets differ in: the generator, and the losses of a step beside those of the discriminators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.models.compositor import face_view, patch_view, sampled
from facemotion.models.generator import CorrectionMaps, Generator
from facemotion.models.paper_generator import PaperFrames, PaperGenerator
from facemotion.training.config import CorrectionTrainConfig, PaperTrainConfig
from facemotion.training.data import SampleBatch
from facemotion.training.losses import (
    VIEW_SHARE,
    FeatureDistance,
    Views,
    pixel_loss,
    restraint,
    views_of,
    weighed,
)

EYE_PX, MOUTH_PX = (56, 80), (80, 160)
"""(height, width) of the views in which whole frames are compared."""


class Method(Protocol):
    """One preset."""

    @property
    def generator(self) -> Generator | PaperGenerator:
        """What is trained."""

    def terms(
        self, generate: Callable, batch: SampleBatch, *, step: int, autocast: bool
    ) -> tuple[dict[str, Tensor], Views]:
        """The weighted losses of a batch by name, and the views that discriminators see.

        generate: the generator, perhaps wrapped for several processes.
        """


class CorrectionMethod:
    """The generator that corrects the renderer's frames."""

    def __init__(self, config: CorrectionTrainConfig, device: torch.device):
        self.config = config
        self.generator = Generator(config.generator)
        self._perceptual = FeatureDistance().to(device) if config.perceptual else None

    def terms(
        self, generate: Callable, batch: SampleBatch, *, step: int, autocast: bool
    ) -> tuple[dict[str, Tensor], Views]:
        config, device = self.config, batch.photo.device.type
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            correction: CorrectionMaps = generate(
                batch.photo, batch.coordinates, batch.own, batch.control, batch.rendered
            )
        views = views_of(correction, batch, config)
        terms = {"pixels": config.pixels * pixel_loss(views)}
        if self._perceptual is not None and step % config.perceptual_every == 0:
            with torch.autocast(device, torch.bfloat16, enabled=autocast):
                total = torch.stack(
                    [
                        VIEW_SHARE[name] * self._perceptual(view, views.target[name], views.weight[name])
                        for name, view in views.generated.items()
                    ]
                ).sum()
            terms["perceptual"] = config.perceptual * config.perceptual_every * total
        displaced = (correction.landmarks - batch.displacement).abs().mean()
        terms["landmarks"] = config.landmarks * displaced
        roughness, excess = restraint(correction, batch.mask, config)
        terms["smoothness"], terms["restraint"] = config.smoothness * roughness, config.restraint * excess
        return terms, views


class PaperMethod:
    """The paper's generator: L1 and the discriminators, landmarks, temporal continuity, and ``f(I, 0) = I``."""

    def __init__(self, config: PaperTrainConfig, device: torch.device):
        self.config = config
        self.generator = PaperGenerator(config.generator)

    def terms(
        self, generate: Callable, batch: SampleBatch, *, step: int, autocast: bool
    ) -> tuple[dict[str, Tensor], Views]:
        config, control = self.config, batch.control
        controls = torch.stack([control, (1 - config.temporal_step) * control, torch.zeros_like(control)], 1)
        with torch.autocast(batch.photo.device.type, torch.bfloat16, enabled=autocast):
            frames: PaperFrames = generate(batch.photo, controls)
        at_control, just_before, at_zero = frames.images.unbind(1)
        views = views_of_frames(at_control, batch, config)
        own = batch.source_landmarks[:, list(FROM_FACE_MESH)]
        places = torch.stack([batch.rendered.landmarks[:, list(FROM_FACE_MESH)] + batch.displacement, own], 1)
        return {
            "pixels": config.pixels * pixel_loss(views),
            "identity": config.identity * (at_zero - batch.photo).abs().mean(),
            "landmarks": config.landmarks * (frames.landmarks[:, ::2] - places).abs().mean(),
            "temporal": config.temporal * (at_control - just_before).abs().mean(),
        }, views


def method_of(config: CorrectionTrainConfig | PaperTrainConfig, device: torch.device) -> Method:
    """The method of a configuration."""
    if isinstance(config, PaperTrainConfig):
        return PaperMethod(config, device)
    return CorrectionMethod(config, device)


def grids_of(batch: SampleBatch, face_px: int) -> dict[str, list[Tensor]]:
    """Where face, mouth and both eyes (the right one mirrored) lie in the frames of a batch: (B, h, w, 2) each."""
    points, distance = batch.rendered.landmarks, batch.rendered.eye_distance
    left, right = (patch_view(name, points, distance, EYE_PX).grid for name in ("eye_left", "eye_right"))
    return {
        "face": [face_view(points, distance, face_px)],
        "mouth": [patch_view("mouth", points, distance, MOUTH_PX).grid],
        "eye": [left, right.flip(2)],
    }


def views_of_frames(frames: Tensor, batch: SampleBatch, config: PaperTrainConfig) -> Views:
    """The views of whole frames (B, 3, n, n), which matter more where the target differs from the photo."""
    grids = grids_of(batch, config.face_px)

    def seen(maps: Tensor) -> dict[str, Tensor]:
        return {name: torch.cat([sampled(maps, grid) for grid in parts]) for name, parts in grids.items()}

    with torch.no_grad():
        target, mask, photo = seen(batch.target), seen(batch.mask), seen(batch.photo)
        weight = {name: weighed(mask[name], target[name] - photo[name], config.emphasis) for name in target}
    return Views(seen(frames), target, weight, mask, photo)
