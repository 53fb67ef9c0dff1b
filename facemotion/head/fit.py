"""Fit the head to the landmarks of a photo: pose, identity and the photo's own units, in closed form by turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from facemotion.head.model import Head

_IDENTITY_PENALTY = 4e-4
_UNIT_PENALTY = 6e-3
"""Ridge in (cm)², towards the mean head and towards the prior of the units."""
_ITERATIONS = 5
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Face Mesh landmarks of the face's outline, in its order."""
_LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375, 78, 191, 80, 81, 82, 13,
    312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324,
)  # fmt: skip
_EYES = (
    33, 246, 161, 160, 159, 158, 157, 173, 133, 7, 163, 144, 145, 153, 154, 155,
    263, 466, 388, 387, 386, 385, 384, 398, 362, 249, 390, 373, 374, 380, 381, 382,
)  # fmt: skip
_BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 336, 296, 334, 293, 300, 285, 295, 282, 283, 276)
_NOT_FITTED = (
    "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "cheekPuff", "jawForward", "tongueOut", "mouthClose",
)  # fmt: skip
"""Units that these landmarks cannot tell from identity and pose; the landmarker's scores say what is known of them."""


def landmark_weights() -> np.ndarray:
    """(468,) how much each landmark counts in a fit; they sum to 1."""
    weights = np.ones(468)
    for part, weight in ((FACE_OVAL, 0.15), (_LIPS, 4.0), (_EYES, 3.0), (_BROWS, 2.0)):
        weights[list(part)] = weight
    return weights / weights.sum()


@dataclass(frozen=True)
class HeadFit:
    """A head in an image. Camera: ``(x, y) px = shift + scale * rotation[:2] @ vertex``, then y turned down."""

    scale: float
    """px per cm."""
    rotation: np.ndarray
    """(3, 3) from head to camera axes."""
    shift: np.ndarray
    """(2,) px, y up."""
    identity: np.ndarray
    """(I,) standard deviations."""
    units: np.ndarray
    """(U,) the photo's own units in [0, 1]."""
    error: float
    """Root mean square distance of the landmarks from the head, weighted, in distances of the outer eye corners."""


def fit_head(
    landmarks: np.ndarray, head: Head, *, prior: np.ndarray | None = None, identity: np.ndarray | None = None
) -> HeadFit:
    """Fit pose, units and (unless given) identity to Face Mesh landmarks.

    landmarks: (>= 468, 2) px, y down. prior: (U,) units as somebody else measures them, towards which the fit leans
    where landmarks say little; 0 by default. Weak perspective; Gauss-Newton is not needed, since with the rotation
    held the head is linear in all it is fitted by.
    """
    target = np.asarray(landmarks, np.float64)[:468, :2] * [1, -1]
    weight = landmark_weights()
    root = np.sqrt(weight)
    at = head.landmark_vertices
    offsets = np.column_stack([head.landmark_offsets, np.zeros(468)])
    mean = head.vertices[at].astype(np.float64) + offsets
    fitted = np.array([i for i, name in enumerate(head.unit_names) if not name.startswith(_NOT_FITTED)])
    units = head.unit_deltas[fitted][:, at].astype(np.float64)
    shapes = head.identity_deltas[:, at].astype(np.float64)
    before = np.zeros(len(head.unit_names)) if prior is None else np.asarray(prior, np.float64)
    person = np.zeros(len(shapes)) if identity is None else np.asarray(identity, np.float64)
    strengths = before[fitted]
    free = units if identity is not None else np.concatenate([units, shapes])
    start = mean + np.tensordot(person, shapes, 1) if identity is not None else mean
    penalty = np.r_[np.full(len(units), _UNIT_PENALTY), np.full(len(free) - len(units), _IDENTITY_PENALTY)]
    towards = np.r_[before[fitted], np.zeros(len(free) - len(units))]
    low = np.r_[np.zeros(len(units)), np.full(len(free) - len(units), -3.0)]
    high = np.r_[np.ones(len(units)), np.full(len(free) - len(units), 3.0)]
    for _ in range(_ITERATIONS):
        posed = mean + np.tensordot(person, shapes, 1) + np.tensordot(strengths, units, 1)
        scale, rotation, shift = pose(posed, target, weight)
        columns = (np.einsum("klj,ij->kli", free, rotation[:2]) * root[None, :, None]).reshape(len(free), -1)
        residual = (((target - shift) / scale - start @ rotation[:2].T) * root[:, None]).ravel()
        normal = columns @ columns.T + np.diag(penalty)
        factor = np.linalg.cholesky(normal)
        right = np.linalg.solve(factor, columns @ residual + penalty * towards)
        solution = lsq_linear(factor.T, right, (low, high), method="bvls").x
        strengths = solution[: len(units)]
        if identity is None:
            person = solution[len(units) :]
    posed = mean + np.tensordot(person, shapes, 1) + np.tensordot(strengths, units, 1)
    scale, rotation, shift = pose(posed, target, weight)
    placed = posed @ rotation[:2].T * scale + shift
    own = before.copy()
    own[fitted] = strengths
    corners = np.linalg.norm(target[263] - target[33])
    error = float(np.sqrt(weight @ ((placed - target) ** 2).sum(1)) / corners)
    return HeadFit(scale, rotation, shift, person, own, error)


def pose(points: np.ndarray, image_points: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation (3, 3) and shift (2,) that bring points (n, 3) to image points (n, 2), y up; weak perspective."""
    centre, image_centre = weight @ points, weight @ image_points
    root = np.sqrt(weight)[:, None]
    affine = np.linalg.lstsq((points - centre) * root, (image_points - image_centre) * root, rcond=None)[0].T
    scale = float(np.linalg.norm(affine, axis=1).mean())
    u, _, vt = np.linalg.svd(affine / scale, full_matrices=False)
    rows = u @ vt
    return scale, np.vstack([rows, np.cross(rows[0], rows[1])]), image_centre - scale * rows @ centre
