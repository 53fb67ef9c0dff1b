"""One photo's face with other units: flow and light for its skin, and layers for what the photo does not show.

The layers, from back to front: moved skin, the mouth's inside, eyeballs, lids. Skin keeps the photo's own pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np

from facemotion.head.model import FACE_VERTICES, Head, load_head
from facemotion.head.rasteriser import HIDDEN, rasterise, vertex_normals
from facemotion.head.rig import EYES, LOWER_LIP, UPPER_LIP, HeadMotion, Rig, landmark_spread, within_outline
from facemotion.rendering import kernels, light
from facemotion.rendering.boxes import Box, LayerCanvas, f32
from facemotion.rendering.donors import choose_donor, teeth_donors
from facemotion.rendering.eyes import EyeRenderer
from facemotion.rendering.flow import continued, creases, untorn
from facemotion.rendering.lip_line import on_lip_line
from facemotion.rendering.mouth import MouthRenderer
from facemotion.rendering.smile_relief import SmileRelief, smile_relief
from facemotion.rendering.wrinkles import Wrinkles, fold_paths

FLOW_PX = 320
"""Side of the maps of flow and light."""
_REACH = 0.045
"""How far the motion of the face reaches beyond the mesh, in crop widths."""
TURN_SPAN = 1.75
"""Side, in crop widths, of the square in which a turn of the head moves anything."""
_TURN_REACH = 0.05, 0.16, 0.012
"""How far a turn of the head reaches beyond the mesh: fully, over hair and hat; fading; and how smoothly."""
_NEAR_MOUTH = 0.55
"""Radius in which skin tells how much light falls on the teeth, in distances of the outer eye corners."""
_FEWEST_WHITE = 12
"""Pixels of both eye openings below which they say nothing."""
_OPEN_EYE = 0.04
"""Height of an eye's opening, in distances of the outer eye corners, from which on its white is looked at."""
_LAYERS_COME_IN = 0.02
"""Motion of lips or lids, in distances of the outer eye corners, at which their layers have come in wholly."""
_TYPICAL_SKIN = 0.6
_LIDS = {side: upper + lower for side, (upper, lower) in EYES.items()}
_JUMP = 3.5
"""Px between the places in the photo of neighbouring pixels, from which on the mesh folds there."""
_HAIR_CM = -2.5
"""Depth on the head at which hair and hat beside the face are taken to lie."""


@dataclass(frozen=True)
class Layer:
    """A rectangle of the crop that is drawn over the moved skin."""

    box: Box
    colour: np.ndarray
    """(h, w, 3) float32 RGB in [0, 1]."""
    opacity: np.ndarray
    """(h, w) float32 in [0, 1]."""
    fresh: np.ndarray
    """(h, w) float32 in [0, 1]: how much of it is not made of the photo's own pixels, and wants their grain."""


@dataclass(frozen=True, eq=False)
class Patch:
    """Residual colour in an upright rectangle of the crop, added to what is seen there."""

    centre: tuple[float, float]
    """(x, y) crop widths."""
    extent: tuple[float, float]
    """(width, height) crop widths."""
    residual: np.ndarray
    """(h, w, 3) float32 in [-1, 1], added to RGB in [0, 1]; 0 at the rectangle's edges."""


@dataclass(frozen=True)
class Rendering:
    """A frame of one face, as its compositor takes it."""

    flow: np.ndarray
    """(n, n, 2) float32 backward displacement (x, y) in crop widths: ``frame(p) = photo(p + flow)``."""
    log_gain: np.ndarray
    """(n, n) float32 logarithm of the factor by which luminance changes, in linear light."""
    layers: tuple[Layer, ...]
    """Drawn over the moved skin in this order."""
    turn: np.ndarray | None
    """(n, n, 2) float32 backward displacement in crop widths of the turned head, after all else, over a square of
    `TURN_SPAN` crop widths about the crop's middle; None where it stays: ``turned(p) = frame(p + turn)``."""
    landmarks: np.ndarray
    """(468, 2) px of the crop."""
    patches: tuple[Patch, ...] = ()
    """Added to the frame over its layers."""


def warm_up() -> None:
    """Load and work out what is the same for every photo, so that the first one need not wait for it."""
    head = load_head()
    vertex_normals(head.vertices, head.face_triangles)
    rasterise(head.vertices, head.triangles, head.vertices, size=(1, 1))
    landmark_spread(head)
    within_outline(head)
    fold_paths(head)
    smile_relief()
    teeth_donors()


class FaceRenderer:
    """A photo's face, ready to show other units."""

    def __init__(self, crop: np.ndarray, landmarks: np.ndarray, *, prior: np.ndarray | None = None, seed: int = 0):
        """crop: (N, N, 3) uint8 RGB, upright. landmarks: (478, 2) px Face Mesh landmarks with irises.
        prior: (52,) the photo's own units as measured. seed: whose teeth are lent."""
        self.size_px = crop.shape[0]
        self._image = crop.astype(np.float32) / 255
        self.rig = on_lip_line(Rig.on(landmarks, self.size_px, prior=prior), self._image)
        self._small = cv2.resize(self._image, (FLOW_PX, FLOW_PX), interpolation=cv2.INTER_AREA)
        self._to_small = FLOW_PX / self.size_px
        self._index = self.rig.head.unit_index
        self._burnt = light.burnt_out(self._small)
        skin, likeness = self._skin()
        luminance = light.linear_luminance(self._small)
        self._folds = Wrinkles(self.rig, likeness, luminance), SmileRelief(self.rig, likeness, luminance)
        self._fit_light(likeness)
        self.eyes = {side: EyeRenderer(self._image, self.rig, side) for side in EYES}
        lit = light.light_on_face(skin, self._bright_skin(likeness), self._eye_white())
        colourfulness = light.colourfulness(skin)
        self.mouth = MouthRenderer(self._image, self.rig, choose_donor(seed), lit=lit, colourfulness=colourfulness)

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

    def _bright_skin(self, likeness: np.ndarray) -> float:
        """Luminance of the bright skin around the mouth, where there is any to be seen, else of the face."""
        middle = self._source[self.rig.head.landmark_vertices[[61, 291]], :2].mean(0)
        away = np.linalg.norm(Box(0, 0, FLOW_PX, FLOW_PX).grid() - middle, axis=2)
        near = away < _NEAR_MOUTH * self.rig.eye_px * self._to_small
        skin = likeness > 0.4
        for place in (skin & near, skin):
            if place.sum() > 200:
                return float(np.percentile((self._small @ light.LUMA)[place], 90))
        return _TYPICAL_SKIN

    def _eye_white(self) -> np.ndarray | None:
        """(3,) colour of the eye whites, as bright as the brightest fifth of the eyes' openings; None where they are
        closed."""
        mask = np.zeros(self._image.shape[:2], np.uint8)
        for upper, lower in EYES.values():
            upper_lid, lower_lid = (self.rig.landmarks[list(lid)] for lid in (upper, lower))
            if (lower_lid - upper_lid)[:, 1].max() > _OPEN_EYE * self.rig.eye_px:
                outline = np.concatenate([upper_lid, lower_lid[::-1]])
                cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
        colours = self._image[mask > 0]
        if len(colours) < _FEWEST_WHITE:
            return None
        luminance = colours @ light.LUMA
        colour = np.median(colours[luminance >= np.percentile(luminance, 75)], axis=0) + 1e-3
        return colour * (float(np.percentile(luminance, 80)) / (colour @ light.LUMA))

    def render(self, control: np.ndarray, head: HeadMotion | None = None) -> Rendering:
        """The face at a control (52,): units beyond the photo's own, negative where they are to go away; and turned."""
        control = self._within_reach(np.asarray(control, np.float32))
        points = self.rig.moved(control)
        flow, gain = self._skin_motion(points, control)
        drawn = self._drawn(flow, gain, points, control)
        layers = [Layer(each.box, each.image, each.opacity, each.fresh) for each in drawn if each.opacity.any()]
        return Rendering(flow / FLOW_PX, gain, tuple(layers), self._turn(head), self.rig.landmarks_at(points))

    def landmarks_at(self, control: np.ndarray, head: HeadMotion | None = None) -> np.ndarray:
        """(468, 2) px of the crop where the landmarks are at a control (52,), with the head turned."""
        rig = self.rig
        points = rig.landmarks_at(rig.moved(self._within_reach(np.asarray(control, np.float32))))
        if head:
            at = rig.head.landmark_vertices
            points = points + (rig.turned(head) - rig.source)[at, :2]
        return points

    def _turn(self, head: HeadMotion | None) -> np.ndarray | None:
        """Where each pixel of a turned head comes from: exactly on the face, smooth over hair, hat and neck."""
        if not head:
            return None
        # On a square of TURN_SPAN crop widths about the crop's middle, since hair and hat go beyond the crop.
        points, source = (_on_span(self._in_small(each)) for each in (self.rig.turned(head), self.rig.source))
        attributes = np.column_stack([source[:, :2], self.rig.shown])
        depth, values = rasterise(points, self.rig.head.triangles, attributes, size=(FLOW_PX, FLOW_PX))
        seen = depth > HIDDEN
        known = seen & (values[..., 2] > 0.5)
        grid = Box(0, 0, FLOW_PX, FLOW_PX).grid()
        flow = np.where(known[..., None], values[..., :2] - grid, 0)
        solid = _filled(seen.astype(np.uint8)).astype(bool)
        full, fade, blur = (share * FLOW_PX / TURN_SPAN for share in _TURN_REACH)
        pivot, hair = (_on_span(self._in_small(p[None]))[0] for p in (self.rig.pivot, self.rig.at_depth(_HAIR_CM)))
        around = np.dstack([grid, np.full(grid.shape[:2], hair[2])]) - pivot
        beyond = (around - around @ head.matrix.T)[..., :2].astype(np.float32)
        flow = continued(flow, known, solid, fade, full=full, blur=blur, beyond=beyond)
        return (cv2.GaussianBlur(flow, (0, 0), 1.0) * (TURN_SPAN / FLOW_PX)).astype(np.float32)

    def _within_reach(self, control: np.ndarray) -> np.ndarray:
        """Lids that meet close no further, whatever else narrows them."""
        control = control.copy()
        for side, eye in self.eyes.items():
            at = self._index[f"eyeBlink{side}"]
            if control[at] <= 0:
                continue
            others = control.copy()
            others[at] = 0
            open_without = eye.gap_at(others) / max(eye.aperture, 1e-3)
            control[at] = min(float(control[at]), max(0.0, open_without))
        return control

    def _skin_motion(self, points: np.ndarray, control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        small = self._in_small(points)
        normals = vertex_normals(small, self.rig.head.face_triangles)
        shade = (np.log(light.irradiance(self._light, normals)) - self._neutral) * self._believed
        shade = np.clip(shade, -0.7, 0.5) * within_outline(self.rig.head)
        attributes = np.column_stack([self._source[:, :2], shade]).astype(np.float32)
        depth, values = rasterise(small, self.rig.head.triangles, attributes, size=(FLOW_PX, FLOW_PX))
        known = depth > HIDDEN
        grid = Box(0, 0, FLOW_PX, FLOW_PX).grid()
        flow = kernels.displacement(depth, values, HIDDEN)
        solid = cv2.morphologyEx(known.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        solid = _filled(solid)
        # A dropped jaw takes what is below along, as far as it needs for pixels to keep their order.
        most = np.abs(small[:, :2] - self._source[:, :2])[_on_outline(self.rig.head)].max()
        reach = float(np.clip(2.2 * most, _REACH * FLOW_PX, 0.13 * FLOW_PX))
        flow = continued(flow, known, solid.astype(bool), reach, full=reach, beyond=np.zeros_like(flow))
        flow = untorn(flow)
        gain = light.smooth(np.where(known, values[..., 2], 0), FLOW_PX / 160)
        folds = [each for each in (fold.log_gain(control) for fold in self._folds) if each is not None]
        if folds:
            gain = gain + cv2.remap(np.sum(folds, axis=0), grid + flow, None, cv2.INTER_LINEAR)
        if self._burnt is not None:
            burnt = cv2.remap(self._burnt, grid + flow, None, cv2.INTER_LINEAR)
            gain = np.where(gain < 0, gain * (1 - burnt), gain)
        return flow, gain.astype(np.float32)

    def _drawn(
        self, flow: np.ndarray, gain: np.ndarray, points: np.ndarray, control: np.ndarray
    ) -> Iterator[LayerCanvas]:
        """The layers over the moved skin, at the crop's resolution, from back to front."""
        lips = self._come_in(points, UPPER_LIP + LOWER_LIP)
        if lips:
            mouth = self.mouth.box_at(points)
            cover, at = self.mouth.view(points, mouth)
            canvas, at = self._skin_in(mouth, cover, at, flow, gain)
            self.mouth.draw(canvas, cover, at, points, control)
            yield canvas.shown(lips)
        for side, eye in self.eyes.items():
            lids = self._come_in(points, _LIDS[side], float(np.linalg.norm(eye.gaze_shift(control))))
            if lids:
                cover, at = eye.view(points)
                canvas, at = self._skin_in(eye.box, cover, at, flow, gain)
                eye.draw(canvas, cover, at, points, control)
                yield canvas.shown(lids)

    def _come_in(self, points: np.ndarray, landmarks: tuple[int, ...], further: float = 0.0) -> float:
        """How far, in [0, 1], a layer has come in over the photo that it draws anew: by how far these landmarks move,
        or something else does (px). All at once it would be a step."""
        at = self.rig.head.landmark_vertices[list(landmarks)]
        moved = float(np.abs(points[at, :2] - self.rig.source[at, :2]).max())
        return min(1.0, max(moved, further) / (_LAYERS_COME_IN * self.rig.eye_px))

    def _skin_in(
        self, box: Box, cover: np.ndarray, at: np.ndarray, flow: np.ndarray, gain: np.ndarray
    ) -> tuple[LayerCanvas, np.ndarray]:
        """The moved skin in a box, as exactly as the mesh says, and where in the photo it came from: ``at``
        (h, w, 2), completed where the mesh does not say."""
        coarse = _enlarged(flow, box, self.size_px)
        kernels.place_uncovered(at, cover, coarse, box.x0, box.y0, np.float32(self.size_px / FLOW_PX))
        torn = creases(at, _JUMP)
        if torn is not None:  # a fold of the mesh: between its two sides lies what neither of them shows
            there = box.grid() + coarse * np.float32(self.size_px / FLOW_PX)
            at = at + torn[..., None] * (there - at)
        moved = cv2.remap(self._image, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return LayerCanvas.on(box, light.relit(moved, _enlarged(gain, box, self.size_px))), at


@cache
def _on_outline(head: Head) -> np.ndarray:
    """(V,) bool vertices of the face near its outline."""
    near = within_outline(head) < 0.3
    near[FACE_VERTICES:] = False
    return near


def _on_span(points: np.ndarray) -> np.ndarray:
    """Points (n, 3) px of the small crop as px of a map of the same size that spans `TURN_SPAN` crops."""
    moved = points / TURN_SPAN
    moved[:, :2] += (0.5 + 0.5 * (TURN_SPAN - 1) * FLOW_PX) / TURN_SPAN - 0.5
    return moved.astype(np.float32)


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
