"""From a photo to measured faces: BlazeFace, Face Mesh V2 and Blendshape V2, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from facemotion.errors import WeightsError
from facemotion.faces.landmarker import blazeface, face_mesh
from facemotion.faces.landmarker.blazeface import BlazeFace, Detections
from facemotion.faces.landmarker.blendshape_mixer import POINT_INDICES, BlendshapeMixer
from facemotion.faces.landmarker.crops import crop, roi_of_picture, roi_of_points, rois_of_detections
from facemotion.faces.landmarker.face_mesh import FaceMesh
from facemotion.faces.landmarker.head_pose import head_rotation, pose_angles
from facemotion.faces.landmarker.types import MeasuredFace, Roi
from facemotion.faces.landmarker.units import UNIT_OF_SCORE
from facemotion.media.records import MalformedError, malformed

FACE_SCORE = 0.5
"""Least score of a detection."""

PRESENCE = 0.5
"""Least presence of a face in the part that was looked at."""


class Landmarker:
    """MediaPipe's Face Landmarker. May be used from several threads."""

    def __init__(self, tensors: dict[str, torch.Tensor], *, device: str | torch.device = "cpu"):
        """tensors: as in the weight file, by ``network.parameter``."""
        self._device = torch.device(device)
        self._blazeface = self._network(BlazeFace(), "blazeface", tensors)
        self._face_mesh = self._network(FaceMesh(), "face_mesh", tensors)
        self._mixer = self._network(BlendshapeMixer(), "blendshape_mixer", tensors)
        self._canonical = tensors["canonical.points"].double().numpy()
        self._canonical_weights = tensors["canonical.weights"].double().numpy()

    @classmethod
    def load(cls, path: Path | None = None, *, device: str | torch.device = "cpu") -> Landmarker:
        """The landmarker from a weight file, by default the one that comes with the package.

        Raises WeightsError for a file that is missing, damaged or foreign.
        """
        from facemotion.weights.registry import known_sha256, read_verified, weight_path

        if path is None:
            path = weight_path("landmarker")
        content = read_verified(path, known_sha256("landmarker", path))
        try:
            with malformed(SafetensorError):
                return cls(safetensors.torch.load(content), device=device)
        except MalformedError as error:
            raise WeightsError(f"Cannot read the landmarker {path}: {error}", "Install facemotion again.") from error

    def measure(self, image: np.ndarray) -> list[MeasuredFace]:
        """The faces of a photo (H, W, 3) uint8 RGB, largest first."""
        found = self.detect(image)
        measured = self.measure_at(image, rois_of_detections(found), scores=found.scores)
        return sorted((face for face in measured if face is not None), key=lambda face: -face.roi.size_px)

    def follow(self, image: np.ndarray, points: np.ndarray) -> MeasuredFace | None:
        """A face where its points (478, 2 or 3) lay in the frame before, or None where it is gone."""
        return self.measure_at(image, [roi_of_points(points)])[0]

    @torch.inference_mode()
    def detect(self, image: np.ndarray) -> Detections:
        """Where BlazeFace sees faces in a photo (H, W, 3) uint8 RGB; places in photo px."""
        _check(image)
        roi = roi_of_picture(image.shape)
        picture = crop(image, roi, blazeface.INPUT_PX, repeat_edge=False)
        logits, boxes = self._blazeface(self._input(picture[None]) * 2 - 1)
        found = blazeface.decode(logits[0].cpu().numpy(), boxes[0].cpu().numpy(), least_score=FACE_SCORE)
        left, top = roi.crop_to_photo[:, 2].tolist()
        return blazeface.suppress(found).moved(scale=roi.size_px / blazeface.INPUT_PX, offset=(left, top))

    @torch.inference_mode()
    def measure_at(
        self, image: np.ndarray, rois: Sequence[Roi], *, scores: Sequence[float] | np.ndarray | None = None
    ) -> list[MeasuredFace | None]:
        """The faces in parts of a photo (H, W, 3) uint8 RGB; None for a part without one.

        scores: the detector's for these parts, by default 1.
        """
        _check(image)
        if not rois:
            return []
        size = face_mesh.INPUT_PX
        crops = np.stack([crop(image, roi, size, repeat_edge=True) for roi in rois])
        points_px, presence_logits, tongue_logits = self._face_mesh(self._input(crops))
        presences, tongues = (logits.sigmoid().cpu().numpy() for logits in (presence_logits, tongue_logits))
        points = [_placed(part, roi) for part, roi in zip(points_px.double().cpu().numpy() / size, rois, strict=True)]
        subset = torch.from_numpy(np.stack(points)[:, list(POINT_INDICES), :2]).float().to(self._device)
        units = np.column_stack([self._mixer(subset).cpu().numpy()[:, list(UNIT_OF_SCORE)], tongues])
        faces: list[MeasuredFace | None] = []
        for i, roi in enumerate(rois):
            if presences[i] < PRESENCE:
                faces.append(None)
                continue
            pose = pose_angles(head_rotation(points[i], self._canonical, self._canonical_weights))
            score = 1.0 if scores is None else float(scores[i])
            face = MeasuredFace(points[i].astype(np.float32), units[i], float(presences[i]), score, roi, pose)
            faces.append(face)
        return faces

    def _network(self, network: nn.Module, name: str, tensors: dict[str, torch.Tensor]) -> nn.Module:
        prefix = name + "."
        network.load_state_dict({key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)})
        return network.float().eval().requires_grad_(False).to(self._device)

    def _input(self, pictures: np.ndarray) -> torch.Tensor:
        """(B, H, W, 3) uint8 as (B, 3, H, W) in [0, 1]."""
        return torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2).float().div_(255)


def _placed(points: np.ndarray, roi: Roi) -> np.ndarray:
    """Points (478, 3) in sides of the part, as photo px."""
    to_photo = roi.crop_to_photo
    places = points[:, :2] @ to_photo[:, :2].T + to_photo[:, 2]
    return np.column_stack([places, points[:, 2] * roi.width_px])


def _check(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a photo is (H, W, 3) uint8, not {image.shape} {image.dtype}")
