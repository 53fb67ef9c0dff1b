"""Frames of the generator for one photo, the two trivial answers beside them, and the size of what was run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from facemotion.model.generator import resize

if TYPE_CHECKING:
    from facemotion.model.generator import Encoding, Generator, Motion

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


class Performer:
    """A generator with one photo's crop: encoded once, rendered at as many controls as wanted.

    source: uint8 (N, N, 3) RGB crop.
    """

    def __init__(self, generator: Generator, source: np.ndarray):
        self.generator = generator
        self.device = next(generator.parameters()).device
        self.source = to_signed(source).to(self.device)
        size = generator.config.input_px
        with torch.inference_mode():
            self.encoding: Encoding = generator.encode(resize(self.source, (size, size)))

    def render(self, controls: Tensor, *, warped: bool = False) -> Rendered:
        """Frames at the control vectors ``controls`` (T, E)."""
        frames, moved, flows = [], [], []
        with torch.inference_mode():
            for some in controls.to(self.device).split(FRAMES_AT_ONCE):
                motion = self.generator.decode(self.encoding, some)
                frames.append(to_uint8(self.generator.compose(self.source, motion)))
                flows.append(motion.flow.cpu())
                if warped:
                    moved.append(to_uint8(self.generator.compose(self.source, warp_only(motion))))
        return Rendered(np.concatenate(frames), np.concatenate(moved) if warped else None, torch.cat(flows))


def warp_only(motion: Motion) -> Motion:
    """The same motion with nothing painted and nothing shaded."""
    return replace(motion, mask=torch.zeros_like(motion.mask), shade=torch.zeros_like(motion.shade))


def motion_maps(motion: Motion) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Flow (h, w, 2), shade (h, w), mask (P, P) and colour (P, P, 3) of each frame, as the composite takes them."""
    maps = (motion.flow, motion.shade[:, 0], motion.mask[:, 0], motion.colour)
    arrays = [x.cpu().movedim(1, -1).numpy() if x.ndim == 4 else x.cpu().numpy() for x in maps]
    return list(zip(*arrays, strict=True))


def control_vectors(expression: dict[str, float], values: Sequence[float], names: Sequence[str]) -> Tensor:
    """Control vectors (T, E) that run through ``expression`` (weights at 1) at the control values (T,)."""
    peak = torch.tensor([expression.get(name, 0.0) for name in names])
    return torch.as_tensor(np.asarray(values, np.float32))[:, None] * peak


def to_signed(image: np.ndarray) -> Tensor:
    """RGB uint8 (N, N, 3) -> float (1, 3, N, N) in [-1, 1]."""
    return torch.tensor(image).permute(2, 0, 1)[None].float() / 127.5 - 1


def to_uint8(frames: Tensor) -> np.ndarray:
    """Float (T, 3, N, N) in [-1, 1] -> RGB uint8 (T, N, N, 3)."""
    return ((frames + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
