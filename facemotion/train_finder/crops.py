"""Training crops for the landmark network: loosely framed as by the detector, or tightly as by itself."""

from collections.abc import Sequence

import cv2
import numpy as np

from facemotion.faces.finder_crop import MIRROR_68, tight_crop
from facemotion.faces.finder_networks import LandmarkConfig
from facemotion.faces.geometry import apply, compose
from facemotion.train_finder.degrade import degrade
from facemotion.train_finder.faceless import Faceless
from facemotion.train_finder.photos import Photo

EXPRESSIVE_SHARE = 0.3
"""Share of the faces that comes from the frames of clips, where there are any."""


class Crops:
    """Draws crops with their landmarks; about one in seven shows no face."""

    def __init__(
        self, photos: Sequence[Photo], faceless: Faceless, config: LandmarkConfig, *, expressive: Sequence[Photo] = ()
    ):
        self.photos, self.expressive, self.faceless, self.size = photos, expressive, faceless, config.input_px
        self.mined: list[np.ndarray] = []
        """Faceless crops that the detector took for faces."""

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """A degraded crop (input_px, input_px, 3) uint8, and its landmarks (68, 2) in crop px or None."""
        if rng.random() < 0.16:
            chance = rng.random()
            if chance < 0.6 and self.mined:
                crop = self.mined[rng.integers(len(self.mined))]
            elif chance < 0.8:
                crop = self._piece_of_face(rng)
            else:
                crop = self.faceless.draw(self.size, rng)
            return degrade(np.ascontiguousarray(crop), rng, strength=0.7), None
        photos = self.expressive if self.expressive and rng.random() < EXPRESSIVE_SHARE else self.photos
        photo = photos[rng.integers(len(photos))]
        transform = compose(tight_crop(photo.landmarks, self.size), self._jitter(rng))
        mirrored = rng.random() < 0.5
        if mirrored:
            transform = compose(transform, np.array([[-1.0, 0, self.size - 1], [0, 1, 0]]))
        border = cv2.BORDER_CONSTANT if rng.random() < 0.2 else cv2.BORDER_REPLICATE
        crop = photo.warp(transform, (self.size, self.size), border)
        landmarks = apply(transform, photo.landmarks)
        if mirrored:
            landmarks = landmarks[MIRROR_68]
        if rng.random() < 0.25:
            self._occlude(crop, landmarks, rng)
        if rng.random() < 0.08:
            crop, landmarks = self._cut_off(crop, landmarks, rng)
        return degrade(crop, rng), landmarks

    def _piece_of_face(self, rng: np.random.Generator) -> np.ndarray:
        """A crop so near a head that hair, an eye or a cheek is alone in it."""
        photo = self.photos[rng.integers(len(self.photos))]
        transform = tight_crop(photo.landmarks, self.size) * np.exp(rng.uniform(np.log(2.5), np.log(6)))
        extent = np.ptp(photo.landmarks, axis=0)
        spot = photo.landmarks.min(0) + rng.uniform(-0.3, 1.2, 2) * extent
        spot = np.clip(spot, 0, np.array(photo.image.shape[1::-1]) - 1)
        transform[:, 2] = (self.size - 1) / 2 - transform[:, :2] @ spot
        return photo.warp(transform, (self.size, self.size))

    def _jitter(self, rng: np.random.Generator) -> np.ndarray:
        """How far the crop differs from the one that the true landmarks give: an affine transform (2, 3) of it."""
        loose = 1.0 if rng.random() < 0.5 else 0.35
        angle = np.radians(rng.normal(0, 12 * loose))
        if rng.random() < 0.1:
            angle = np.radians(rng.uniform(-40, 40))
        zoom = np.exp(rng.normal(-0.03 * loose, 0.11 * loose))
        stretch = np.exp(rng.normal(0, 0.05))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.array([[1, rng.normal(0, 0.04)], [0, 1]])
        linear = zoom * turn @ shear @ np.diag([stretch, 1 / stretch])
        middle = np.full(2, (self.size - 1) / 2)
        shift = np.clip(rng.normal(0, 0.06 * loose, 2), -0.2, 0.2) * self.size
        return np.hstack([linear, (middle + shift - linear @ middle)[:, None]])

    def _occlude(self, crop: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> None:
        if rng.random() < 0.25:  # dark glasses
            for eye in (landmarks[36:42], landmarks[42:48]):
                radius = 0.5 * np.linalg.norm(landmarks[45] - landmarks[36]) * rng.uniform(0.28, 0.4)
                colour = [int(c) for c in rng.integers(0, 90, 3)]
                axes = [max(int(radius), 1), max(int(radius * rng.uniform(0.6, 1)), 1)]
                cv2.ellipse(crop, [int(c) for c in eye.mean(0)], axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
            return
        cover = self.faceless.draw(self.size, rng)
        mask = np.zeros(crop.shape[:2], np.uint8)
        at = landmarks[rng.integers(68)] + rng.normal(0, 0.05 * self.size, 2)
        axes = rng.uniform(0.05, 0.22, 2) * self.size
        if rng.random() < 0.5:
            radii, turn = [int(c) + 1 for c in axes], float(rng.uniform(0, 180))
            cv2.ellipse(mask, [int(c) for c in at], radii, turn, 0, 360, 255, -1)
        else:
            cv2.rectangle(mask, [int(c) for c in at - axes], [int(c) for c in at + axes], 255, -1)
        crop[mask > 0] = cover[mask > 0]

    def _cut_off(self, crop: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator):
        """The photo ends within the face: its edge row or column goes on to the crop's edge."""
        turns = int(rng.integers(4))
        turned = np.ascontiguousarray(np.rot90(crop, turns))
        depth = int(rng.uniform(0.08, 0.3) * self.size)
        turned[:depth] = turned[depth] if rng.random() < 0.7 else 0
        return np.ascontiguousarray(np.rot90(turned, -turns)), landmarks
