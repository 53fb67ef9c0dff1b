"""Training pictures for the detector: faces of many sizes on many grounds, and what the grid should say."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facemotion.faces.finder_crop import MIRROR_68, five_points
from facemotion.faces.finder_networks import OUTSIDE, Detector, DetectorConfig
from facemotion.train_finder.degrade import degrade
from facemotion.train_finder.faceless import Faceless
from facemotion.train_finder.photos import Photo

SCENE_PX = 128


@dataclass
class SceneFace:
    """A face in a scene: centre and longer side of its landmarks' box, five points, whether to learn from it."""

    centre: np.ndarray
    size_px: float
    points: np.ndarray
    clear: bool = True


@dataclass
class Scene:
    """picture: uint8 (SCENE_PX, SCENE_PX, 3); faces: those on it."""

    picture: np.ndarray
    faces: list[SceneFace]


class Scenes:
    """Draws scenes: about a third without a face, the others with one to four."""

    def __init__(self, photos: Sequence[Photo], faceless: Faceless, config: DetectorConfig):
        self.photos, self.faceless, self.config = photos, faceless, config
        self.mined: list[np.ndarray] = []
        """Faceless pictures on which the detector was most mistaken (hard negatives)."""

    def draw(self, rng: np.random.Generator) -> Scene:
        """One degraded scene."""
        if self.mined and rng.random() < 0.12:
            return Scene(degrade(self.mined[rng.integers(len(self.mined))], rng, strength=0.5), [])
        chance = rng.random()
        picture = self.faceless.draw(SCENE_PX, rng).copy()
        faces: list[SceneFace] = []
        if chance > 0.3:
            crowd = int(rng.integers(2, 6)) if chance > 0.8 else 1
            for _ in range(crowd):
                self._add_face(picture, faces, rng, alone=crowd == 1)
            if rng.random() < 0.2:
                self._occlude(picture, faces, rng)
        picture = degrade(picture, rng)
        if rng.random() < 0.35:
            self._cut_off(picture, faces, rng)
        return Scene(picture, faces)

    def _add_face(self, picture: np.ndarray, faces: list[SceneFace], rng: np.random.Generator, *, alone: bool) -> None:
        photo = self.photos[rng.integers(len(self.photos))]
        landmarks = photo.landmarks
        small, large = self.config.smallest_px, self.config.largest_px
        chance = rng.random()
        if chance < 0.72 or not alone:
            between = (small, large if alone else 36)
        elif chance < 0.78:
            between = (9, small)
        else:  # so near that hair, cheeks, eyes and collars are alone in the picture
            between = (large, 6 * large)
        size_px = np.exp(rng.uniform(*np.log(between)))
        extent = np.ptp(landmarks, axis=0).max()
        angle = np.radians(rng.uniform(-50, 50) if rng.random() < 0.5 else rng.normal(0, 10))
        scale = size_px / extent
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = linear @ np.diag(np.exp(rng.normal(0, 0.05, 2)))
        mirrored = rng.random() < 0.5
        if mirrored:
            linear = linear @ np.diag([-1, 1])
        middle = (landmarks.min(0) + landmarks.max(0)) / 2
        centre = (SCENE_PX - 1) / 2 + rng.uniform(-0.5, 0.5, 2) * max(SCENE_PX, 1.6 * size_px)
        transform = np.hstack([linear, (centre - linear @ middle)[:, None]])
        layer = photo.warp(transform, (SCENE_PX, SCENE_PX))
        mask = self._mask(photo, transform, rng, whole=size_px > 1.6 * large or (alone and rng.random() < 0.7))
        np.copyto(picture, (picture + (layer.astype(np.float32) - picture) * mask[..., None]).astype(np.uint8))
        for face in faces:  # covered by the newcomer's photo?
            if _share_over(mask, face) > 0.25:
                face.clear = False
        seen = landmarks @ transform[:, :2].T + transform[:, 2]
        if mirrored:
            seen = seen[MIRROR_68]
        low, high = seen.min(0), seen.max(0)
        faces.append(SceneFace((low + high) / 2, float((high - low).max()), five_points(seen)))

    @staticmethod
    def _mask(photo: Photo, transform: np.ndarray, rng: np.random.Generator, *, whole: bool) -> np.ndarray:
        """Where the photo shows, (SCENE_PX, SCENE_PX) in [0, 1]: all of it, or the head with a soft edge."""
        height, width = photo.image.shape[:2]
        mask = np.zeros((SCENE_PX, SCENE_PX), np.float32)
        if whole:
            corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
            corners = corners @ transform[:, :2].T + transform[:, 2]
            cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1.0)
            return mask
        low, high = photo.landmarks.min(0), photo.landmarks.max(0)
        extent = float((high - low).max())
        around = rng.uniform(0.15, 0.9) * extent
        low = np.maximum(low - [around, around + 0.25 * extent], 0)
        high = np.minimum(high + around, [width - 1, height - 1])
        if rng.random() < 0.5:
            corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
        else:
            turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            corners = (low + high) / 2 + (high - low) / 2 * np.stack([np.cos(turn), np.sin(turn)], 1) * 1.1
        corners = corners @ transform[:, :2].T + transform[:, 2]
        cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1.0)
        return cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 3)) if rng.random() < 0.6 else mask

    def _occlude(self, picture: np.ndarray, faces: list[SceneFace], rng: np.random.Generator) -> None:
        face = faces[rng.integers(len(faces))]
        cover = self.faceless.draw(SCENE_PX, rng)
        mask = np.zeros(picture.shape[:2], np.uint8)
        axes = rng.uniform(0.1, 0.3, 2) * face.size_px
        at = face.centre + rng.uniform(-0.5, 0.5, 2) * face.size_px
        cv2.ellipse(mask, [int(c) for c in at], [int(c) + 1 for c in axes], float(rng.uniform(0, 180)), 0, 360, 255, -1)
        picture[mask > 0] = cover[mask > 0]

    @staticmethod
    def _cut_off(picture: np.ndarray, faces: list[SceneFace], rng: np.random.Generator) -> None:
        """End the photo somewhere inside the scene; beyond lies `OUTSIDE`."""
        outside = np.zeros(picture.shape[:2], np.float32)
        depth = int(rng.integers(1, SCENE_PX // 2))
        for side in rng.choice(4, size=int(rng.integers(1, 3)), replace=False):
            edge = [np.s_[:depth], np.s_[-depth:], np.s_[:, :depth], np.s_[:, -depth:]][side]
            outside[edge] = 1
        picture[outside > 0] = OUTSIDE
        for face in faces:
            if _share_over(outside, face) > 0.4:
                face.clear = False


def _share_over(mask: np.ndarray, face: SceneFace) -> float:
    """Share of a face's square that a mask covers; what lies beyond the scene counts as covered."""
    side = max(int(face.size_px), 2)
    x, y = (np.round(face.centre - side / 2)).astype(int)
    inside = mask[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)]
    return 1.0 - float((1 - inside).sum()) / side**2


def targets(scene: Scene, config: DetectorConfig) -> tuple[np.ndarray, np.ndarray]:
    """What the detector's grid should say about a scene.

    Returns the targets (14, H/8, W/8) float32 as in `Detector`, channel 0 being 1 at the middle of a face, and the
    weight of channel 0 (H/8, W/8): 0 where no answer is wrong (rim of a face, faces just out of range, half hidden).
    """
    stride = config.stride
    cells = SCENE_PX // stride
    positions = (np.arange(cells) + 0.5) * stride - 0.5
    grid = np.stack(np.meshgrid(positions, positions), -1)
    target = np.zeros((Detector.channels, cells, cells), np.float32)
    weight = np.ones((cells, cells), np.float32)
    middle_px = np.sqrt(config.smallest_px * config.largest_px)
    for face in scene.faces:
        distance = np.hypot(*np.moveaxis(grid - face.centre, -1, 0))
        if face.size_px > 1.6 * config.largest_px:
            continue  # cheeks and eyes seen too close are no faces
        weight[distance <= max(0.5 * face.size_px, stride)] = 0
    for face in scene.faces:
        covered = _share_over(np.zeros((SCENE_PX, SCENE_PX), np.float32), face) > 0.4
        if not face.clear or covered or not config.smallest_px <= face.size_px <= config.largest_px:
            continue
        distance = np.hypot(*np.moveaxis(grid - face.centre, -1, 0))
        here = distance <= max(0.22 * face.size_px, 0.71 * stride)
        weight[here] = 1
        target[0, here] = 1
        target[1:3, here] = (face.centre - grid[here]).T / Detector.offset_px
        target[3, here] = np.log(face.size_px / middle_px)
        offsets = face.points[None] - grid[here][:, None]
        target[4:, here] = offsets.reshape(len(offsets), 10).T / Detector.offset_px
    return target, weight
