"""Discriminators of the whole face and of the places where the eye looks first (local discriminators).

Each is a small patch discriminator (Isola et al., CVPR 2017), told the photo and the requested control vector by
projection (Miyato & Koyama, ICLR 2018).
"""

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.models.generator import resize


@dataclass(frozen=True)
class LandmarkRegion:
    """A rectangle that follows landmarks: where a local discriminator looks."""

    first: int
    last: int
    """Range of iBUG-68 landmarks, ``last`` excluded."""
    height: int
    width: int
    """Size of the patch, px."""
    margin: float
    """Width of the rectangle over the width of the landmarks."""


REGIONS = {
    "mouth": LandmarkRegion(48, 68, height=64, width=96, margin=1.5),
    "eyes": LandmarkRegion(17, 48, height=64, width=128, margin=1.15),
}
"""The eyes' region takes in the brows and the nose's bridge: landmarks 17–47."""


@dataclass
class DiscriminatorOutput:
    """``logits`` (B, 1, h, w), larger is more real; ``features`` of every layer, for feature matching."""

    logits: Tensor
    features: list[Tensor]


class PatchDiscriminator(nn.Module):
    """Strided convolutions without normalisation (R1 or spectral norm keeps them stable)."""

    def __init__(self, *, controls: int, widths: tuple[int, ...] = (32, 64, 128, 128), spectral_norm: bool = False):
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm if spectral_norm else (lambda layer: layer)
        channels = (6, *widths)
        self.layers = nn.ModuleList(
            norm(nn.Conv2d(shallow, deep, 4, 2, 1)) for shallow, deep in itertools.pairwise(channels)
        )
        self.mix = norm(nn.Conv2d(widths[-1], widths[-1], 3, 1, 1))
        self.to_logits = norm(nn.Conv2d(widths[-1], 1, 1))
        self.project = nn.Linear(controls, widths[-1], bias=False)

    def forward(self, frames: Tensor, source: Tensor, control: Tensor) -> DiscriminatorOutput:
        """frames, source (B, 3, H, W) in [-1, 1]; control (B, E)."""
        hidden, features = torch.cat([frames, source], 1), []
        for layer in (*self.layers, self.mix):
            hidden = F.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        projected = (hidden * self.project(control)[:, :, None, None]).mean(1, keepdim=True)
        return DiscriminatorOutput(self.to_logits(hidden) + projected, features)


class Discriminators(nn.Module):
    """One discriminator for the face and one for every region, by name."""

    def __init__(
        self,
        *,
        controls: int,
        regions: tuple[str, ...] = ("mouth", "eyes"),
        face_px: int = 128,
        spectral_norm: bool = False,
    ):
        super().__init__()
        self.face_px = face_px
        self.discriminators = nn.ModuleDict(
            {name: PatchDiscriminator(controls=controls, spectral_norm=spectral_norm) for name in ("face", *regions)}
        )

    def views(self, images: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """What each judge sees of images (B, 3, N, N): the shrunken face, and patches that follow landmarks.

        landmarks (B, 68, 2) in crop widths; take those of the real frame for the real and the generated one alike.
        """
        return {
            name: resize(images, (self.face_px, self.face_px))
            if name == "face"
            else region_patch(images, landmarks, REGIONS[name])
            for name in self.discriminators
        }

    def forward(
        self, frames: dict[str, Tensor], source: dict[str, Tensor], control: Tensor
    ) -> dict[str, DiscriminatorOutput]:
        """Outputs on the views of frames, each beside the same view of the photo."""
        return {name: judge(frames[name], source[name], control) for name, judge in self.discriminators.items()}


def region_patch(images: Tensor, landmarks: Tensor, region: LandmarkRegion) -> Tensor:
    """Upright patch (B, 3, region.height, region.width) of images (B, 3, N, N) around its landmarks (B, 68, 2)."""
    points = landmarks[:, region.first : region.last]
    low, high = points.amin(1), points.amax(1)
    centre = (low + high) / 2
    width = (high - low)[:, :1] * region.margin
    half = torch.cat([width, width * region.height / region.width], 1) / 2
    x = torch.linspace(-1, 1, region.width, device=images.device)
    y = torch.linspace(-1, 1, region.height, device=images.device)
    unit = torch.stack([x.expand(region.height, region.width), y[:, None].expand(region.height, region.width)], -1)
    grid = 2 * (centre[:, None, None] + unit * half[:, None, None]) - 1
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
