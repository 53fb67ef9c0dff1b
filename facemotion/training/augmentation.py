"""Samples that differ from those in the file: mirrored, moved a little, in other light and colours, some grey.

Everything is changed alike in photo, target and maps, so that what is to be learnt stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facemotion.datasets.samples import IMAGES, MAPS, POINTS
from facemotion.head.mirror import mirrored_landmarks, mirrored_units
from facemotion.models.compositor import whole_grid
from facemotion.models.head_coordinates import NOWHERE
from facemotion.rendering.light import LUMA


@dataclass(frozen=True)
class Augmentation:
    """What happens to one sample."""

    mirror: bool
    gamma: float
    gain: np.ndarray
    """(3,) of the channels, after gamma."""
    grey: bool
    similarity: np.ndarray
    """(2, 3) float32 from places in the changed crop to those in the sample's, crop widths."""

    @classmethod
    def drawn(cls, generator: np.random.Generator, jitter: float) -> Augmentation:
        """Mirrored half the time, 8 % grey. jitter: standard deviation of turn (radians), log size and shift (crop
        widths)."""
        mirror = bool(generator.random() < 0.5)
        gamma = float(np.exp(generator.normal(0, 0.15)))
        gain = np.exp(generator.normal(0, 0.05, 3) + generator.normal(0, 0.08))
        grey = bool(generator.random() < 0.08)
        turn, size, *shift = (jitter * generator.standard_normal(4)).tolist()
        linear = np.exp(size) * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        offset = 0.5 + np.array(shift) - linear @ (0.5, 0.5)
        return cls(mirror, gamma, gain, grey, np.column_stack([linear, offset]).astype(np.float32))


def augmented(arrays: dict[str, Tensor], changes: Sequence[Augmentation]) -> dict[str, Tensor]:
    """Stacked samples (see `facemotion.training.data.StackedSamples`), each changed in its own way; images are then
    float32 in [0, 255]."""
    device = arrays["source"].device
    rows = torch.tensor([change.mirror for change in changes], device=device)
    arrays = _chosen(rows, mirrored(arrays), arrays) if any(change.mirror for change in changes) else dict(arrays)
    at = torch.from_numpy(np.stack([change.similarity for change in changes])).to(device)
    if any(not np.array_equal(change.similarity, np.eye(2, 3)) for change in changes):
        arrays = moved(arrays, at)
    gamma = torch.tensor([change.gamma for change in changes], device=device)[:, None, None, None]
    gain = torch.from_numpy(np.stack([change.gain for change in changes]).astype(np.float32)).to(device)[:, None, None]
    grey = torch.tensor([change.grey for change in changes], device=device)[:, None, None, None]
    for name in ("source", "target", "layers"):
        image = arrays[name].float()
        colour = (255 * (image[..., :3] / 255) ** gamma * gain).clamp(max=255)
        luma = (colour @ torch.from_numpy(LUMA).to(device))[..., None]
        arrays[name] = torch.cat([torch.where(grey, luma, colour), image[..., 3:]], -1)
    return arrays


def _chosen(rows: Tensor, these: dict[str, Tensor], others: dict[str, Tensor]) -> dict[str, Tensor]:
    """In ``rows`` (B,) bool ``these``, elsewhere the others."""
    return {
        name: torch.where(rows.reshape(-1, *[1] * (array.ndim - 1)), these[name], array)
        for name, array in others.items()
    }


def mirrored(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stacked samples in the mirror."""
    device = arrays["source"].device
    units, landmarks = (torch.from_numpy(index).to(device) for index in (mirrored_units(), mirrored_landmarks()))
    other = {name: arrays[name].flip(2) for name in (*IMAGES, *MAPS)}
    other["flow"] = other["flow"] * torch.tensor([-1, 1], dtype=other["flow"].dtype, device=device)
    places = other["coordinates"]
    across = torch.where(places[..., :1] > NOWHERE + 0.5, -places[..., :1], places[..., :1])
    other["coordinates"] = torch.cat([across, places[..., 1:]], -1)
    for name in POINTS:
        points = arrays[name][:, landmarks]
        other[name] = torch.stack([1 - points[..., 0], points[..., 1]], -1)
    return other | {name: arrays[name][:, units] for name in ("control", "own")}


def moved(arrays: dict[str, Tensor], similarity: Tensor) -> dict[str, Tensor]:
    """Stacked samples seen through crops that lie elsewhere. similarity: (B, 2, 3) from places in the new crop to
    those in the old, crop widths. What is beyond the old crop repeats its border and is no known target."""
    linear, offset = similarity[..., :2], similarity[..., 2]
    inverse = torch.linalg.inv(linear)
    other = dict(arrays)
    for name in (*IMAGES, *MAPS):
        maps = channels_first(arrays[name])
        grid = whole_grid(maps.shape[-1], len(maps), maps.device)
        at = torch.einsum("bij,bhwj->bhwi", linear, grid) + offset[:, None, None]
        seen = F.grid_sample(
            maps,
            2 * at - 1,
            mode="nearest" if name == "coordinates" else "bilinear",
            padding_mode="zeros" if name == "mask" else "border",
            align_corners=False,
        )
        if name == "flow":
            seen = torch.einsum("bij,bjhw->bihw", inverse, seen)
        other[name] = seen.permute(0, 2, 3, 1) if arrays[name].ndim == 4 else seen[:, 0]
    for name in POINTS:
        other[name] = torch.einsum("bij,bnj->bni", inverse, arrays[name] - offset[:, None])
    return other


def channels_first(images: Tensor) -> Tensor:
    """Images or maps (B, n, n, C) or (B, n, n) as float32 (B, C, n, n)."""
    return images.float().permute(0, 3, 1, 2) if images.ndim == 4 else images.float()[:, None]
