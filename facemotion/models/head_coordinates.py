"""What the generator is told about a photo beside its pixels: where on the head each pixel lies."""

from __future__ import annotations

import numpy as np

from facemotion.head.rasteriser import HIDDEN, rasterise
from facemotion.head.rig import Rig

_CENTRE = np.array([0.0, 0.0, 5.0], np.float32)
_REACH = np.array([8.0, 12.0, 9.0], np.float32)
"""cm: coordinates of the face are brought to about -1 … 1."""
NOWHERE = -2.0
"""Coordinate of pixels that show no part of the head."""


def head_coordinates(rig: Rig, size_px: int) -> np.ndarray:
    """(size_px, size_px, 3) float32: for each pixel of the crop, the place on the mean neutral head that it shows.

    After "normalised object coordinates" (Wang et al., CVPR 2019). `NOWHERE` beside the head and in the openings of
    eyes and mouth.
    """
    ratio = size_px / rig.size_px
    points = rig.source * np.float32(ratio)
    points[:, :2] += 0.5 * ratio - 0.5
    places = (rig.head.vertices - _CENTRE) / _REACH
    depth, values = rasterise(points, rig.head.triangles, places, size=(size_px, size_px))
    return np.where((depth > HIDDEN)[..., None], values, np.float32(NOWHERE))
