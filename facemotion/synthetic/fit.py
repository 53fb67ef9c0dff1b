"""Fit the 3-D head to 68 landmarks of a photo.

Weak perspective pose, identity and expression by alternating least squares, then a smooth correction that
carries the landmark vertices exactly onto the landmarks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from scipy.optimize import lsq_linear

from facemotion.synthetic.head import HeadModel

LANDMARK_WEIGHTS = np.ones(68)
LANDMARK_WEIGHTS[:17] = 0.25  # the visible jaw line slides over the mesh
LANDMARK_WEIGHTS[27:31] = 0.6
_IDENTITY_PENALTY = 3e-4
_EXPRESSION_PENALTY = 4e-3
_FITTED_UNITS = (
    "browDown", "browInnerUp", "browOuterUp", "eyeBlink", "eyeSquint", "eyeWide", "jawLeft", "jawOpen", "jawRight",
    "mouthFrown", "mouthFunnel", "mouthLeft", "mouthLowerDown", "mouthPucker", "mouthRight", "mouthRollLower",
    "mouthRollUpper", "mouthShrugLower", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
"""What 68 landmarks can tell. Puffed cheeks, gaze and the like would only absorb what identity does not explain."""
_IDENTITIES = 60


@cache
def landmark_offsets() -> np.ndarray:
    """(68, 3) cm from the head's landmark vertices to where face finders put these landmarks on neutral faces.

    Definitions differ along the jaw line, the brows' upper edge, the nostrils and the lower lip. Mean of the neutral
    photos of the London and Canada sets, made symmetric.
    """
    with files("facemotion").joinpath("assets/landmark_offsets.json").open() as file:
        plane = np.array(json.load(file)["offsets_cm"], np.float64)
    return np.column_stack([plane, np.zeros(len(plane))])


@dataclass(frozen=True)
class Fit:
    """A head in a photo. Camera: ``(x, y) px = shift + scale · rotation[:2] · vertex``, then y turned down."""

    scale: float
    """px per cm."""
    rotation: np.ndarray
    """(3, 3) from head to camera axes."""
    shift: np.ndarray
    """(2,) px, y up."""
    identity: np.ndarray
    """(I,) standard deviations."""
    expression: np.ndarray
    """(U,) unit strengths of the photo itself."""
    error: np.ndarray
    """(68,) distance of each landmark from the fitted vertex, in inter-ocular distances (outer eye corners)."""

    @property
    def inner_error(self) -> float:
        """Mean error of the 51 landmarks without the jaw line."""
        return float(self.error[17:].mean())


def fit_head(landmarks: np.ndarray, head: HeadModel, *, identity: np.ndarray | None = None, iterations: int = 6) -> Fit:
    """Fit pose, expression and (unless given) identity to landmarks (68, 2) px, y down."""
    target = np.asarray(landmarks, np.float64)[:, :2] * [1, -1]
    at = head.landmark_vertices
    weight = np.sqrt(LANDMARK_WEIGHTS / LANDMARK_WEIGHTS.sum())
    fitted_units = np.array(
        [i for i, name in enumerate(head.unit_names) if name.removesuffix("_L").removesuffix("_R") in _FITTED_UNITS]
    )
    mean = head.vertices[at].astype(np.float64) + landmark_offsets()
    units = head.unit_deltas[fitted_units][:, at].astype(np.float64)
    shapes = head.identity_deltas[:, at].astype(np.float64)
    used = min(_IDENTITIES, len(shapes))
    person = np.zeros(len(shapes)) if identity is None else np.asarray(identity, np.float64)
    expression = np.zeros(len(units))
    for _ in range(iterations):
        shaped = mean + np.tensordot(person, shapes, 1)
        scale, rotation, shift = _pose(shaped + np.tensordot(expression, units, 1), target)
        free = units if identity is not None else np.concatenate([units, shapes[:used]])
        start = shaped if identity is not None else mean
        columns = (np.einsum("klj,ij->kli", free, rotation[:2]) * weight[None, :, None]).reshape(len(free), -1).T
        residual = (((target - shift) / scale - start @ rotation[:2].T) * weight[:, None]).ravel()
        penalty = np.full(len(free), _EXPRESSION_PENALTY)
        low, high = np.zeros(len(free)), np.ones(len(free))
        penalty[len(units) :], low[len(units) :], high[len(units) :] = _IDENTITY_PENALTY, -3, 3
        solution = lsq_linear(
            np.vstack([columns, np.diag(np.sqrt(penalty))]),
            np.concatenate([residual, np.zeros(len(free))]),
            (low, high),
        ).x
        expression = solution[: len(units)]
        if identity is None:
            person = np.zeros(len(shapes))
            person[:used] = solution[len(units) :]
    full = np.zeros(len(head.unit_names))
    full[fitted_units] = expression
    placed = (mean + np.tensordot(person, shapes, 1) + np.tensordot(expression, units, 1)) @ rotation[
        :2
    ].T * scale + shift
    error = np.linalg.norm(placed - target, axis=1) / np.linalg.norm(target[45] - target[36])
    return Fit(scale, rotation, shift, person, full, error)


def _pose(points3: np.ndarray, points2: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation, shift that bring points3 to points2 (y up), weak perspective."""
    w = LANDMARK_WEIGHTS / LANDMARK_WEIGHTS.sum()
    centre3, centre2 = w @ points3, w @ points2
    q = np.sqrt(w)[:, None]
    affine = np.linalg.lstsq((points3 - centre3) * q, (points2 - centre2) * q, rcond=None)[0].T
    scale = float(np.linalg.norm(affine, axis=1).mean())
    u, _, vt = np.linalg.svd(affine / scale, full_matrices=False)
    rows = u @ vt
    return scale, np.vstack([rows, np.cross(rows[0], rows[1])]), centre2 - scale * rows @ centre3


def shape(fit: Fit, head: HeadModel, expression: np.ndarray | None = None) -> np.ndarray:
    """(V, 3) vertices of the fitted head, with its own or another expression."""
    strengths = fit.expression if expression is None else expression
    vertices = head.vertices + np.einsum(
        "k,kvj->vj", fit.identity.astype(np.float32), head.identity_deltas, optimize=True
    )
    return vertices + head.displacement(strengths.astype(np.float32))


def project(fit: Fit, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 2) px with y down, and (V,) depth in px, larger is nearer."""
    camera = vertices @ fit.rotation.T
    return (camera[:, :2] * fit.scale + fit.shift) * [1, -1], camera[:, 2] * fit.scale


def corrected(
    vertices: np.ndarray, fit: Fit, landmarks: np.ndarray, head: HeadModel, *, rest: float = 0.05
) -> np.ndarray:
    """Vertices moved within the image plane so that the landmark vertices meet the landmarks.

    Gaussian radial basis functions of a third of the inter-ocular distance; ``rest`` is their ridge. The jaw line
    follows only half way, since its landmarks slide.
    """
    points, _ = project(fit, vertices)
    sigma = 0.35 * np.linalg.norm(landmarks[45] - landmarks[36])
    centres = points[head.landmark_vertices]
    placed, _ = project(fit, vertices[head.landmark_vertices] + landmark_offsets())
    kernel = np.exp(-((centres[:, None] - centres[None]) ** 2).sum(-1) / (2 * sigma**2))
    ridge = np.where(np.arange(68) < 17, 1.0, rest)
    coefficients = np.linalg.solve(kernel + np.diag(ridge), landmarks[:, :2] - placed)
    distances = ((points**2).sum(1)[:, None] + (centres**2).sum(1)[None] - 2 * points @ centres.T).astype(np.float32)
    moved = np.exp(-distances / np.float32(2 * sigma**2)) @ coefficients
    in_plane = moved * [1, -1] / fit.scale
    return (vertices + in_plane @ fit.rotation[:2]).astype(np.float32)
