"""Make the bank of teeth in the package from photographed smiles of people who are trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from facemotion.rendering.light import LUMA
from facemotion.synthetic.mouths import Mouth

_SOFT_PX = 3


def teeth_alone(mouth: Mouth) -> np.ndarray:
    """The mouth's image with everything but its upper teeth replaced by the nearest tooth of the same column."""
    known = np.isfinite(mouth.edge) & np.isfinite(mouth.top)
    columns = np.arange(mouth.image.shape[1])
    top, edge = (np.interp(columns, columns[known], line[known]) for line in (mouth.top, mouth.edge))
    rows = np.arange(mouth.image.shape[0])[:, None]
    rows = np.clip(rows, top + _SOFT_PX, np.maximum(edge - 1, top + _SOFT_PX + 1)).astype(np.float32)
    first, last = columns[known][[0, -1]]
    across = np.broadcast_to(np.clip(columns, first + 2, last - 2), rows.shape).astype(np.float32)
    return cv2.remap(mouth.image, across, rows, cv2.INTER_CUBIC)


def save_bank(mouths: Iterable[Mouth], out: Path) -> int:
    """Write the bank; returns how many donors it holds."""
    mouths = list(mouths)
    strip = np.concatenate([np.round(np.clip(teeth_alone(mouth), 0, 1) * 255).astype(np.uint8) for mouth in mouths])
    _, images = cv2.imencode(".jpg", strip[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])
    top, edge = np.stack([m.top for m in mouths]), np.stack([m.edge for m in mouths])
    skin, white = np.array([m.skin @ LUMA for m in mouths]), np.array([m.white for m in mouths])
    half = np.float16
    with open(out, "wb") as file:
        np.savez_compressed(
            file,
            images=images.ravel(),
            top=top.astype(half),
            edge=edge.astype(half),
            skin=skin.astype(half),
            white=white.astype(half),
        )
    return len(mouths)
