"""Samples whose target is a photograph: photo pairs of a person, and photographs rendered to another expression.

A network that is to add to the renderer what rules cannot say learns it from these alone:

* `pair_sample`: the person's other photograph, brought into the first one's pose by both fitted heads;
* `back_sample`: the photograph itself, from a source in which the renderer has taken its expression away, or given it
  another one ("back-translation": Sennrich et al., ACL 2016, for text);
* `still_sample`: the renderer's own frame, for units that no photograph shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import lsq_linear

from facemotion.datasets.samples import COORDINATES_PX, MOTION_PX, Sample
from facemotion.errors import InputError
from facemotion.head.fit import landmark_weights
from facemotion.head.model import FACE_VERTICES
from facemotion.head.own_units import prior_of
from facemotion.head.rasteriser import HIDDEN, rasterise, vertex_normals
from facemotion.head.rig import Rig
from facemotion.models.head_coordinates import head_coordinates
from facemotion.rendering.boxes import Box
from facemotion.rendering.compose import composed
from facemotion.rendering.eyes import IRISES
from facemotion.rendering.face import FaceRenderer, Rendering
from facemotion.rendering.flow import continued

WORST_FIT = 0.06
"""Photos whose head fits worse, in distances of the outer eye corners, are refused."""
_PENALTY = 4e-4
"""Ridge of a control towards what the fits say, in squares of the eye distance."""
_STRONGEST = 1.2
_STABLE_CM = 0.08
"""Landmarks that an expression moves less than about this much tell where two photos' heads coincide."""
_FACING = 0.25
"""Cosine to the camera below which skin is too oblique to be lent."""
_LANDMARK_WEIGHT = landmark_weights()


@dataclass(frozen=True, eq=False)
class MeasuredPhoto:
    """An upright crop of a photo with what the landmarker says of it."""

    person: str
    crop: np.ndarray
    """(n, n, 3) uint8 RGB."""
    landmarks: np.ndarray
    """(478, 2) px of the crop."""
    scores: np.ndarray
    """(52,) in [0, 1]."""

    def renderer(self, seed: int) -> FaceRenderer:
        """The photo ready to be rendered; raises InputError where the head does not fit."""
        renderer = FaceRenderer(self.crop, self.landmarks, prior=prior_of(self.scores), seed=seed)
        _check(renderer)
        return renderer


def _check(renderer: FaceRenderer) -> None:
    error = renderer.rig.fit.error
    if error > WORST_FIT:
        raise InputError(f"the head does not fit the photo: error {error:.1%} of the eye distance")


def control_between(rig: Rig, wanted: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(52,) float32 the control that brings the rig's landmarks nearest to those wanted (468, 2) px.

    prior: (52,) the control where landmarks say nothing; gaze is left to it, since landmarks of the lids and not of
    the eyeball would be fitted.
    """
    names = rig.head.unit_names
    fitted = np.array([i for i, name in enumerate(names) if not name.startswith(("eyeLook", "tongue"))])
    at = rig.head.landmark_vertices
    weight = np.sqrt(_LANDMARK_WEIGHT)[:, None] / rig.eye_px
    columns = (rig.unit_motion[fitted][:, at, :2] * weight).reshape(len(fitted), -1).astype(np.float64)
    moved = (wanted - rig.landmarks[: len(at)] - np.tensordot(prior, rig.unit_motion[:, at, :2], 1)) * weight
    root = np.sqrt(_PENALTY) * np.eye(len(fitted))
    low, high = -rig.fit.units[fitted] - 1e-6, np.maximum(_STRONGEST - rig.fit.units[fitted], 1e-3)
    start = prior[fitted]
    solution = lsq_linear(
        np.vstack([columns.T, root]),
        np.concatenate([moved.ravel(), np.zeros(len(fitted))]),
        (np.minimum(low, start) - start - 1e-9, np.maximum(high, start) - start + 1e-9),
        method="bvls",
    ).x
    control = np.asarray(prior, np.float32).copy()
    control[fitted] += solution.astype(np.float32)
    return np.where(np.abs(control) < 0.01, 0, control).astype(np.float32)


def pair_sample(
    source: MeasuredPhoto, other: MeasuredPhoto, *, share: float = 1.0, seed: int = 0, renderer: FaceRenderer
) -> Sample:
    """The source at the other photo's expression, or part of the way (``share`` of it) there."""
    rig = renderer.rig
    other_rig, placed, prior = _other_in_place(rig, other)
    points = rig.source + share * (placed - rig.source)
    wanted = _landmarks_at(rig, points)
    control = control_between(rig, wanted, share * prior)
    rendering = renderer.render(control)
    lent = _lent(other.crop, other_rig, points, rig)
    image, mask = lent.image * _match(source.crop, rig, other.crop, other_rig), lent.mask
    if share < 1:
        own = _lent(source.crop, rig, points, rig)
        inside = share ** (0.25 if _opening(other_rig) > _opening(rig) else 4.0)
        weight = (share + lent.inside * (inside - share))[..., None]
        image, mask = own.image + weight * (image - own.image), np.minimum(mask, own.mask)
    return _sample(source.person, "pair", source.crop, renderer, control, rendering, np.clip(image, 0, 1), mask, wanted)


def pair_landmarks(source: MeasuredPhoto, other: MeasuredPhoto) -> tuple[Rig, np.ndarray, np.ndarray]:
    """The source's rig; where the other photo's landmarks lie in its pose, (468, 2) px; and how the units of both fits
    differ, (52,)."""
    rig = Rig.on(source.landmarks, source.crop.shape[0], prior=prior_of(source.scores))
    _, placed, prior = _other_in_place(rig, other)
    return rig, _landmarks_at(rig, placed), prior


def _landmarks_at(rig: Rig, points: np.ndarray) -> np.ndarray:
    at = rig.head.landmark_vertices
    return rig.landmarks[: len(at)] + points[at, :2] - rig.source[at, :2]


def _other_in_place(rig: Rig, other: MeasuredPhoto) -> tuple[Rig, np.ndarray, np.ndarray]:
    """The other photo's rig, its vertices as the camera of ``rig`` sees them, and how the units of both fits differ."""
    other_rig = Rig.on(other.landmarks, other.crop.shape[0], prior=prior_of(other.scores))
    if other_rig.fit.error > WORST_FIT:
        raise InputError(f"the head does not fit the other photo: error {other_rig.fit.error:.1%} of the eye distance")
    prior = (other_rig.fit.units - rig.fit.units).astype(np.float32)
    prior = np.where([name.startswith("eyeLook") for name in rig.head.unit_names], 0, prior)
    return other_rig, _placed(other_rig, rig, prior), prior


def back_sample(photo: MeasuredPhoto, away: np.ndarray, *, seed: int, renderer: FaceRenderer) -> Sample:
    """The photograph from a source that the renderer made of it with the control ``away`` (52,)."""
    taken = renderer.render(away)
    crop = np.round(composed(photo.crop.astype(np.float32) / 255, taken) * 255).astype(np.uint8)
    landmarks = _with_irises(photo, taken, renderer, away)
    units = np.clip(renderer.rig.fit.units + away, 0, 1)
    again = FaceRenderer(crop, landmarks, prior=units, seed=seed)
    _check(again)
    wanted = photo.landmarks[: len(taken.landmarks)]
    control = control_between(again.rig, wanted, (-away).astype(np.float32))
    rendering = again.render(control)
    mask = np.ones(crop.shape[:2], np.float32)
    image = photo.crop.astype(np.float32) / 255
    return _sample(photo.person, "back", crop, again, control, rendering, image, mask, wanted)


def still_sample(photo: MeasuredPhoto, control: np.ndarray, *, renderer: FaceRenderer) -> Sample:
    """The renderer's own frame of a photo at a control (52,)."""
    rendering = renderer.render(control)
    image = composed(photo.crop.astype(np.float32) / 255, rendering)
    mask = np.ones(image.shape[:2], np.float32)
    return _sample(photo.person, "still", photo.crop, renderer, control, rendering, image, mask, rendering.landmarks)


def random_control(own: np.ndarray, names: Sequence[str], generator: np.random.Generator) -> np.ndarray:
    """(52,) float32 some units of a face with its own (52,), most alike on both sides, within what faces can do."""
    control = np.zeros(len(names), np.float32)
    stems = sorted({name.removesuffix("Left").removesuffix("Right") for name in names} - {"tongueOut"})
    for stem in generator.choice(stems, generator.integers(2, 6), replace=False):
        strength = generator.beta(1.5, 1.2)
        for i, name in enumerate(names):
            if name.removesuffix("Left").removesuffix("Right") == stem:
                control[i] = np.clip(strength * generator.normal(1, 0.1) - own[i], -own[i], 1 - own[i])
    gone = np.flatnonzero((control == 0) & (own > 0.1) & (generator.random(len(names)) < 0.5))
    control[gone] = -own[gone]
    return control


def _with_irises(photo: MeasuredPhoto, taken: Rendering, renderer: FaceRenderer, control: np.ndarray) -> np.ndarray:
    irises = photo.landmarks[len(taken.landmarks) :].copy()
    for side, eye in renderer.eyes.items():
        irises[np.array(IRISES[side]) - len(taken.landmarks)] += eye.gaze_shift(control)
    return np.concatenate([taken.landmarks, irises])


def _opening(rig: Rig) -> float:
    return float(rig.lip_gaps(rig.source).max() / rig.eye_px)


def _placed(other: Rig, rig: Rig, control: np.ndarray) -> np.ndarray:
    """(V, 3) the other photo's vertices as the camera of ``rig`` sees them, on those that the control moves little."""
    camera = (other.source * [1, -1, 1] - np.r_[other.fit.shift, 0]) / other.fit.scale
    head = camera @ other.fit.rotation
    points = head @ rig.fit.rotation.T * rig.fit.scale
    points[:, :2] *= [1, -1]
    at = rig.head.landmark_vertices
    motion = np.linalg.norm(np.tensordot(control, rig.head.unit_deltas[:, at], 1), axis=1)
    weight = np.sqrt(_LANDMARK_WEIGHT / (1 + (motion / _STABLE_CM) ** 2))[:, None]
    rows = np.column_stack([points[at, :2], np.ones(len(at))])
    affine = np.linalg.lstsq(rows * weight, rig.source[at, :2] * weight, rcond=None)[0]
    points[:, :2] = points[:, :2] @ affine[:2] + affine[2]
    return points.astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Lent:
    """A photo's face as it looks with its vertices elsewhere."""

    image: np.ndarray
    """(n, n, 3) float32."""
    mask: np.ndarray
    """(n, n) float32: where both the photo and the view show it."""
    inside: np.ndarray
    """(n, n) float32: openings of eyes and mouth."""


def _lent(crop: np.ndarray, photo: Rig, points: np.ndarray, view: Rig) -> _Lent:
    n = view.size_px
    faces = photo.head.face_triangles
    facing = np.minimum(vertex_normals(photo.source, faces)[:, 2], vertex_normals(view.source, faces)[:, 2])
    attributes = np.column_stack([photo.source[:, :2], facing]).astype(np.float32)
    attributes[FACE_VERTICES:, 2] = 0
    depth, values = rasterise(points, photo.head.triangles, attributes, size=(n, n))
    known = depth > HIDDEN
    grid = Box(0, 0, n, n).grid()
    shift = np.where(known[..., None], values[..., :2] - grid, 0)
    solid = _largest_filled(known.astype(np.uint8))
    shift = continued(shift, known, solid.astype(bool), 0.07 * n)
    at = grid + shift
    image = cv2.remap(crop.astype(np.float32) / 255, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    hole = solid * ~known
    facing = ((values[..., 2] > _FACING) & ((at >= 0) & (at <= crop.shape[0] - 1)).all(2)).astype(np.uint8)
    reach = round(0.012 * n)
    believed = cv2.erode(
        _largest_filled(cv2.morphologyEx(facing, cv2.MORPH_OPEN, np.ones((5, 5)))), np.ones((reach, reach))
    )
    mask = cv2.GaussianBlur(believed.astype(np.float32), (0, 0), 0.01 * n)
    inside = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), n / 400)
    return _Lent(np.clip(image, 0, 1), mask * believed, inside)


def _largest_filled(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask (n, n) uint8, without holes."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = sorted(contours, key=cv2.contourArea)[-1:]
    return cv2.drawContours(np.zeros_like(mask), largest, -1, 1, cv2.FILLED)


def _match(crop: np.ndarray, rig: Rig, other: np.ndarray, other_rig: Rig) -> np.ndarray:
    """(3,) gain per channel that gives the other photo the colours of the first, over the skin that both show."""
    vertices = rig.head.vertices[:FACE_VERTICES]
    normals = (vertex_normals(r.source, r.head.face_triangles)[:FACE_VERTICES, 2] for r in (rig, other_rig))
    chosen = (vertices[:, 2] > 6) & (vertices[:, 1] > -6) & (np.minimum(*normals) > 0.5)
    medians = []
    for image, each in ((crop, rig), (other, other_rig)):
        at = np.clip(np.round(each.source[:FACE_VERTICES, :2][chosen]).astype(int), 0, each.size_px - 1)
        medians.append(np.median(image[at[:, 1], at[:, 0]] / 255, axis=0))
    return np.clip(medians[0] / np.maximum(medians[1], 1e-3), 0.6, 1.6).astype(np.float32)


def _sample(
    person: str,
    kind: str,
    crop: np.ndarray,
    renderer: FaceRenderer,
    control: np.ndarray,
    rendering: Rendering,
    image: np.ndarray,
    mask: np.ndarray,
    wanted: np.ndarray,
) -> Sample:
    n = crop.shape[0]
    layers = np.zeros((n, n, 4), np.uint8)
    for layer in rendering.layers:
        layers[layer.box.of][..., :3] = np.round(np.clip(layer.colour, 0, 1) * 255)
        layers[layer.box.of][..., 3] = np.round(np.clip(layer.opacity, 0, 1) * 255)
    size = (MOTION_PX, MOTION_PX)
    motion = cv2.resize(rendering.flow, size, interpolation=cv2.INTER_AREA)
    gain = cv2.resize(rendering.log_gain, size, interpolation=cv2.INTER_AREA)
    widths = [
        ((points + 0.5) / n).astype(np.float32)
        for points in (renderer.rig.landmarks[:468], rendering.landmarks, wanted)
    ]
    return Sample(
        person,
        kind,
        crop,
        np.round(image * 255).astype(np.uint8),
        np.round(mask * 255).astype(np.uint8),
        layers,
        motion.astype(np.float16),
        gain.astype(np.float16),
        head_coordinates(renderer.rig, COORDINATES_PX).astype(np.float16),
        control.astype(np.float32),
        renderer.rig.fit.units.astype(np.float32),
        *widths,
    )
