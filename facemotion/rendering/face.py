"""One photo's face with other units: flow and light for its skin, and layers for what the photo does not show.

The layers, from back to front: moved skin, the mouth's inside, eyeballs, lids. Skin keeps the photo's own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from facemotion.head.model import FACE_VERTICES
from facemotion.head.rasteriser import HIDDEN, rasterise, vertex_normals
from facemotion.head.rig import EYES, Rig
from facemotion.rendering import light
from facemotion.rendering.boxes import Box, f32
from facemotion.rendering.eyes import Eye
from facemotion.rendering.flow import continued
from facemotion.rendering.mouth import Mouth, choose_donor
from facemotion.rendering.wrinkles import Wrinkles, smile_gain

FLOW_PX = 320
"""Side of the maps of flow and light."""
_REACH = 0.07
"""How far the motion of the face reaches beyond the mesh, in crop widths."""


@dataclass(frozen=True)
class Layer:
    """A rectangle of the crop that is drawn over the moved skin."""

    box: Box
    colour: np.ndarray
    """(h, w, 3) float32 RGB in [0, 1]."""
    opacity: np.ndarray
    """(h, w) float32 in [0, 1]."""


@dataclass(frozen=True)
class Rendering:
    """A frame of one face, as its compositor takes it."""

    flow: np.ndarray
    """(n, n, 2) float32 backward displacement (x, y) in crop widths: ``frame(p) = photo(p + flow)``."""
    log_gain: np.ndarray
    """(n, n) float32 logarithm of the factor by which luminance changes, in linear light."""
    layers: tuple[Layer, ...]
    landmarks: np.ndarray
    """(468, 2) px of the crop."""


class FaceRenderer:
    """A photo's face, ready to show other units."""

    def __init__(self, crop: np.ndarray, landmarks: np.ndarray, *, prior: np.ndarray | None = None, seed: int = 0):
        """crop: (N, N, 3) uint8 RGB, upright. landmarks: (478, 2) px Face Mesh landmarks with irises.
        prior: (52,) the photo's own units as measured. seed: whose teeth are lent."""
        self.size_px = crop.shape[0]
        self.rig = Rig.on(landmarks, self.size_px, prior=prior)
        self._image = crop.astype(np.float32) / 255
        self._small = cv2.resize(self._image, (FLOW_PX, FLOW_PX), interpolation=cv2.INTER_AREA)
        self._to_small = FLOW_PX / self.size_px
        self._index = self.rig.head.unit_index
        skin, likeness = self._skin()
        self._wrinkles = Wrinkles(self.rig, likeness, FLOW_PX)
        self._fit_light(likeness)
        self.eyes = {side: Eye(self._image, self.rig, side) for side in EYES}
        bright = float(np.percentile((self._small @ light.LUMA)[likeness > 0.4], 97)) if (likeness > 0.4).any() else 0.9
        donor = choose_donor(float(skin @ light.LUMA), seed)
        self.mouth = Mouth(self._image, self.rig, donor, skin=skin, white=self._eye_white(), bright=bright)

    def _in_small(self, points: np.ndarray) -> np.ndarray:
        moved = points.copy()
        moved[:, :2] = (moved[:, :2] + 0.5) * self._to_small - 0.5
        moved[:, 2] *= self._to_small
        return moved

    @cached_property
    def _source(self) -> np.ndarray:
        return self._in_small(self.rig.source)

    def _pixels(self) -> tuple[np.ndarray, np.ndarray]:
        at = np.clip(np.round(self._source[:FACE_VERTICES, :2]).astype(int), 0, FLOW_PX - 1)
        return at[:, 0], at[:, 1]

    def _skin(self) -> tuple[np.ndarray, np.ndarray]:
        """Typical colour (3,) of the cheeks, and how like it each pixel of the small crop is, (n, n) in [0, 1]."""
        image = self._small
        cheeks = np.zeros(image.shape[:2], np.uint8)
        for landmark in (50, 280, 205, 425):
            x, y = self._source[self.rig.head.landmark_vertices[landmark], :2]
            cv2.circle(cheeks, (round(float(x)), round(float(y))), max(2, FLOW_PX // 36), 1, -1)
        colour = np.median(image[cheeks > 0], axis=0) if cheeks.any() else image.reshape(-1, 3).mean(0)
        blurred = light.smooth(image, 1.3)
        brightness = blurred.mean(2) / (colour.mean() + 1e-3)
        chroma = blurred / (blurred.sum(2, keepdims=True) + 1e-3) - colour / (colour.sum() + 1e-3)
        darker = np.where(brightness < 1, (np.log(np.maximum(brightness, 0.05)) / 0.55) ** 2, 0)
        likeness = np.exp(-0.5 * ((chroma**2).sum(2) / 0.035**2 + darker))
        return colour.astype(np.float32), light.smooth(likeness.astype(np.float32), FLOW_PX / 128)

    def _fit_light(self, likeness: np.ndarray) -> None:
        triangles = self.rig.head.face_triangles
        normals = vertex_normals(self._source, triangles)
        x, y = self._pixels()
        chosen = (normals[:FACE_VERTICES, 2] > 0.3) & (likeness[y, x] > 0.3)
        luminance = light.smooth(light.linear_luminance(self._small), FLOW_PX / 100)[y, x]
        self._light = light.fit_light(normals[:FACE_VERTICES][chosen], luminance[chosen])
        self._neutral = np.log(light.irradiance(self._light, normals))
        # Normals of the mesh at nose, lips and eyes are too coarse to be believed.
        vertices, at = self.rig.head.vertices, self.rig.head.landmark_vertices
        spots = [(at[[1]], (2.2, 2.6, 3.0)), (at[[13]], (2.4, 0.9, 3.0))]
        eyes = [(at[[upper[4], lower[4]]], (2.0, 1.2, 3.0)) for upper, lower in EYES.values()]
        weights = [np.linalg.norm((vertices - vertices[s].mean(0)) / reach, axis=1) for s, reach in spots + eyes]
        weights = [*weights[:2], np.minimum(*weights[2:])]
        self._believed = np.prod([np.clip(d - 0.5, 0, 1) for d in weights], axis=0).astype(np.float32)
        self._believed[FACE_VERTICES:] = 0

    def _eye_white(self) -> float:
        """Luminance of the brightest fifth of both eye openings: how much light falls on the face."""
        mask = np.zeros(self._image.shape[:2], np.uint8)
        for upper, lower in EYES.values():
            outline = np.concatenate([self.rig.landmarks[list(upper)], self.rig.landmarks[list(lower)][::-1]])
            cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
        values = (self._image @ light.LUMA)[mask > 0]
        return float(np.percentile(values, 80)) if len(values) else 0.6

    def render(self, control: np.ndarray) -> Rendering:
        """The face at a control (52,): units beyond the photo's own, negative where they are to go away."""
        control = self._within_reach(np.asarray(control, np.float32))
        points = self.rig.moved(control)
        flow, gain = self._skin_motion(points, control)
        image, alpha = self._draft(flow, gain, points, control)
        layers = []
        for box in self._boxes:
            opacity = alpha[box.of]
            if opacity.any():
                layers.append(Layer(box, image[box.of].copy(), opacity.copy()))
        return Rendering(flow / FLOW_PX, gain, tuple(layers), self.rig.landmarks_at(points))

    def _within_reach(self, control: np.ndarray) -> np.ndarray:
        """Lids that meet close no further, whatever else narrows them."""
        control = control.copy()
        for side, eye in self.eyes.items():
            at = self._index[f"eyeBlink{side}"]
            if control[at] <= 0:
                continue
            others = control.copy()
            others[at] = 0
            open_without = eye.gap(self.rig.moved(others)) / max(eye.aperture, 1e-3)
            control[at] = min(float(control[at]), max(0.0, open_without))
        return control

    def _skin_motion(self, points: np.ndarray, control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        small = self._in_small(points)
        normals = vertex_normals(small, self.rig.head.face_triangles)
        shade = (np.log(light.irradiance(self._light, normals)) - self._neutral) * self._believed
        shade = np.clip(shade, -0.7, 0.5) + smile_gain(control, self._index, len(points))
        attributes = np.column_stack([self._source[:, :2], shade]).astype(np.float32)
        depth, values = rasterise(small, self.rig.head.triangles, attributes, size=(FLOW_PX, FLOW_PX))
        known = depth > HIDDEN
        grid = Box(0, 0, FLOW_PX, FLOW_PX).grid()
        flow = np.where(known[..., None], values[..., :2] - grid, 0)
        solid = cv2.morphologyEx(known.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        solid = _filled(solid)
        flow = continued(flow, known, solid.astype(bool), _REACH * FLOW_PX)
        gain = light.smooth(np.where(known, values[..., 2], 0), FLOW_PX / 160)
        folds = self._wrinkles.log_gain(control)
        if folds is not None:
            gain = gain + cv2.remap(folds, grid + flow, None, cv2.INTER_LINEAR)
        return flow, gain.astype(np.float32)

    @cached_property
    def _boxes(self) -> tuple[Box, ...]:
        """Where layers may lie: both eyes and the mouth, as far as jaw and lips go."""
        eye = self.rig.eye_px
        lips = self.rig.landmarks[[61, 291, 0, 17]]
        mouth = Box.around(
            np.concatenate([lips + f32(shift) * eye for shift in ((0.22, 0), (-0.22, 0), (0, 0.5))]),
            0.08 * eye,
            self.size_px,
        )
        return (*(each.box for each in self.eyes.values()), mouth)

    def _draft(
        self, flow: np.ndarray, gain: np.ndarray, points: np.ndarray, control: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The layers drawn over the moved skin, at the crop's resolution, and their opacity."""
        n = self.size_px
        image, alpha = np.zeros((n, n, 3), np.float32), np.zeros((n, n), np.float32)
        at = {}
        for box in self._boxes:
            at[box] = box.grid() + _enlarged(flow, box, n) * (n / FLOW_PX)
            moved = cv2.remap(self._image, at[box], None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            image[box.of] = light.relit(moved, _enlarged(gain, box, n))
        self.mouth.draw(image, alpha, points, control)
        for eye in self.eyes.values():
            eye.draw(image, alpha, points, at[eye.box], control)
        return image, alpha


def _enlarged(values: np.ndarray, box: Box, size_px: int) -> np.ndarray:
    """A map of the whole crop at every pixel of a box of the crop at ``size_px``."""
    ratio = values.shape[0] / size_px
    to_map = f32([[ratio, 0, (box.x0 + 0.5) * ratio - 0.5], [0, ratio, (box.y0 + 0.5) * ratio - 0.5]])
    height, width = box.shape
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, to_map, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _filled(mask: np.ndarray) -> np.ndarray:
    """A mask (n, n) uint8 without holes."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask), contours, -1, 1, cv2.FILLED)
