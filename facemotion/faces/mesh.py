"""Which of the 478 points of MediaPipe's face mesh are what."""

import numpy as np

_JAW = (127, 234, 93, 132, 58, 172, 136, 150, 152, 379, 365, 397, 288, 361, 323, 454, 356)
_BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
_NOSE = (168, 197, 5, 4, 98, 97, 2, 326, 327)
_EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
_OUTER_LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181)
_INNER_LIPS = (78, 82, 13, 312, 308, 317, 14, 87)

MESH_TO_IBUG = np.array((*_JAW, *_BROWS, *_NOSE, *_EYES, *_OUTER_LIPS, *_INNER_LIPS))
"""The iBUG-68 points among the 478."""

EYE_CORNERS = {"left": (263, 362), "right": (33, 133)}
"""Outer and inner corner of the person's eyes."""

IRIS_CENTRES = {"left": 473, "right": 468}
