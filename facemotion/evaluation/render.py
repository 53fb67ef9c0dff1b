"""Frames of the generator for one photo, the two trivial answers beside them, and the size of what was run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from facemotion.compositing.composite import Composite
from facemotion.faces.geometry import apply

if TYPE_CHECKING:
    from facemotion.models.generator import Encoding, Generator, Motion

FRAMES_AT_ONCE = 4


@dataclass
class Rendered:
    """Frames at T controls. ``frames`` and ``warped`` are uint8 (T, N, N, 3) RGB; ``flow`` (T, 2, h, w) crop widths.

    ``warped`` is the photo moved by the generator's flow alone, without mask and shade; None where it was not asked
    for. A generator of the preset ``paper`` has no flow: its ``warped`` is the photo.
    """

    frames: np.ndarray
    warped: np.ndarray | None
    flow: Tensor


class CaseRenderer:
    """A generator with one photo's crop: encoded once, rendered at as many controls as wanted.

    source: uint8 (N, N, 3) RGB crop; landmarks: (68, 2) px of its face. Frames are put together as in a clip of
    ``facemotion animate``.
    """

    def __init__(self, generator: Generator, source: np.ndarray, landmarks: np.ndarray):
        self.generator = generator
        self.composite = Composite(source, landmarks, len(source))
        self.device = next(generator.parameters()).device
        with torch.inference_mode():
            seen = to_signed(self.composite.crop(generator.config.input_px)).to(self.device)
            self.encoding: Encoding = generator.encode(seen)

    def in_crop(self, points: np.ndarray) -> np.ndarray:
        """Points px of the source in widths of the crop that the generator saw."""
        return (apply(self.composite.photo_to_crop, points) + 0.5) / self.composite.crop_px

    def render(self, controls: Tensor, *, warped: bool = False) -> Rendered:
        """Frames at the control vectors ``controls`` (T, E)."""
        frames, moved, flows = [], [], []
        with torch.inference_mode():
            for some in controls.to(self.device).split(FRAMES_AT_ONCE):
                motion = self.generator.decode(self.encoding, some)
                frames += self._composed(motion)
                flows.append(motion.flow.cpu())
                if warped:
                    moved += self._composed(warp_only(motion))
        return Rendered(np.stack(frames), np.stack(moved) if warped else None, torch.cat(flows))

    def _composed(self, motion: Motion) -> list[np.ndarray]:
        return [self.composite.frame(*maps) for maps in motion_maps(motion)]


def warp_only(motion: Motion) -> Motion:
    """The same motion with nothing painted and nothing shaded."""
    nothing = torch.zeros_like(motion.mask)
    return replace(motion, mask=nothing, kept=nothing, shade=torch.zeros_like(motion.shade))


def motion_maps(motion: Motion) -> list[tuple[np.ndarray, ...]]:
    """Flow (h, w, 2), shade (k, l), mask (P, P), colour (P, P, 3) and what is kept (P, P) of each frame, as the
    composite takes them."""
    maps = (motion.flow, motion.shade[:, 0], motion.mask[:, 0], motion.colour, motion.kept[:, 0])
    arrays = [x.cpu().movedim(1, -1).numpy() if x.ndim == 4 else x.cpu().numpy() for x in maps]
    return list(zip(*arrays, strict=True))


def control_vectors(expression: dict[str, float], values: Sequence[float] | np.ndarray, names: Sequence[str]) -> Tensor:
    """Control vectors (T, E) that run through ``expression`` (weights at 1) at the control values (T,)."""
    peak = torch.tensor([expression.get(name, 0.0) for name in names])
    return torch.as_tensor(np.asarray(values, np.float32))[:, None] * peak


def to_signed(image: np.ndarray) -> Tensor:
    """RGB uint8 (N, N, 3) -> float (1, 3, N, N) in [-1, 1]."""
    return torch.tensor(image).permute(2, 0, 1)[None].float() / 127.5 - 1
