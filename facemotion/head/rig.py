"""The head on one photo: every unit as a motion of its vertices in the crop, and what units may not do to a face."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np
from scipy.spatial import cKDTree

from facemotion.faces.geometry import smoothstep
from facemotion.head.fit import FACE_OVAL, HeadFit, fit_head
from facemotion.head.model import FACE_VERTICES, Head, load_head
from facemotion.head.rasteriser import vertex_normals

UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Face Mesh landmarks along the inner edges of the lips, from image left to right."""
EYES = {
    "Right": ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    "Left": ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
}
"""Upper and lower lid margins of the person's eyes, from image left to right."""
OUTER_LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
"""Face Mesh landmarks around the lips."""
_EYE_CORNERS = (33, 133, 362, 263)
_CORNERS_HOLD_CM = (0.8, 0.6, 1.2)
"""How far around the corners of the eyes skin is held across (standard deviations across, up and deep): ligaments tie
them to the bone, and brows and cheeks that drew them inwards would change how wide a face looks."""
_OUTLINE_CM = 1.8
"""Over how much of the face the motion of units ends towards its outline."""
_NEIGHBOURS = 8
_APART = 6.0
"""How far (cm) what follows the jaw counts as from what does not, when landmarks say how vertices are corrected."""
_LOWER_LID_SHARE = 0.12
"""How much of a blink the lower lid does."""
_NEARLY_SHUT = 0.45, 0.75
"""Share of a photo's open mouth that units close, from which and at which it closes wholly."""
_LIPS_NARROWER = 4.5
"""Power of `lip_falloff` that ends within a lip: the square of how much narrower it is."""
_PIVOT_CM = (0.0, -5.0, -1.0)
"""About where a head turns: the top of the spine."""
_NECK_CM = (-16.0, -8.5)
"""Heights between which the neck follows the head, from not at all to fully."""


@dataclass(frozen=True)
class HeadMotion:
    """How the head turns, beyond how the photo shows it; degrees, signs as in `facemotion.faces.pose.head_pose`."""

    yaw: float = 0.0
    """To the right of the picture."""
    pitch: float = 0.0
    """Up."""
    roll: float = 0.0
    """Clockwise, as the picture is seen."""
    scale: float = 1.0
    """Of the head in the picture: leaning in."""

    def __bool__(self) -> bool:
        return (self.yaw, self.pitch, self.roll, self.scale) != (0.0, 0.0, 0.0, 1.0)

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float32 for points (x right, y down, z towards the camera) as columns."""
        yaw, pitch, roll = np.radians([self.yaw, self.pitch, self.roll])
        about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
        return (self.scale * np.array(about_z) @ about_x @ about_y).astype(np.float32)


@cache
def landmark_spread(head: Head) -> tuple[np.ndarray, np.ndarray]:
    """For each vertex its nearest landmarks (V, 8) and their weights (V, 8), which sum to 1 near the face."""
    jaw = np.linalg.norm(head.unit_deltas[head.unit_index["jawOpen"]], axis=1)
    jaw = np.clip(jaw / jaw.max(), 0, 1)[:, None] * _APART
    places = np.hstack([head.vertices, jaw])
    at = places[head.landmark_vertices]
    distance, nearest = cKDTree(at).query(places, _NEIGHBOURS)
    sigma = np.maximum(distance[:, 3:4], 0.25)
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    weight /= weight.sum(1, keepdims=True)
    fade = np.clip(1.5 - distance[:, :1] / 4.0, 0, 1)
    return nearest, (weight * fade).astype(np.float32)


@cache
def within_outline(head: Head) -> np.ndarray:
    """(V,) 1 on the face, falling to 0 at its outline: there only the jaw moves, or the background would too."""
    at = head.landmark_vertices
    outline = (head.vertices[at[list(FACE_OVAL)], :2] + head.landmark_offsets[list(FACE_OVAL)]).astype(np.float32)
    inside = [cv2.pointPolygonTest(outline, (float(x), float(y)), True) if z > 0 else 0.0 for x, y, z in head.vertices]
    return smoothstep((np.array(inside) / _OUTLINE_CM).astype(np.float32))


@cache
def beyond_eye_corners(head: Head) -> np.ndarray:
    """(V,) 0 at the corners of the eyes, rising to 1 around them."""
    away = (head.vertices[:, None] - head.vertices[head.landmark_vertices[list(_EYE_CORNERS)]]) / _CORNERS_HOLD_CM
    held = np.exp(-0.5 * (away**2).sum(-1)).max(1)
    held[FACE_VERTICES:] = 0
    return (1 - held).astype(np.float32)


@cache
def lip_falloff(head: Head) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices near the lips (n,), and how far each follows the upper and the lower lip's points, (n, 11) each."""
    jaw = np.linalg.norm(head.unit_deltas[head.unit_index["jawOpen"]][:FACE_VERTICES], axis=1)
    lower = np.clip((jaw / jaw.max() - 0.35) / 0.2, 0, 1)
    face = head.vertices[:FACE_VERTICES]
    middle = (face[head.landmark_vertices[list(UPPER_LIP)]] + face[head.landmark_vertices[list(LOWER_LIP)]]) / 2
    away = np.linalg.norm(face[:, None, :2] - middle[None, :, :2], axis=2)
    near = np.flatnonzero((away.min(1) < 2.0) & (face[:, 2] > 8.5))
    along = np.exp(-0.5 * ((face[near, None, 0] - middle[None, :, 0]) / 0.45) ** 2)
    along /= np.maximum(along.sum(1, keepdims=True), 1e-6)
    across = np.exp(-0.5 * (away[near].min(1) / 0.75) ** 2)
    weight = along * across[:, None]
    return near, weight * (1 - lower[near, None]), weight * lower[near, None]


@dataclass(frozen=True, eq=False)
class Rig:
    """A fitted head whose landmark vertices lie on the photo's landmarks.

    All lengths are px of a square crop of ``size_px``; points are (x, y, depth), y down, depth towards the camera.
    """

    head: Head
    fit: HeadFit
    size_px: int
    landmarks: np.ndarray
    """(478, 2) px, as given."""
    source: np.ndarray
    """(V, 3) float32 vertices in the photo."""

    @classmethod
    def on(cls, landmarks: np.ndarray, size_px: int, *, prior: np.ndarray | None = None) -> Rig:
        """Fit the head to Face Mesh landmarks (>= 468, 2) px of an upright crop of ``size_px``."""
        head = load_head()
        points = np.asarray(landmarks, np.float64)[:, :2]
        fit = fit_head(points, head, prior=prior)
        shape = head.vertices + np.tensordot(fit.identity.astype(np.float32), head.identity_deltas, 1)
        shape = shape + np.tensordot(fit.units.astype(np.float32), head.unit_deltas, 1)
        source = _projected(shape, fit)
        at = head.landmark_vertices
        offsets = np.column_stack([head.landmark_offsets, np.zeros(len(at))])
        residual = points[: len(at)] - _projected(shape[at] + offsets, fit)[:, :2]
        nearest, weight = landmark_spread(head)
        source[:, :2] += (residual[nearest] * weight[..., None]).sum(1)
        return cls(head, fit, size_px, points, source.astype(np.float32))

    def with_lips_lower(self, by: np.ndarray) -> Rig:
        """The rig with the inner edges of both lips lower in the photo, (11,) px along the mouth as `UPPER_LIP`.

        What the landmarks say of units, and the lips' outer edges, stay.
        """
        near, upper, lower = lip_falloff(self.head)
        weight = upper + lower
        across = np.maximum(weight.sum(1, keepdims=True), 1e-9)
        landmarks, source = self.landmarks.copy(), self.source.copy()
        source[near, 1] += (weight * across ** (_LIPS_NARROWER - 1)) @ by
        for lip in (UPPER_LIP, LOWER_LIP):
            landmarks[list(lip), 1] = self.landmarks[list(lip), 1] + by
        return Rig(self.head, self.fit, self.size_px, landmarks, source)

    @cached_property
    def eye_px(self) -> float:
        """Distance of the outer eye corners."""
        return float(np.linalg.norm(self.landmarks[263] - self.landmarks[33]))

    @cached_property
    def _to_crop(self) -> np.ndarray:
        """(3, 3) float32: displacement in cm to displacement in px, right-multiplied."""
        return (self.fit.scale * self.fit.rotation.T * [1, -1, 1]).astype(np.float32)

    @cached_property
    def unit_motion(self) -> np.ndarray:
        """(U, V, 3) float32 what each unit at strength 1 adds to `source`; a blink closes this very eye."""
        lids = {side: self.head.unit_index[f"eyeBlink{side}"] for side in EYES}
        tied = np.ones(len(self.head.unit_names), bool)
        tied[list(lids.values())] = False
        deltas = self.head.unit_deltas.copy()
        deltas[tied, :, 0] *= beyond_eye_corners(self.head)
        motion = deltas @ self._to_crop
        held = np.array([not name.startswith("jaw") for name in self.head.unit_names])
        motion[held] *= within_outline(self.head)[:, None]
        for side, index in lids.items():
            motion[index] = self._closing(motion[index], *EYES[side])
        return motion

    def _closing(self, blink: np.ndarray, upper: tuple[int, ...], lower: tuple[int, ...]) -> np.ndarray:
        """The motion of a blink scaled column by column so that the lid margins meet near the lower lid."""
        at = self.head.landmark_vertices
        up, low = self.landmarks[list(upper)], self.landmarks[list(lower)]
        x = self.source[:, 0]
        columns = np.linspace(up[0, 0], up[-1, 0], 41)
        y_up, y_low = (np.interp(columns, p[:, 0], p[:, 1]) for p in (up, low))
        gap = np.maximum(y_low - y_up, 0)
        move_up, move_low = (np.interp(columns, p[:, 0], blink[at[list(i)], 1]) for p, i in ((up, upper), (low, lower)))
        down = (1 - _LOWER_LID_SHARE) * gap * 1.03 / np.maximum(move_up, 0.02 * self.eye_px)
        raised = _LOWER_LID_SHARE * gap / np.maximum(-move_low, 0.003 * self.eye_px)
        factors = []
        for factor in (down, raised):
            factor = np.clip(factor, 0, 4)
            factor[:7], factor[-7:] = factor[7], factor[-8]
            factors.append(np.interp(x, columns, factor))
        scaled = blink * np.where(blink[:, 1] > 0, *factors)[:, None]
        scaled[:, 2] = blink[:, 2]
        return scaled.astype(np.float32)

    @cached_property
    def pivot(self) -> np.ndarray:
        """(3,) px the point about which the head turns."""
        return _projected(np.array([_PIVOT_CM]), self.fit)[0].astype(np.float32)

    def at_depth(self, depth_cm: float) -> np.ndarray:
        """(3,) px a point of the head's middle plane at a depth, as high as the eyes."""
        return _projected(np.array([[0.0, 3.0, depth_cm]]), self.fit)[0].astype(np.float32)

    @cached_property
    def _follows(self) -> np.ndarray:
        """(V, 1) how much of a turn of the head each vertex takes part in."""
        low, high = _NECK_CM
        share = smoothstep((self.head.vertices[:, 1] - low) / (high - low))
        share[:FACE_VERTICES] = 1
        return share.astype(np.float32)[:, None]

    def turned(self, head: HeadMotion) -> np.ndarray:
        """(V, 3) float32 px the vertices with the photo's own expression after a turn of the head."""
        turned = self.pivot + (self.source - self.pivot) @ head.matrix.T
        return self.source + self._follows * (turned - self.source)

    @cached_property
    def shown(self) -> np.ndarray:
        """(V,) in [0, 1] how well the photo shows each vertex, for views from elsewhere; not ears, neck and hair."""
        x, y, z = self.head.vertices.T
        normals = vertex_normals(self.source, self.head.face_triangles)
        front = (y > -7.9) & (np.abs(x) < 6.4) & (z > 3.5)
        shown = np.where(front, np.clip((normals[:, 2] - 0.35) / 0.2, 0, 1), 0)
        shown[FACE_VERTICES:] = 0
        return shown.astype(np.float32)

    def teeth_edges(self, control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, 2) px along the biting edges of the upper and of the lower teeth, image left to right."""
        shape = np.tensordot(
            self.fit.identity.astype(np.float32), self.head.identity_deltas[:, self._mouth_vertices], 1
        )
        about = shape.mean(0)  # teeth lie where this person's mouth is
        jaw = (np.asarray(control) + self.fit.units) @ self.head.jaw_deltas
        upper = _projected(self.head.upper_teeth + about, self.fit)
        lower = _projected(self.head.lower_teeth + about + jaw, self.fit)
        return upper[:, :2], lower[:, :2]

    @cached_property
    def _mouth_vertices(self) -> np.ndarray:
        """Where the upper jaw carries the face: around the base of the nose."""
        return self.head.landmark_vertices[[2, 97, 326, 164]]

    def moved(self, control: np.ndarray) -> np.ndarray:
        """(V, 3) float32 vertices at a control (U,): what is added to the photo's own units."""
        control = self._closed_within_jaw(np.asarray(control, np.float32))
        used = np.flatnonzero(control)
        points = self.source.copy()
        if len(used):
            points += np.tensordot(control[used], self.unit_motion[used], 1)
        return self._lips_apart(points)

    def _closed_within_jaw(self, control: np.ndarray) -> np.ndarray:
        """The control (U,) with lips that are kept together as far as the jaw is open; beyond that they only rose."""
        close, jaw = (self.head.unit_index[name] for name in ("mouthClose", "jawOpen"))
        most = max(float(control[jaw] + self.fit.units[jaw]), 0.0)
        if control[close] <= most:
            return control
        control = control.copy()
        control[close] = most
        return control

    def lip_gaps(self, points: np.ndarray) -> np.ndarray:
        """(11,) px how far the lips are parted along the mouth; negative where they would overlap."""
        at = self.head.landmark_vertices
        upper, lower = list(UPPER_LIP), list(LOWER_LIP)
        moved = points[at, 1] - self.source[at, 1]
        return (self.landmarks[lower, 1] + moved[lower]) - (self.landmarks[upper, 1] + moved[upper])

    def _lips_apart(self, points: np.ndarray) -> np.ndarray:
        """The points with lips that touch instead of passing through each other, or gaping by a sliver."""
        gaps = self.lip_gaps(points)
        own = self.landmarks[list(LOWER_LIP), 1] - self.landmarks[list(UPPER_LIP), 1]
        least = 0.012 * self.eye_px
        # Fits spread an open mouth over many units, some of which faces at rest have too: what nearly closes, closes.
        closing = np.clip((own - gaps) / np.maximum(own, least), 0, 1)
        begins, ends = _NEARLY_SHUT
        wanted = gaps * (1 - smoothstep((closing - begins) / (ends - begins)))
        wanted = np.where(wanted < least, 0, np.where(wanted < 2.5 * least, (wanted - least) * 2.5 / 1.5, wanted))
        missing = np.where(np.abs(gaps - own) < 1e-3, 0, wanted - gaps)
        if np.abs(missing).max() > 0.02:
            near, upper, lower = lip_falloff(self.head)
            points[near, 1] += np.einsum("nk,k->n", lower - upper, missing) / 2
        return points

    def landmarks_at(self, points: np.ndarray) -> np.ndarray:
        """(468, 2) px the landmarks when the vertices are at ``points``."""
        at = self.head.landmark_vertices
        return self.landmarks[: len(at)] + (points[at, :2] - self.source[at, :2])


def _projected(vertices: np.ndarray, fit: HeadFit) -> np.ndarray:
    """(n, 3) px with y down, and depth."""
    camera = vertices @ fit.rotation.T * fit.scale
    camera[:, :2] = (camera[:, :2] + fit.shift) * [1, -1]
    return camera
