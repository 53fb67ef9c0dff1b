"""Where closed lips meet in a photo: along the darkest line between them, which landmarks miss by a pixel or two.

They lie below it on nearly all of 126 neutral photos (0.009 distances of the outer eye corners, all along the mouth):
an upper lip that rises from there takes the bright rim of the lower one along.
"""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.head.rig import LOWER_LIP, UPPER_LIP, Rig
from facemotion.rendering.light import LUMA

_CLOSED = 0.025
"""Opening of the lips, in distances of the outer eye corners, up to which they count as closed."""
_REACH = 0.03
"""How far from the landmarks the line is looked for, in the same measure."""
_USUAL, _DOUBT = -0.009, 0.25
"""Where it usually lies; and how much darker, in log luminance, a line at the end of the reach has to be than there."""
_COLUMNS = np.linspace(-0.8, 0.8, 33)
"""Where it is looked for, from corner to corner (-1 to 1)."""
_STEPS = 21


def on_lip_line(rig: Rig, image: np.ndarray) -> Rig:
    """The rig with its closed lips on the line where the photo shows them to meet; as it is where they are open.

    image: (N, N, 3) float32 RGB in [0, 1], the crop on which the rig lies.
    """
    upper, lower = (rig.landmarks[list(lip)] for lip in (UPPER_LIP, LOWER_LIP))
    if np.abs(lower - upper)[:, 1].max() > _CLOSED * rig.eye_px:
        return rig
    middle, half = (upper[0] + upper[-1]) / 2, (upper[-1] - upper[0]) / 2
    if half[0] < 0.05 * rig.eye_px:  # of a profile too little is seen
        return rig
    along = (upper[:, 0] + lower[:, 0]) / 2
    between = (upper[:, 1] + lower[:, 1]) / 2
    x = (middle[0] + _COLUMNS * half[0]).astype(np.float32)
    away = np.linspace(-_REACH, _REACH, _STEPS)
    y = np.interp(x, along, between) + away[:, None] * rig.eye_px
    luminance = cv2.remap(image, np.broadcast_to(x, y.shape), y.astype(np.float32), cv2.INTER_LINEAR) @ LUMA
    darkness = cv2.GaussianBlur(np.log(np.maximum(luminance, 0.02)), (0, 0), 1.0)
    cost = darkness + _DOUBT * ((away - _USUAL) / _REACH)[:, None] ** 2
    found = away[np.argmin(cost, axis=0)]
    line = np.polynomial.Polynomial.fit(_COLUMNS, cv2.medianBlur(found.astype(np.float32)[None], 5)[0], 2)
    at = np.clip((along - middle[0]) / half[0], _COLUMNS[0], _COLUMNS[-1])
    return rig.with_lips_lower(np.clip(line(at), -_REACH, _REACH) * rig.eye_px)
