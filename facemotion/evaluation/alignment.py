"""Similarities between faces by their landmarks: one head laid on another, and the pose that recognisers expect."""

from __future__ import annotations

import numpy as np

from facemotion.evaluation.regions import ANCHORS, RIGID
from facemotion.faces.geometry import fitted_similarity, warp_crop

RECOGNISER_PX = 112
RECOGNISER_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, tip of the nose and corners of the mouth lie in the 112 px faces of ArcFace, SFace and their kin."""


def head_similarity(landmarks: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`fitted_similarity` over what no expression moves: corners of the eyes, temples, bridge of the nose; (68, 2)."""
    points = list(ANCHORS + RIGID)
    return fitted_similarity(landmarks[points], target[points])


def recogniser_face(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The face of an RGB uint8 frame as recognisers want it: uint8 (112, 112, 3), eyes and mouth in fixed places."""
    corners = landmarks[[48, 54]]
    points = np.stack([landmarks[36:42].mean(0), landmarks[42:48].mean(0), landmarks[30], *corners])
    return warp_crop(frame, fitted_similarity(points, RECOGNISER_POINTS), RECOGNISER_PX)
