"""Which way a head is turned, from its 68 landmarks."""

from __future__ import annotations

import math

import numpy as np

_RIGID = (*range(17, 48), 48, 54)
"""Landmarks that expressions move least, and that lie on the same spot of the head however it is turned."""

# Mean of 130 neutral frontal faces at those landmarks: x right, y down, z away from the camera, in eye distances.
_MEAN_FACE = np.array(
    [
        (-0.902, -0.804, 0.044),
        (-0.807, -0.891, -0.092),
        (-0.656, -0.937, -0.200),
        (-0.458, -0.923, -0.293),
        (-0.231, -0.891, -0.340),
        (0.231, -0.891, -0.340),
        (0.458, -0.923, -0.293),
        (0.656, -0.937, -0.200),
        (0.807, -0.891, -0.092),
        (0.902, -0.804, 0.044),
        (0.000, -0.625, -0.317),
        (0.000, -0.392, -0.460),
        (0.000, -0.166, -0.630),
        (0.000, -0.027, -0.665),
        (-0.259, 0.136, -0.255),
        (-0.117, 0.162, -0.357),
        (0.000, 0.166, -0.383),
        (0.117, 0.162, -0.357),
        (0.259, 0.136, -0.255),
        (-0.698, -0.568, 0.033),
        (-0.602, -0.627, -0.078),
        (-0.439, -0.639, -0.106),
        (-0.264, -0.536, -0.050),
        (-0.419, -0.503, -0.083),
        (-0.578, -0.502, -0.054),
        (0.264, -0.536, -0.050),
        (0.439, -0.639, -0.106),
        (0.602, -0.627, -0.078),
        (0.698, -0.568, 0.033),
        (0.578, -0.502, -0.054),
        (0.419, -0.503, -0.083),
        (-0.381, 0.513, -0.085),
        (0.381, 0.513, -0.085),
    ]
)
_ITERATIONS = 40


def head_pose(landmarks: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a head in degrees, by fitting a mean face under scaled orthography.

    yaw > 0: the person looks to the right of the image; pitch > 0: up; roll > 0: the head leans clockwise as seen in
    the image; yaw and pitch are those left once the roll is undone. As faces differ, the absolute pitch is known to
    some 5 degrees only.

    landmarks: (68, 2) px. The fit alternates depths from the rotation and the rotation from the depths
    (orthogonal Procrustes; DeMenthon & Davis 1995 do the same for perspective).
    """
    model = _MEAN_FACE - _MEAN_FACE.mean(axis=0)
    seen = np.asarray(landmarks, dtype=np.float64)[list(_RIGID)]
    seen = seen - seen.mean(axis=0)
    rotation = np.eye(3)
    u, _, vt = np.linalg.svd(seen.T @ model[:, :2])
    rotation[:2, :2] = u @ np.diag([1, np.linalg.det(u @ vt)]) @ vt
    for _ in range(_ITERATIONS):
        turned = model @ rotation.T
        scale = (seen * turned[:, :2]).sum() / max((turned[:, :2] ** 2).sum(), 1e-12)
        lifted = np.column_stack([seen / scale if scale else seen, turned[:, 2]])
        u, _, vt = np.linalg.svd(lifted.T @ model)
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    roll = math.atan2(rotation[1, 0], rotation[0, 0])
    x, y, z = -rotation[:, 2]  # where the nose points
    across, down = x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll)
    yaw, pitch = math.atan2(across, -z), math.asin(min(1.0, max(-1.0, -down)))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
