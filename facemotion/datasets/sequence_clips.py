"""Importer of recorded expressions: frames aligned to the first one, with a control value each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facemotion.datasets.importer import Importer
from facemotion.datasets.landmark_files import read_landmark_text
from facemotion.datasets.sequences import SequenceItem, read_frames
from facemotion.datasets.single_face import FindFaces, find_faces, one_face
from facemotion.errors import InputError, NoFaceError
from facemotion.faces import geometry
from facemotion.faces.ibug68 import inter_ocular
from facemotion.faces.pose import head_pose
from facemotion.synthetic.clip import RenderedClip

Control = Literal["position", "landmarks"]

MAX_TURN_DEG = 15.0
"""Frames whose head has turned further than this from the first are left out: no similarity undoes it."""
MIN_MOTION = 0.04
"""A clip shows an expression when some landmark moves at least this far, in inter-ocular distances."""
MIN_CROP_PHOTO_PX = 100
"""Fewest photo pixels across the crop."""
CANDIDATES = 32
"""Frames looked at when the control is measured; as many as asked for are kept of them."""

_RIGID = (27, 28, 29, 30, 36, 39, 42, 45)
"""Bridge of the nose and corners of the eyes: what hardly moves with any expression."""
_EXPRESSIVE = slice(17, 68)
"""Everything but the jaw line, whose points slide along the cheek."""


@dataclass(frozen=True)
class AlignedFrame:
    """One frame in the crop of the first."""

    position: float
    """0 for the first frame of the recording, 1 for the last."""
    crop: np.ndarray
    landmarks: np.ndarray
    """(68, 2) crop px."""
    pose: tuple[float, float, float]
    """Yaw, pitch, roll in degrees, of the head in the crop."""


@dataclass(frozen=True, kw_only=True)
class SequenceImporter(Importer[SequenceItem]):
    """``prepare clips`` and ``prepare ckplus``."""

    origin: str = "clips"
    frames: int = 8
    """Frames of a clip, at most; source and peak among them."""
    control: Control = "position"
    """``"position"``: the share of the recording that has passed (the paper's assumption: neutral first, peak last,
    even in between). ``"landmarks"``: how far the landmarks have gone along the way from the first frame to the frame
    where they are furthest; for recordings with a pause at either end, or that go back to neutral."""
    find_faces: FindFaces = find_faces

    def settings(self) -> dict:
        return {"frames": self.frames, "control": self.control}

    def render(self, item: SequenceItem, *, seed: int) -> Iterator[RenderedClip]:
        aligned = self._aligned(item)
        check_motion([frame.landmarks for frame in aligned])
        if self.control == "position":
            control = np.array([frame.position for frame in aligned])
        else:
            control = measured_control(np.stack([frame.landmarks for frame in aligned]))
            kept = evenly(control, self.frames)
            aligned, control = [aligned[k] for k in kept], control[kept]
        yield RenderedClip(
            frames=[frame.crop for frame in aligned],
            control=control.astype(np.float32),
            expression={item.expression: 1.0},
            landmarks=np.stack([frame.landmarks for frame in aligned]).astype(np.float32),
            pose=np.array([frame.pose for frame in aligned], np.float32),
        )

    def _aligned(self, item: SequenceItem) -> list[AlignedFrame]:
        """The usable frames. Raises InputError where the first or the peak is not among them."""
        most = self.frames if self.control == "position" else max(self.frames, CANDIDATES)
        aligned: list[AlignedFrame] = []
        lost = turned = 0
        previous = first = to_crop = None
        for position, number, pixels in read_frames(item, most):
            try:
                points = self._landmarks(item, number, pixels, previous)
            except NoFaceError:
                if previous is None:
                    raise NoFaceError("no face found in the first frame") from None
                lost += 1
                continue
            previous = points
            if first is None:
                first, to_crop = points, geometry.photo_to_crop(points, self.crop_px)
                across = self.crop_px / geometry.scale_of(to_crop)
                if across < MIN_CROP_PHOTO_PX:
                    raise InputError(f"face too small ({across:.0f} px across the crop, {MIN_CROP_PHOTO_PX} needed)")
            assert to_crop is not None
            frame = self._align(position, pixels, points, first, to_crop)
            if aligned and max(np.abs(np.subtract(frame.pose, aligned[0].pose))[:2]) > MAX_TURN_DEG:
                turned += 1
                continue
            aligned.append(frame)
        peak_missing = self.control == "position" and aligned[-1].position < 1
        if len(aligned) < 2 or peak_missing:
            raise InputError(
                f"{'peak' if peak_missing else 'expression'} not usable: no face in {lost} frames, "
                f"head turned by more than {MAX_TURN_DEG:.0f}° in {turned}"
            )
        return aligned

    def _landmarks(
        self, item: SequenceItem, number: int, pixels: np.ndarray, previous: np.ndarray | None
    ) -> np.ndarray:
        if item.landmark_texts:
            return read_landmark_text(item.landmark_texts[number])
        if previous is None:
            return one_face(pixels, self.find_faces)
        faces = self.find_faces(pixels)
        if not faces:
            raise NoFaceError("no face found")
        return min((face.landmarks for face in faces), key=lambda points: np.abs(points - previous).mean())

    def _align(
        self, position: float, pixels: np.ndarray, points: np.ndarray, first: np.ndarray, first_to_crop: np.ndarray
    ) -> AlignedFrame:
        to_first = rigid_motion(points, first)
        to_crop = geometry.compose(to_first, first_to_crop)
        crop, in_crop = geometry.warp_crop(pixels, to_crop, self.crop_px), geometry.apply(to_crop, points)
        return AlignedFrame(position, crop, in_crop, head_pose(in_crop))


def rigid_motion(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity (2, 3) that brings the rigid landmarks of one frame onto those of another (least squares)."""
    return geometry.fitted_similarity(points[list(_RIGID)], target[list(_RIGID)])


def measured_control(landmarks: np.ndarray) -> np.ndarray:
    """Control (T,) of aligned landmarks (T, 68, 2): 0 at the first frame, 1 where they are furthest from it.

    The projection of each frame's displacement on that of the furthest frame; what lies behind the first counts as 0.
    """
    moved = (landmarks - landmarks[0])[:, _EXPRESSIVE].reshape(len(landmarks), -1).astype(np.float64)
    peak = moved[np.linalg.norm(moved, axis=1).argmax()]
    return np.clip(moved @ peak / (peak @ peak), 0, 1)


def evenly(control: np.ndarray, most: int) -> list[int]:
    """Numbers of at most ``most`` frames whose controls lie as evenly as possible; the first and the peak are kept."""
    peak = int(control.argmax())
    kept = {0, peak}
    for wanted in np.linspace(0, 1, most)[1:-1]:
        free = [k for k in range(len(control)) if k not in kept]
        if free:
            kept.add(min(free, key=lambda k: abs(control[k] - wanted)))
    return sorted(kept)


def check_motion(landmarks: list[np.ndarray]) -> None:
    """Raise InputError where the aligned landmarks (68, 2) of no frame differ from those of the first."""
    first = landmarks[0]
    eyes = inter_ocular(first)
    motion = max(np.linalg.norm((points - first)[_EXPRESSIVE], axis=1).max() for points in landmarks) / eyes
    if motion < MIN_MOTION:
        raise InputError(f"no visible expression: landmarks move at most {motion:.1%} of the eye distance")
