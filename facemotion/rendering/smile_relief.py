"""How smiles shade skin, as photographs show it, laid to one photo.

The map holds, in the head's own plane, by how much real smiles are lighter or darker in each place of the skin than
the frames that motion, light and network alone make of the neutral photo. Folds that a photo shows are deepened where
smiles are dark, since those of most people lie there already. `facemotion.datasets.smile_relief` makes the map.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import cv2
import numpy as np

from facemotion.head.rasteriser import HIDDEN, rasterise
from facemotion.head.rig import Rig
from facemotion.rendering.light import on_skin, smooth

PX_PER_CM = 24
WIDTH_CM, TOP_CM, BOTTOM_CM = 13.0, 9.0, -8.0
"""The part of the head's plane that the map shows: its width about the middle, and its upper and lower end."""
LEVELS = 160.0
"""Levels of the stored map per log-gain of 1; 128 is none."""
_SIDES_CM = 1.0
"""Half the width about the middle of the face in which both halves of a smile count."""
_DEEPENED, _FULL = 1.6, 0.25
"""How much of a photo's own dark relief a smile of 1 adds to it, where the map is as dark as the second."""
_FINE_CM, _COARSE_CM = 0.05, 0.3
"""Sizes between which relief is a fold."""
_DEEPEST = -0.5
_STRENGTHS = -0.55, 1.0
"""Strengths of ``mouthSmile`` beyond which the map says nothing."""
_DARKEST = 1e-3


@cache
def smile_relief() -> np.ndarray:
    """(408, 312) float32 log-gain of linear light per ``mouthSmile``, `PX_PER_CM` to the cm."""
    with (files("facemotion") / "assets" / "smile_relief.npz").open("rb") as file, np.load(file) as arrays:
        half = arrays["levels"].astype(np.float32)
    return (np.hstack([half, half[:, ::-1]]) - 128) / LEVELS


def in_plane(vertices: np.ndarray) -> np.ndarray:
    """(V, 2) float32 px of the map at which vertices (V, 3) cm of the neutral head lie."""
    x, y = vertices[:, 0] + WIDTH_CM / 2, TOP_CM - vertices[:, 1]
    return (np.column_stack([x, y]) * PX_PER_CM - 0.5).astype(np.float32)


class SmileRelief:
    """The relief of one photo's smile, as maps of log-gain in its crop."""

    def __init__(self, rig: Rig, likeness: np.ndarray, luminance: np.ndarray):
        """likeness: (n, n) in [0, 1], where the crop looks like the face's skin. luminance: (n, n), in linear light."""
        size_px = luminance.shape[0]
        ratio = size_px / rig.size_px
        points = rig.source.copy()
        points[:, :2] = (points[:, :2] + 0.5) * ratio - 0.5
        depth, place = rasterise(points, rig.head.triangles, in_plane(rig.head.vertices), size=(size_px, size_px))
        seen = (depth > HIDDEN).astype(np.float32)
        place = place.astype(np.float32)
        relief = cv2.remap(smile_relief(), place, None, cv2.INTER_LINEAR)
        relief = smooth(relief * seen, 0.7) * on_skin(likeness)
        cm = rig.fit.scale * ratio
        log_luminance = np.log(np.maximum(luminance, _DARKEST))
        own = smooth(log_luminance, max(0.5, _FINE_CM * cm)) - smooth(log_luminance, _COARSE_CM * cm)
        own = np.clip(own, _DEEPEST, 0) * _DEEPENED * np.clip(-smooth(relief, 0.15 * cm) / _FULL, 0, 1)
        across = np.clip((place[..., 0] / PX_PER_CM - WIDTH_CM / 2) / (2 * _SIDES_CM) + 0.5, 0, 1)
        both = np.stack([relief, own])
        self._of_side = {"Left": both * across, "Right": both * (1 - across)}
        self._index = {side: rig.head.unit_index[f"mouthSmile{side}"] for side in ("Left", "Right")}

    def log_gain(self, control: np.ndarray) -> np.ndarray | None:
        """(n, n) log-gain, in the photo's own place, at a control (U,); None where it does not smile."""
        total = None
        for side, (relief, own) in self._of_side.items():
            smile = float(np.clip(control[self._index[side]], *_STRENGTHS))
            if smile:
                part = smile * relief + max(smile, 0.0) * own
                total = part if total is None else total + part
        return total
