"""From a photo to measured faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.faces.landmarker import face_mesh
from facemotion.faces.landmarker.blazeface import Detections
from facemotion.faces.landmarker.crops import crop, roi_of_points
from facemotion.faces.landmarker.head_pose import head_rotation, pose_angles
from facemotion.faces.landmarker.networks import LandmarkerNetworks
from facemotion.faces.landmarker.roi import Roi
from facemotion.faces.landmarker.search import Found, detect_as_mediapipe, find
from facemotion.faces.landmarker.units import UNIT_OF_SCORE
from facemotion.faces.measures import gaze
from facemotion.faces.types import Face

LARGEST_PX = 32_766
"""Longest side of a photo as it is looked at; larger ones are shrunk."""


class Landmarker:
    """MediaPipe's Face Landmarker, behind a search that finds faces of every size and turn.

    May be used from several threads.
    """

    def __init__(self, networks: LandmarkerNetworks):
        self._networks = networks

    @classmethod
    def load(cls, path: Path | None = None, *, device: str | torch.device = "cpu") -> Landmarker:
        """The landmarker from a weight file, by default the one that comes with the package.

        Raises WeightsError for a file that is missing, damaged or foreign.
        """
        return cls(LandmarkerNetworks.load(path, device=device))

    def measure(self, image: np.ndarray) -> list[Face]:
        """The faces of a photo (H, W, 3) uint8 RGB, largest first; see `search` for how they are found."""
        _check(image)
        ratio = LARGEST_PX / max(image.shape[:2])
        if ratio < 1:
            size = [max(1, int(side * ratio)) for side in image.shape[1::-1]]
            small = self.measure(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
            return [face.scaled(image.shape[1] / size[0]) for face in small]
        faces = self._measured(find(self._networks, image))
        return sorted(faces, key=lambda face: -face.size_px)

    def detect(self, image: np.ndarray) -> Detections:
        """Where BlazeFace alone sees faces in a photo (H, W, 3) uint8 RGB, as MediaPipe asks it; places in photo px.

        Quick, for videos; faces of less than an eighth of the longer side are missed, and not all are faces.
        """
        _check(image)
        return detect_as_mediapipe(self._networks, image)

    def measure_at(self, image: np.ndarray, rois: Sequence[Roi]) -> list[Face | None]:
        """The faces in parts of a photo (H, W, 3) uint8 RGB; None for a part without one (presence below 0.5).

        Neither side of the photo may be longer than `LARGEST_PX`.
        """
        _check(image)
        size = face_mesh.INPUT_PX
        mesh = self._networks.mesh([crop(image, roi, size, repeat_edge=True) for roi in rois])
        found = [
            Found(roi, points / size, float(presence), float(tongue), 1.0)
            for roi, points, presence, tongue in zip(rois, mesh.points, mesh.presence, mesh.tongue, strict=True)
        ]
        measured = self._measured(found)
        return [face if part.presence >= 0 else None for face, part in zip(measured, found, strict=True)]

    def follow(self, image: np.ndarray, points: np.ndarray) -> Face | None:
        """A face where its points (478, 2 or 3) lay in the frame before, or None where it is gone."""
        return self.measure_at(image, [roi_of_points(points)])[0]

    def scores_of(self, points: np.ndarray) -> np.ndarray:
        """(52,) float32 what the blendshape network says of points (478, 2 or 3) px that no picture shows; 0 for the
        tongue, of which only a picture tells."""
        return np.append(self._scores(points[None])[0], np.float32(0))

    def _scores(self, points: np.ndarray) -> np.ndarray:
        """Scores (N, 51) of faces (N, 478, 2 or 3), in the order of the units."""
        return self._networks.blendshapes(points)[:, list(UNIT_OF_SCORE)]

    def _measured(self, found: Sequence[Found]) -> list[Face]:
        """Points in the photo, scores and poses of faces that were found."""
        if not found:
            return []
        points = np.stack([_placed(face.points, face.roi) for face in found])
        units = self._scores(points)
        scores = np.column_stack([units, [_chance(face.tongue) for face in found]]).astype(np.float32)
        return [
            self._face(places, unit_scores, face)
            for places, unit_scores, face in zip(points, scores, found, strict=True)
        ]

    def _face(self, points: np.ndarray, scores: np.ndarray, found: Found) -> Face:
        rotation = head_rotation(points, self._networks.canonical)
        single = points.astype(np.float32)
        (x0, y0), (x1, y1) = single[:, :2].min(axis=0).tolist(), single[:, :2].max(axis=0).tolist()
        return Face(
            landmarks=single[list(FROM_FACE_MESH), :2],
            box=(x0, y0, x1, y1),
            score=found.score,
            pose=pose_angles(rotation),
            points=single,
            scores=scores,
            presence=_chance(found.presence),
            gaze=gaze(points, rotation),
        )


def _placed(points: np.ndarray, roi: Roi) -> np.ndarray:
    """Points (478, 3) in sides of the part, as photo px."""
    to_photo = roi.crop_to_photo
    places = points[:, :2] @ to_photo[:, :2].T + to_photo[:, 2]
    return np.column_stack([places, points[:, 2] * roi.width_px])


def _chance(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def _check(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a photo is (H, W, 3) uint8, not {image.shape} {image.dtype}")
