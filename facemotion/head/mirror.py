"""Which unit and which landmark is which in the mirror."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from facemotion.head.model import load_head


@cache
def mirrored_units() -> np.ndarray:
    """(52,) for each unit the one of the other side, itself where it has none."""
    head = load_head()
    swapped = [name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right") for name in head.unit_names]
    return np.array([head.unit_index[name] for name in swapped])


@cache
def mirrored_landmarks() -> np.ndarray:
    """(468,) for each Face Mesh landmark its counterpart on the other side."""
    head = load_head()
    at = head.vertices[head.landmark_vertices].astype(np.float64)
    at[:, :2] += head.landmark_offsets
    return cKDTree(at).query(at * [-1, 1, 1])[1]
