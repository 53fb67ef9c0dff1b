"""The three networks with their weights, from pictures to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from facemotion.device import single_threaded
from facemotion.errors import WeightsError
from facemotion.faces.landmarker.blazeface import BlazeFace, Detections, decode
from facemotion.faces.landmarker.blendshape_mixer import POINT_INDICES, BlendshapeMixer
from facemotion.faces.landmarker.face_mesh import POINTS, FaceMesh
from facemotion.faces.landmarker.head_pose import CanonicalFace
from facemotion.media.records import MalformedError, malformed
from facemotion.weights.registry import known_sha256, read_verified, weight_path

BATCH = 16
"""Crops that the face mesh sees at a time: more take more memory and are no faster."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """What the face mesh says of crops: points (N, 478, 3) in crop px, and two logits (N,)."""

    points: np.ndarray
    presence: np.ndarray
    tongue: np.ndarray


class LandmarkerNetworks:
    """BlazeFace, Face Mesh V2 and Blendshape V2 on one device. May be used from several threads."""

    def __init__(self, tensors: dict[str, torch.Tensor], *, device: str | torch.device = "cpu"):
        """tensors: as in the weight file, by ``network.parameter``. Raises KeyError or RuntimeError where they do not
        fit."""
        self._device = torch.device(device)
        self._blazeface = self._filled(BlazeFace(), "blazeface", tensors)
        self._face_mesh = self._filled(FaceMesh(), "face_mesh", tensors)
        self._mixer = self._filled(BlendshapeMixer(), "blendshape_mixer", tensors)
        self.canonical = CanonicalFace.of(tensors)

    @classmethod
    def load(cls, path: Path | None = None, *, device: str | torch.device = "cpu") -> LandmarkerNetworks:
        """The networks of a weight file, by default of the one that comes with the package.

        Raises WeightsError for a file that is missing, damaged or foreign.
        """
        path = path or weight_path("landmarker")
        content = read_verified(path, known_sha256("landmarker", path))
        try:
            with malformed(SafetensorError):
                return cls(load(content), device=device)
        except MalformedError as error:
            raise WeightsError(f"Cannot read the landmarker {path}: {error}", "Install facemotion again.") from error

    @single_threaded()
    @torch.inference_mode()
    def detect(self, pictures: np.ndarray, *, least_score: float) -> list[Detections]:
        """Every anchor that sees a face, for each of the pictures (B, H, W, 3) uint8; places in picture px."""
        logits, boxes = self._blazeface(self._input(pictures) * 2 - 1)
        height, width = pictures.shape[1:3]
        answers = zip(logits.cpu().numpy(), boxes.cpu().numpy(), strict=True)
        return [decode(*answer, (height, width), least_score=least_score) for answer in answers]

    @single_threaded()
    @torch.inference_mode()
    def mesh(self, crops: Sequence[np.ndarray]) -> Mesh:
        """Points and presence of a face in crops (256, 256, 3) uint8."""
        if not crops:
            return Mesh(np.empty((0, POINTS, 3)), np.empty(0), np.empty(0))
        answers = [self._face_mesh(self._input(np.stack(crops[k : k + BATCH]))) for k in range(0, len(crops), BATCH)]
        points, presence, tongue = (torch.cat(part).double().cpu().numpy() for part in zip(*answers, strict=True))
        return Mesh(points, presence, tongue)

    @single_threaded()
    @torch.inference_mode()
    def blendshapes(self, points: np.ndarray) -> np.ndarray:
        """Scores (N, 52) in [0, 1], in the order of `units.NETWORK_NAMES`, of faces (N, 478, 2 or 3) px."""
        subset = torch.from_numpy(points[:, list(POINT_INDICES), :2]).float().to(self._device)
        return self._mixer(subset).cpu().numpy()

    def _filled(self, network: nn.Module, name: str, tensors: dict[str, torch.Tensor]) -> nn.Module:
        prefix = name + "."
        network.load_state_dict({key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)})
        # Pictures come with their channels last; with weights laid out alike, convolutions are a fifth faster.
        network.float().eval().requires_grad_(False).to(self._device)
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return network

    def _input(self, pictures: np.ndarray) -> torch.Tensor:
        """(B, H, W, 3) uint8 as (B, 3, H, W) in [0, 1]."""
        return torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2).float().div_(255)
