"""A fitted photo that can be rendered with another expression, head turn and light, from its own pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from facemotion.compositing.tint import LUMA_REC601
from facemotion.errors import InputError
from facemotion.faces import geometry
from facemotion.faces.pose import head_pose
from facemotion.synthetic import eyes, mouths
from facemotion.synthetic import wrinkles as folds
from facemotion.synthetic.fit import corrected, fit_head, project, shape
from facemotion.synthetic.head import (
    EYE_SOCKET,
    EYE_SOCKET_VERTICES,
    EYE_VERTICES,
    EYES,
    FACE,
    FACE_VERTICES,
    HEAD,
    SOCKET,
    SOCKET_VERTICES,
    HeadModel,
)
from facemotion.synthetic.rasterise import NOTHING, rasterise, vertex_normals
from facemotion.synthetic.warping import continued, pixel_grid, sample, smooth_seams

_FEATHER = 0.09
"""How far the motion of the face reaches beyond the mesh, in crop widths."""
_TURN_FEATHER = 0.35
"""The same for a turn of the whole head."""
_FULL_SMILE = 0.65
"""Strength of ``mouthSmile`` that belongs to the real smiles' shading."""
_UPPER_TEETH_CM, _LOWER_TEETH_CM = 0.38, 0.3
"""How much lower than the model's the teeth stand, seen on real smiles."""
_WORST_FIT = 0.03


@dataclass(frozen=True)
class View:
    """How the head is seen: its turn, and the similarity that brings it back into the crop's frame."""

    rotation: np.ndarray
    """(3, 3) from head to camera."""
    recrop: np.ndarray
    """(2, 3) crop px to crop px."""


@dataclass(frozen=True)
class Rendering:
    """One rendered frame before its mouth is painted."""

    image: np.ndarray
    """(N, N, 3) float32 RGB in [0, 1]."""
    inside: np.ndarray
    """(N, N) bool: the mouth's inside shows here."""
    points: np.ndarray
    """(V, 2) float32 px of all vertices."""
    scale: float
    """px per cm."""


class Portrait:
    """A square crop of a photo, the head fitted to it, and what is needed to render it again."""

    def __init__(self, photo: np.ndarray, landmarks: np.ndarray, *, head: HeadModel, crop_px: int):
        """Crop and fit; ``photo`` uint8 (H, W, 3), ``landmarks`` (68, 2) photo px."""
        self.head, self.size_px = head, crop_px
        to_crop = geometry.photo_to_crop(landmarks, crop_px)
        self.crop = geometry.warp_crop(photo, to_crop, crop_px)
        self.landmarks = geometry.apply(to_crop, np.asarray(landmarks, np.float64))
        self.fit = fit_head(self.landmarks, head)
        self.vertices = corrected(shape(self.fit, head), self.fit, self.landmarks, head)
        self.source_points, _ = project(self.fit, self.vertices)
        self.residual = self.landmarks - self.source_points[head.landmark_vertices]
        self.triangles, self.parts = head.drawn(FACE, HEAD, SOCKET, EYE_SOCKET, EYES)
        self.face_triangles, _ = head.drawn(FACE)
        self.skin = self.crop.astype(np.float32) / 255
        self.iod_px = float(np.linalg.norm(self.landmarks[45] - self.landmarks[36]))
        self.gap = float(
            np.linalg.norm(self.landmarks[[61, 62, 63]] - self.landmarks[[67, 66, 65]], axis=1).mean() / self.iod_px
        )
        """How far the photo's lips are parted, in distances of the outer eye corners."""
        self.frontal = View(self.fit.rotation, np.array([[1.0, 0, 0], [0, 1, 0]]))
        self.eyes = eyes.Eyes(self.skin, self.landmarks)
        self.skin_colour, self.skin_likeness = folds.skin(self.skin, self.landmarks)
        self.fold_maps = folds.FoldMaps(self)
        self.blink = eyes.closing(self)
        self.white = mouths.white_of_eyes(self.skin, self.landmarks)
        normals = self._normals(self.vertices)
        self.light = self._fit_light(normals)
        self.neutral_shade = self._shade(normals)
        self.trusted = self._trusted(normals)
        self.shade_weight = self._shade_weight()

    def _fit_light(self, normals: np.ndarray) -> np.ndarray:
        """(4,) first-order light from the skin's brightness: least squares over the face's vertices."""
        normals = normals[FACE_VERTICES]
        x, y = self._pixels(FACE_VERTICES).T
        chosen = (normals[:, 2] > 0.3) & (self.skin_likeness[y, x] > 0.3)
        luminance = cv2.GaussianBlur(self.skin @ LUMA_REC601, (0, 0), self.size_px / 100)[y, x]
        rows = np.c_[np.ones(chosen.sum()), normals[chosen]]
        ridge = np.diag([1e-3, 0.05, 0.05, 0.05]) * max(1, chosen.sum())
        return np.linalg.solve(rows.T @ rows + ridge, rows.T @ luminance[chosen]).astype(np.float32)

    def _trusted(self, normals: np.ndarray) -> np.ndarray:
        """(V,) in [0, 1]: how well the photo shows each vertex, for views from elsewhere; not ears, neck and hair."""
        x, y, z = self.head.vertices.T
        front = (y > -7.9) & (np.abs(x) < 6.4) & (z > 3.5)
        trusted = np.where(front, np.clip((normals[:, 2] - 0.35) / 0.2, 0, 1), 0).astype(np.float32)
        trusted[FACE_VERTICES.stop :] = 0
        trusted[EYE_VERTICES.start :] = 1
        return trusted

    def _shade_weight(self) -> np.ndarray:
        """(V,) in [0, 1]: where the model's light is worth showing; its normals at nose, lips and eyes are not."""
        vertices, at = self.head.vertices, self.head.landmark_vertices
        spots = [(at[30:31], (2.2, 2.6, 3.0)), (at[62:63], (2.6, 1.0, 3.0))]
        spots += [(at[eye], (2.0, 1.2, 3.0)) for eye in (slice(36, 42), slice(42, 48))]
        away = [np.linalg.norm((vertices - vertices[spot].mean(0)) / reach, axis=1) for spot, reach in spots]
        left, right = away[2:]
        return np.prod([np.clip(d - 0.5, 0, 1) for d in (*away[:2], np.minimum(left, right))], axis=0).astype(
            np.float32
        )

    def visible_pixels(self) -> np.ndarray:
        """(n, 2) pixel (x, y) of every face vertex that the photo shows well."""
        return self._pixels(np.flatnonzero(self.trusted[FACE_VERTICES] > 0.9))

    def _pixels(self, vertices: slice | np.ndarray) -> np.ndarray:
        """(n, 2) nearest pixel (x, y) of the photo for each of these vertices, clipped to the crop."""
        return np.clip(np.round(self.source_points[vertices]).astype(int), 0, self.size_px - 1)

    def _normals(self, vertices: np.ndarray) -> np.ndarray:
        return vertex_normals(vertices, self.face_triangles) @ self.fit.rotation.T.astype(np.float32)

    def _shade(self, normals: np.ndarray) -> np.ndarray:
        return np.maximum(self.light[0] + normals @ self.light[1:], 0.08)

    def turned(self, yaw_deg: float, pitch_deg: float) -> View:
        """The head turned further, brought back into the crop's frame."""
        yaw, pitch = np.radians([yaw_deg, pitch_deg])
        about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        view = replace(self.frontal, rotation=about_x @ about_y @ self.fit.rotation)
        landmarks = self.projected(self.vertices, view)[0][self.head.landmark_vertices]
        return replace(view, recrop=geometry.photo_to_crop(landmarks, self.size_px))

    def projected(self, vertices: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
        points, depth = project(replace(self.fit, rotation=view.rotation), vertices)
        return geometry.apply(view.recrop, points), depth

    def landmarks_at(self, vertices: np.ndarray, view: View) -> np.ndarray:
        """(68, 2) px where the landmarks lie for these vertices; the photo's own where nothing moved."""
        at = self.head.landmark_vertices
        moved = self.projected(vertices[at], view)[0]
        return (moved + self.residual @ view.recrop[:, :2].T).astype(np.float32)

    def expressed(self, strengths: np.ndarray) -> np.ndarray:
        """(V, 3) vertices with unit strengths added to the photo's own expression; blinks close this very eye."""
        strengths = strengths.copy()
        vertices = self.vertices.copy()
        for side in "LR":
            index = self.head.unit_index.get(f"eyeBlink_{side}")
            if index is not None and strengths[index]:
                vertices += strengths[index] * self.blink[side]
                strengths[index] = 0
        return vertices + self.head.displacement(strengths)

    def view_flow(self, view: View) -> np.ndarray | None:
        """Flow (N, N, 2) px from the turned neutral head back to the photo; None in the photo's own view."""
        if view is self.frontal:
            return None
        points, depth = self.projected(self.vertices, view)
        attributes = np.concatenate([self.source_points, self.trusted[:, None]], 1)
        _, values = rasterise(points, self.layered(depth), self.triangles, self.parts, attributes, size_px=self.size_px)
        flow = values[..., :2] - pixel_grid(self.size_px)
        return continued(flow, values[..., 2] > 0.5, _TURN_FEATHER * self.size_px, blur_px=0.03 * self.size_px)

    def layered(self, depth: np.ndarray) -> np.ndarray:
        """Eyes and sockets set back a little, so that lids and lips cover them."""
        depth = depth.copy()
        depth[SOCKET_VERTICES] -= 0.1 * self.fit.scale
        depth[EYE_SOCKET_VERTICES] -= 0.9 * self.fit.scale
        depth[EYE_VERTICES] -= 0.4 * self.fit.scale
        return depth

    def render(
        self, strengths: np.ndarray, *, view: View, view_flow: np.ndarray | None, fold_strength: float = 1.0
    ) -> Rendering:
        """The face with these units (U,) added, seen in ``view`` (``view_flow`` from `view_flow` for the same view)."""
        n = self.size_px
        vertices = self.expressed(strengths)
        points, depth = self.projected(vertices, view)
        neutral_points = self.projected(self.vertices, view)[0]
        shade = np.log(self._shade(self._normals(vertices)) / self.neutral_shade) * self.shade_weight
        shade += self._smile_shade(strengths)
        attributes = np.column_stack([self.source_points, neutral_points, np.clip(shade, -0.4, 0.3), self.trusted])
        part_map, values = rasterise(points, self.layered(depth), self.triangles, self.parts, attributes, size_px=n)
        solid = (part_map == FACE) | (part_map == HEAD) | (part_map == EYES)
        inside = part_map == SOCKET
        at = self.source_at(values, part_map, solid, view_flow)
        texture = self.fold_maps.applied(self.skin, strengths, self.head, fold_strength)
        image = sample(texture, at)
        self.eyes.draw(image, (part_map == EYES) | (part_map == EYE_SOCKET), at)
        closing = max(strengths[self.head.unit_index[f"eyeBlink_{side}"]] for side in "LR")
        self.eyes.draw_lids(image, part_map == FACE, at, closing=closing)
        margins = [points[self.head.landmark_vertices[list(m)]] for m in ((36, 37, 38, 39), (42, 43, 44, 45))]
        self.eyes.draw_lashes(image, margins, closing=closing)
        ratio = np.where(part_map == FACE, values[..., 4], 0)
        image *= np.exp(cv2.GaussianBlur(ratio, (0, 0), n / 160))[..., None]
        smooth_seams(image, at)
        return Rendering(np.clip(image, 0, 1), inside, points, self.fit.scale)

    def _smile_shade(self, strengths: np.ndarray) -> np.ndarray:
        """(V,) log-shading of a real smile, in proportion to the smile's strength."""
        index = self.head.unit_index
        smile = sum(strengths[index[f"mouthSmile_{side}"]] for side in "LR") / 2 / _FULL_SMILE
        shade = np.zeros(len(self.head.vertices), np.float32)
        if smile > 0 and len(real_smile := folds.smile_shading()) <= len(shade):
            shade[: len(real_smile)] = min(1.4, smile) * real_smile
        return shade

    def source_at(
        self, values: np.ndarray, part_map: np.ndarray, solid: np.ndarray, view_flow: np.ndarray | None
    ) -> np.ndarray:
        """(N, N, 2) where in the photo each pixel comes from: exactly on the mesh, continued smoothly beyond it.

        ``values`` are interpolated source points, neutral points in the view and, last, trust.
        """
        n = self.size_px
        grid = pixel_grid(n)
        moved = np.where(solid[..., None], values[..., 2:4] - grid, 0)
        at = grid + continued(moved, solid, _FEATHER * n, hole=part_map != NOTHING)
        direct = solid
        if view_flow is not None:
            at = at + cv2.remap(view_flow, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            direct = solid & (values[..., -1] > 0.5)
        return np.where(direct[..., None], values[..., :2], at)

    def opening(self, rendering: Rendering) -> mouths.Opening:
        """Where the mouth of a rendered frame is open, and the edges of its teeth."""
        upper, lower = (np.polyfit(*rendering.points[edge].T.astype(np.float64), 2) for edge in self.head.teeth_edges)
        upper[2] += _UPPER_TEETH_CM * rendering.scale
        lower[2] += _LOWER_TEETH_CM * rendering.scale
        corners = rendering.points[self.head.landmark_vertices[[60, 64]]].astype(np.float64)
        middle = float(rendering.points[self.head.teeth_edges[0], 0].mean())
        return mouths.Opening(rendering.inside, corners, middle, upper, lower, self.iod_px)

    def relight(self, view: View, toward: np.ndarray) -> np.ndarray:
        """(N, N, 1) gain that adds light from ``toward`` (3,) (camera axes, length is the strength) to a view."""
        normals = self._normals(self.vertices) @ self.fit.rotation @ view.rotation.T
        points, depth = self.projected(self.vertices, view)
        gain = (normals @ toward.astype(np.float32))[:, None]
        triangles, parts = self.head.drawn(FACE, HEAD)
        part_map, values = rasterise(points, depth, triangles, parts, gain, size_px=self.size_px)
        known = part_map == FACE
        field = continued(np.repeat(values, 2, 2), known, 0.5 * self.size_px)[..., :1]
        return np.exp(cv2.GaussianBlur(field, (0, 0), self.size_px / 40))[..., None]


def check_fit(portrait: Portrait) -> None:
    """Raise ``InputError`` with the reason where the rendering would not be worth learning from.

    The head must fit the 51 inner landmarks to 3 % of the distance of the outer eye corners on average, the face must
    not be turned by more than 40° or nodded by more than 30°, and at least a fifth of it must have the colour of
    its cheeks (hands, masks and hair before the face do not).
    """
    if portrait.fit.inner_error > _WORST_FIT:
        raise InputError(f"the head does not fit: mean error {portrait.fit.inner_error:.1%} of the eye distance")
    yaw, pitch, _ = head_pose(portrait.landmarks)
    if abs(yaw) > 40 or abs(pitch) > 30:
        raise InputError(f"the head is turned too far: yaw {yaw:.0f}°, pitch {pitch:.0f}°")
    x, y = portrait.visible_pixels().T
    skin = float((portrait.skin_likeness[y, x] > 0.25).mean())
    if skin < 0.2:
        raise InputError(
            f"only {skin:.0%} of the face looks like skin: something covers it, or its light is too uneven"
        )
