"""Training crops: photos whose occluders are listed by eye, with more drawn over them, under light and film."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import cv2
import numpy as np

from facemotion.faces.geometry import apply, compose, photo_to_crop
from facemotion.faces.ibug68 import MIRROR
from facemotion.training.occlusion import materials
from facemotion.training.occlusion.degrade import degrade
from facemotion.training.occlusion.occluders import Canvas, Occluder, draw
from facemotion.training.occlusion.photos import TrainingPhoto

_FINER = 1.5
"""Pixels of the canvas, along a side, for one of the crop."""
_OUTSIDE = 0.1
"""Weight of pixels away from the face."""
_DEGRADED = 0.6
"""Share of the changes of film and lens that are drawn (`degrade`)."""
_FEATURES = 3.0
"""Weight of those of lips and eyes."""


@dataclass(frozen=True)
class Scene:
    """One training crop: ``crop`` (N, N, 3) uint8, ``front`` (N, N) in [0, 1] what lies in front, ``weight`` (N, N),
    and its landmarks (68, 2) in px."""

    crop: np.ndarray
    front: np.ndarray
    weight: np.ndarray
    landmarks: np.ndarray


def listed_occluders() -> dict[str, str]:
    """Person to what hides a part of the face in their photo, from ``assets/occluded.txt``."""
    lines = (files("facemotion") / "assets" / "occluded.txt").read_text().splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


class Scenes:
    """Draws training crops; of people whose lips are hidden, or who are neither hidden nor clear, there are none."""

    def __init__(
        self, photos: Sequence[TrainingPhoto], size: int, *, occluded: Mapping[str, str], glasses: frozenset[str]
    ):
        self.size, self._occluded, self._glasses = size, occluded, glasses
        self.photos = [photo for photo in photos if occluded.get(photo.person) not in ("lips", "partly")]
        self._chances = np.array([_chance(photo.landmarks) for photo in self.photos])
        self._chances /= self._chances.sum()

    def draw(self, rng: np.random.Generator, *, occluders: float = 0.7) -> Scene:
        """A crop with a drawn occluder by the chance given."""
        photo = self.photos[rng.choice(len(self.photos), p=self._chances)]
        fine = round(_FINER * self.size)
        picture, landmarks = _framed(photo, fine, rng)
        front, weight = self._known(photo, landmarks, fine)
        picture = _stage(picture, photo, landmarks, rng)
        if rng.random() < occluders:
            canvas = Canvas(fine, landmarks, photo, self.photos)
            for _ in range(1 if rng.random() < 0.85 else 2):
                occluder = draw(canvas, rng)
                picture = _laid_on(picture, occluder, rng)
                there = np.clip(occluder.alpha, 0, 1) > 0.5
                weight = np.where(there & (weight < _OUTSIDE), 1.0, weight)  # what is drawn is known
                front = np.maximum(front, occluder.hides)
        picture = degrade(np.clip(picture, 0, 255).astype(np.uint8), rng, strength=_DEGRADED)
        crop, front, weight = (
            cv2.resize(each, (self.size, self.size), interpolation=cv2.INTER_AREA)
            for each in (picture, front.astype(np.float32), weight.astype(np.float32))
        )
        return Scene(crop, front, weight, (landmarks + 0.5) / _FINER - 0.5)

    def _known(self, photo: TrainingPhoto, landmarks: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """What lies in front of the face in the photo itself, and how much that is to count, (size, size) each."""
        face = cv2.convexHull(np.rint(landmarks).astype(np.int32))
        span = float(np.linalg.norm(landmarks[45] - landmarks[36]))
        weight = _filled([face], size, grow=0.1 * span) * (1 - _OUTSIDE) + _OUTSIDE
        eyes = _filled([landmarks[36:42], landmarks[42:48]], size, grow=0.05 * span)
        lips = _filled([landmarks[48:60]], size)
        front = np.zeros((size, size), np.float32)
        kind = self._occluded.get(photo.person)
        around = _filled([landmarks[36:42], landmarks[42:48]], size, grow=0.3 * span)
        if kind == "eyes":
            front = _filled([landmarks[36:42], landmarks[42:48]], size, grow=0.08 * span)
            weight = np.where((around > 0) & (front == 0), 0, weight)
        elif kind == "beside":
            weight = weight * 0
        elif photo.person in self._glasses:
            weight = np.where((around > 0) & (eyes == 0), 0, weight)
        return front, np.where((eyes > 0) | (lips > 0), _FEATURES, weight)


def _chance(landmarks: np.ndarray) -> float:
    """Closed eyes and open mouths are rare, and must not be taken for hidden ones."""
    span = np.linalg.norm(landmarks[45] - landmarks[36])
    opening = np.mean(
        [np.linalg.norm(landmarks[a] - landmarks[b]) for a, b in ((37, 41), (38, 40), (43, 47), (44, 46))]
    )
    gap = np.linalg.norm(landmarks[62] - landmarks[66])
    return 1.0 + 3.0 * (opening < 0.05 * span) + 1.0 * (gap > 0.12 * span)


def _framed(photo: TrainingPhoto, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The aligned crop of ``size`` px, a little askew as by landmarks that are not exact, mirrored by chance."""
    transform = photo_to_crop(photo.landmarks, size)
    angle, zoom = np.radians(rng.normal(0, 4)), np.exp(rng.normal(0, 0.07))
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (size - 1) / 2)
    shift = np.clip(rng.normal(0, 0.03, 2), -0.08, 0.08) * size
    transform = compose(transform, np.hstack([linear, (middle + shift - linear @ middle)[:, None]]))
    mirrored = rng.random() < 0.5
    if mirrored:
        transform = compose(transform, np.array([[-1.0, 0, size - 1], [0, 1, 0]]))
    landmarks = apply(transform, photo.landmarks)
    return photo.warp(transform, (size, size)), landmarks[list(MIRROR)] if mirrored else landmarks


def _stage(picture: np.ndarray, photo: TrainingPhoto, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, shadows and make-up, which hide nothing."""
    picture = picture.astype(np.float32)
    size = len(picture)
    canvas = Canvas(size, landmarks, photo, ())
    if rng.random() < 0.25:  # a cast shadow, hard or soft
        place = landmarks[rng.integers(68)]
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
        radii = rng.uniform(0.3, 1.8, len(angles)) * canvas.span
        shadow = canvas.polygon(place + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1))
        shadow = cv2.GaussianBlur(shadow, (0, 0), np.exp(rng.uniform(np.log(0.4), np.log(12))))
        picture = picture * (1 - rng.uniform(0.2, 0.85) * shadow)[..., None] ** rng.uniform(0.9, 1.1, 3)
    if rng.random() < 0.12:  # half of the face in the dark
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:size, :size].astype(np.float32)
        far = ((x - landmarks[30, 0]) * np.cos(angle) + (y - landmarks[30, 1]) * np.sin(angle)) / canvas.span
        light = 1 / (1 + np.exp(-far * np.exp(rng.uniform(np.log(2), np.log(30)))))
        picture = picture * (rng.uniform(0.08, 0.5) + light)[..., None]
    if rng.random() < 0.2:  # lips made up
        lips = cv2.GaussianBlur(canvas.polygon(landmarks[48:60]) - canvas.polygon(landmarks[60:68]), (0, 0), 1.0)
        colour, strength = rng.uniform(0, 255, 3), rng.uniform(0.2, 0.75)
        picture = _dyed(picture, lips * strength, colour)
    if rng.random() < 0.15:  # shadowed lids, dark rings, painted cheeks
        for side in (0, 1):
            colour, strength = rng.uniform(0, 200, 3), rng.uniform(0.2, 0.7)
            lid = canvas.ellipse(canvas.at(canvas.eye(side), 0, -0.04), (0.22 * canvas.span, 0.12 * canvas.span))
            lid = lid * (1 - cv2.GaussianBlur(canvas.polygon(landmarks[36 + 6 * side : 42 + 6 * side]), (0, 0), 0.7))
            picture = _dyed(picture, cv2.GaussianBlur(lid, (0, 0), 3) * strength, colour)
    if rng.random() < 0.1:  # a face painted, or lit in colour, from one side
        tint = cv2.GaussianBlur(np.clip(materials.smooth_noise(size, rng, cells=3), 0, 1), (0, 0), 2)
        picture = _dyed(picture, tint * rng.uniform(0.2, 0.7), rng.uniform(0, 255, 3))
    if rng.random() < 0.1:  # highlights
        spot = np.clip(materials.smooth_noise(size, rng, cells=6) - 0.8, 0, 1)
        picture = picture + spot[..., None] * rng.uniform(50, 200)
    return np.clip(picture, 0, 255)


def _dyed(picture: np.ndarray, strength: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A picture whose light and shade show through a colour."""
    shade = picture.mean(2, keepdims=True) / max(float(picture.mean()), 20.0)
    return picture + strength[..., None] * (np.clip(shade, 0, 1.6) * colour - picture)


def _laid_on(picture: np.ndarray, occluder: Occluder, rng: np.random.Generator) -> np.ndarray:
    """The picture with an occluder, which throws a soft shadow and may be a little out of focus."""
    alpha = np.clip(occluder.alpha, 0, 1)
    if rng.random() < 0.3:
        alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 1.8))
    if rng.random() < 0.5:
        size = len(alpha)
        shift = np.array([[1, 0, rng.normal(0, 0.015) * size], [0, 1, rng.normal(0.01, 0.015) * size]])
        shadow = cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), rng.uniform(1, 5)), shift, (size, size))
        picture = picture * (1 - rng.uniform(0.1, 0.6) * shadow)[..., None]
    layer = occluder.layer
    if rng.random() < 0.7:  # light of the scene
        level = float(picture.mean()) / 110
        layer = layer * np.clip(level, 0.3, 1.3) ** rng.uniform(0, 1)
    return picture + alpha[..., None] * (np.clip(layer, 0, 255) - picture)


def _filled(shapes: Sequence[np.ndarray], size: int, *, grow: float = 0.0) -> np.ndarray:
    """1 in the convex hulls of point sets (n, 2) grown by some px, 0 outside."""
    mask = np.zeros((size, size), np.uint8)
    for points in shapes:
        cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    if grow >= 1:
        reach = round(grow)
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    return mask.astype(np.float32)
