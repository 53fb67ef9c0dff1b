"""Compiled loops over maps on a CPU, where PyTorch's own take longer."""

from __future__ import annotations

import numpy as np

from facemotion.head.compiled import compiled


@compiled()
def _within(place, size):
    """A place in widths of a map as px of it; no number at all, as of a network gone wrong, is its first pixel."""
    px = place * np.float32(size) - np.float32(0.5)
    if not px > 0:
        return np.float32(0)
    return min(px, np.float32(size - 1))


@compiled()
def sample(maps, at, result):
    """Maps (M, H, W, C) at places (M, h, w, 2) in their widths into (M, h, w, C), bilinearly; borders repeat.

    All float32; as `torch.nn.functional.grid_sample` does it, which is slow where maps have many channels.
    """
    frames, height, width, channels = maps.shape
    for m in range(frames):
        for i in range(at.shape[1]):
            for j in range(at.shape[2]):
                x, y = _within(at[m, i, j, 0], width), _within(at[m, i, j, 1], height)
                left, top = int(x), int(y)
                right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
                across, down = x - np.float32(left), y - np.float32(top)
                share01, share11 = across * (np.float32(1) - down), across * down
                share00, share10 = np.float32(1) - down - share01, down - share11
                for k in range(channels):
                    result[m, i, j, k] = (
                        share00 * maps[m, top, left, k]
                        + share01 * maps[m, top, right, k]
                        + share10 * maps[m, bottom, left, k]
                        + share11 * maps[m, bottom, right, k]
                    )
