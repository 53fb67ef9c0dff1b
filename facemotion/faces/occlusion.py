"""What hides a face: how much of lips and eyes a photo shows, and what lies in front of them.

A small network (`occlusion_network`) looks at the aligned crop and says of every pixel whether it shows something in
front of the face: a mask, a scarf, a microphone, a hand, dark lenses, rims of glasses, hair that fell over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch

from facemotion.device import single_threaded
from facemotion.faces import geometry
from facemotion.faces.occlusion_network import OcclusionNetwork, fused, load_occlusion, occlusion_input

HIDDEN = 0.5
"""Share of lips or of an eye behind something else from which on they count as hidden."""
_BESIDE_HIDDEN = 0.22
"""The same of an eye whose neighbour is hidden."""
_NO_GLASSES, _GLASSES = 0.38, 0.5
"""Scores below which a face wears no glasses, and above which it does."""


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What lies in front of one face.

    front: (N, N) float32 in [0, 1], of the square of `geometry.photo_to_crop`, edge to edge: how surely something
    else than the face is seen there. Hair, clothes and background beside the face are not judged.
    lips, left_eye, right_eye: share that is seen, in [0, 1]; left and right as in the picture. glasses: how surely the
    face wears some, in [0, 1].
    """

    front: np.ndarray
    lips: float = 1.0
    left_eye: float = 1.0
    right_eye: float = 1.0
    glasses: float = 0.0

    @property
    def lips_hidden(self) -> bool:
        return 1 - self.lips > HIDDEN

    @property
    def eyes_hidden(self) -> tuple[bool, ...]:
        """Of the eye on the picture's left, and of that on its right. Beside a hidden eye, less is enough: glasses are
        dark on both sides, and reflections make one of them look clear."""
        left, right = 1 - self.left_eye, 1 - self.right_eye
        beside = max(left, right) > HIDDEN
        return tuple(hidden > (_BESIDE_HIDDEN if beside else HIDDEN) for hidden in (left, right))


class OcclusionEstimator:
    """The network at work."""

    def __init__(self, network: OcclusionNetwork, *, device: str | torch.device = "cpu"):
        self._network, self._device = fused(network).to(device), device
        self.input_px = network.config.input_px

    @classmethod
    def load(cls, path: Path | None = None, *, device: str | torch.device = "cpu") -> OcclusionEstimator:
        """From a weight file, by default the one that comes with the package; raises WeightsError."""
        from facemotion.weights.registry import known_sha256, weight_path

        path = path or weight_path("occlusion")
        return cls(load_occlusion(path, sha256=known_sha256("occlusion", path)), device=device)

    @single_threaded()
    @torch.inference_mode()
    def estimate(self, photo: np.ndarray, landmarks: np.ndarray) -> Occlusion:
        """photo: (H, W, 3) uint8 RGB; landmarks: (68, 2) photo px."""
        size = self.input_px
        transform = geometry.photo_to_crop(landmarks, size)
        crop = geometry.warp_crop(photo, transform, size)
        logits, means = self._network.look(occlusion_input(crop[None]).to(self._device))
        front, score = torch.sigmoid(logits)[0, 0].cpu().numpy(), float(self._network.glasses(means))
        lips, left, right = share_in_front(front, geometry.apply(transform, landmarks))
        glasses = float(np.clip((score - _NO_GLASSES) / (_GLASSES - _NO_GLASSES), 0, 1))
        return Occlusion(front, 1 - lips, 1 - left, 1 - right, glasses)


@cache
def occlusion_estimator() -> OcclusionEstimator:
    """The one of this process, loaded when first needed."""
    return OcclusionEstimator.load()


def find_occlusion(photo: np.ndarray, landmarks: np.ndarray) -> Occlusion:
    """`OcclusionEstimator.estimate` of a network that is loaded once for the whole process."""
    return occlusion_estimator().estimate(photo, landmarks)


def share_in_front(front: np.ndarray, landmarks: np.ndarray) -> tuple[float, float, float]:
    """Share of the lips, and of the eyes on the picture's left and right, that lies behind something.

    front: (N, N) in [0, 1]; landmarks: (68, 2) px of it.
    """
    points = np.asarray(landmarks, np.float64)
    span = max(float(np.linalg.norm(points[45] - points[36])), 1.0)
    shares = []
    for part, grow in ((points[48:60], 0.0), (points[36:42], 0.03), (points[42:48], 0.03)):
        inside = np.zeros(front.shape, np.uint8)
        cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(part).astype(np.int32)), 1)
        if reach := round(grow * span):
            inside = cv2.dilate(inside, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        seen = inside.astype(bool)
        shares.append(float(front[seen].mean()) if seen.any() else 0.0)
    return shares[0], shares[1], shares[2]
