"""The face-alignment library (Bulat & Tzimiropoulos 2017: S3FD detector, 2D-FAN landmarks) as the fallback detector.

Its constructor downloads what it does not find and checks no hash. So it loads its weights inside
`facemotion.weights.hub.torch_hub_with`: verified copies lie where it looks, and it cannot download.
"""

from __future__ import annotations

import warnings

import cv2
import numpy as np

from facemotion.errors import WeightsError
from facemotion.faces.geometry import apply, invert, warp_crop
from facemotion.faces.pose import head_pose
from facemotion.faces.types import Face

WEIGHT_NAMES = ("s3fd", "2dfan4")
_PINNED = "face-alignment 1.5.0"

DETECTION_PX = 1280
"""Longer side at which faces are looked for: more costs gigabytes in the detector's first layers."""

MOST_FACES = 64
_SMALLEST_PX = 128  # the detector halves its input seven times
_PATCH_PX, _FACE_PX = 768, 320  # the library rounds landmarks to whole pixels: small faces are enlarged first


class FallbackDetector:
    """The library's detector and landmark network, ready for use."""

    def __init__(self, networks):
        self._networks = networks

    @classmethod
    def load(cls, *, device: str = "cpu", offline: bool | None = None) -> FallbackDetector:
        """Fetch where needed, verify, and only then let the library load its weights.

        Raises WeightsError where they cannot be had (offline, hash mismatch, no network) or do not fit the library.
        """
        from facemotion.weights.hub import torch_hub_with

        with torch_hub_with(WEIGHT_NAMES, offline=offline), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library and what it imports, about themselves
            import face_alignment

            try:
                networks = face_alignment.FaceAlignment(
                    face_alignment.LandmarksType.TWO_D, device=device, compile=False, face_detector="sfd"
                )
            except (RuntimeError, KeyError, TypeError) as error:
                raise WeightsError(
                    f"The weights of the fallback detector do not fit {_PINNED}: {str(error).splitlines()[0]}",
                    "Remove and fetch them again: facemotion weights clear s3fd 2dfan4; facemotion weights fetch.",
                ) from error
        return cls(networks)

    def find(self, image: np.ndarray) -> list[Face]:
        """All faces in a photo (H, W, 3) uint8, largest first; empty where there is none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            boxes = self._detect(image)
            faces = [self._align(image, box) for box in boxes]
        return sorted((face for face in faces if face is not None), key=lambda face: -face.size_px)

    def _detect(self, image: np.ndarray) -> list[np.ndarray]:
        """(x0, y0, x1, y1, score) in photo px for every face."""
        height, width = image.shape[:2]
        scale = min(1.0, DETECTION_PX / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shrunk = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        missing = [max(0, _SMALLEST_PX - side) for side in shrunk.shape[:2]]
        padded = cv2.copyMakeBorder(shrunk, 0, missing[0], 0, missing[1], cv2.BORDER_CONSTANT)
        to_photo = np.array([width / size[0], height / size[1]] * 2 + [1.0])
        boxes = self._networks.face_detector.detect_from_image(padded)
        surest = sorted(boxes, key=lambda box: -box[4])[:MOST_FACES]
        return [np.asarray(box, dtype=np.float64) * to_photo for box in surest]

    def _align(self, image: np.ndarray, found: np.ndarray) -> Face | None:
        """The 68 landmarks of one detected face; None for a box or landmarks without extent."""
        side = max(found[2] - found[0], found[3] - found[1])
        if not (np.isfinite(found).all() and side > 1):
            return None
        zoom = _FACE_PX / side
        centre = (found[:2] + found[2:4]) / 2
        shift = _PATCH_PX / 2 - 0.5 - zoom * centre
        photo_to_patch = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
        patch = warp_crop(image, photo_to_patch, _PATCH_PX)
        box = apply(photo_to_patch, found[:4].reshape(2, 2)).ravel()
        answer = self._networks.get_landmarks_from_image(patch, detected_faces=[np.append(box, found[4])])
        if not answer:
            return None
        landmarks = apply(invert(photo_to_patch), np.asarray(answer[0], dtype=np.float64))
        if not np.isfinite(landmarks).all() or np.ptp(landmarks, axis=0).min() < 0.1 * side:
            return None
        return Face(
            landmarks=landmarks.astype(np.float32),
            box=(*landmarks.min(axis=0).tolist(), *landmarks.max(axis=0).tolist()),
            score=float(np.clip(found[4], 0, 1)),
            pose=head_pose(landmarks),
            source="face-alignment",
        )
