"""The canonical face, and which way a head is turned whose 478 points are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from safetensors.torch import load

from facemotion.media.records import MalformedError
from facemotion.weights.registry import known_sha256, read_verified, weight_path

_POINTS = 468
_CANONICAL_TO_IMAGE = np.array([1.0, -1.0, -1.0])  # y up and z forward become y down and z away from the camera


@dataclass(eq=False)
class CanonicalFace:
    """MediaPipe's canonical face: points (468, 3) cm (x to the person's left, y up, z forward), triangles (898, 3),
    and the weights (468,) of the points when another face is laid over it, zero for those that take no part."""

    points: np.ndarray
    triangles: np.ndarray
    weights: np.ndarray

    @cached_property
    def mirror(self) -> np.ndarray:
        """(468,) for every point the one on the other side of the face."""
        apart = np.linalg.norm(self.points[:, None] * (-1, 1, 1) - self.points[None], axis=2)
        return apart.argmin(axis=1)

    @cached_property
    def edges(self) -> np.ndarray:
        """(1365, 2) the sides of the triangles, each once."""
        sides = np.concatenate([self.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
        return np.unique(np.sort(sides, axis=1), axis=0)

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor]) -> CanonicalFace:
        """The canonical face among the tensors of a weight file.

        Raises KeyError where there is none, MalformedError where it is none.
        """
        points, triangles, weights = (tensors[f"canonical.{name}"] for name in ("points", "triangles", "weights"))
        if points.shape != (_POINTS, 3) or triangles.shape[1:] != (3,) or weights.shape != (_POINTS,):
            raise MalformedError("the canonical face has other shapes")
        if not (int(triangles.min()) >= 0 and int(triangles.max()) < _POINTS and float(weights.sum()) > 0):
            raise MalformedError("the canonical face has no mesh or no weights")
        return cls(points.double().numpy(), triangles.long().numpy(), weights.double().numpy())


@cache
def canonical_face() -> CanonicalFace:
    """The canonical face of the package. Raises WeightsError where its file is missing or damaged."""
    path = weight_path("landmarker")
    return CanonicalFace.of(load(read_verified(path, known_sha256("landmarker", path))))


def head_rotation(points: np.ndarray, canonical: CanonicalFace) -> np.ndarray:
    """The rotation (3, 3) that takes the upright canonical face, as seen in an image, to a face's points.

    The best similarity in the sense of weighted least squares (orthogonal Procrustes; Umeyama 1991), as in MediaPipe's
    face geometry, but under scaled orthography: it does not depend on where in the photo the face is.

    points: (468 or more, 3) px.
    """
    used = np.flatnonzero(canonical.weights)
    share = canonical.weights[used] / canonical.weights[used].sum()
    model = canonical.points[used] * _CANONICAL_TO_IMAGE
    seen = np.asarray(points, np.float64)[used]
    model = model - share @ model
    seen = seen - share @ seen
    u, _, vt = np.linalg.svd((seen * share[:, None]).T @ model)
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def upright(points: np.ndarray, canonical: CanonicalFace) -> np.ndarray:
    """Points (468 or more, 3) px of a face as if it looked into the camera, in cm: x right, y down, z away from it.

    The canonical face is laid over them as by `head_rotation`, and that motion and its scale are taken back.
    """
    seen = np.asarray(points, np.float64)
    used = np.flatnonzero(canonical.weights)
    share = canonical.weights[used] / canonical.weights[used].sum()
    model = canonical.points[used] * _CANONICAL_TO_IMAGE
    model = model - share @ model
    middle = share @ seen[used]
    u, stretch, vt = np.linalg.svd(((seen[used] - middle) * share[:, None]).T @ model)
    signs = np.array([1, 1, np.linalg.det(u @ vt)])
    px_per_cm = float((stretch * signs).sum() / (share @ (model**2).sum(1)))
    return (seen - middle) @ (u @ np.diag(signs) @ vt) / max(px_per_cm, 1e-9)


def pose_angles(rotation: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a head's rotation in the image (x right, y down, z away).

    yaw > 0: the person looks to the right of the image; pitch > 0: up; roll > 0: the head leans clockwise as seen in
    the image; yaw and pitch are those left once the roll is undone.
    """
    roll = math.atan2(rotation[1, 0], rotation[0, 0])
    x, y, z = -rotation[:, 2]  # where the nose points
    across, down = x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll)
    yaw, pitch = math.atan2(across, -z), math.asin(min(1.0, max(-1.0, -down)))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
