"""Clips from two photos of one person: neutral and at the peak of an expression."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from facemotion.compositing.tint import LUMA_REC601
from facemotion.errors import InputError
from facemotion.expressions.grammar import SMILES
from facemotion.faces import geometry
from facemotion.faces.pose import head_pose
from facemotion.synthetic.clip import RenderedClip
from facemotion.synthetic.fit import corrected, fit_head, project, shape
from facemotion.synthetic.head import (
    EYE_SOCKET,
    EYE_VERTICES,
    EYES,
    FACE,
    FACE_VERTICES,
    GUMS,
    HEAD,
    LOWER_TEETH,
    SOCKET,
    UPPER_TEETH,
    HeadModel,
)
from facemotion.synthetic.portrait import Portrait, View, check_fit
from facemotion.synthetic.rasterise import rasterise
from facemotion.synthetic.renderer import draw_controls
from facemotion.synthetic.warping import sample, smooth_seams

_WORST_FIT = 0.03

SMILE_MOTION = 0.22
"""Motion of the mouth corners, in inter-ocular distances, of a smile at control 1: the upper quartile of the London
set's 82 training people, where lips part and teeth show. People smile for a photographer anywhere between 0.01 and
0.35; their clips carry the control that they reach, or a model would learn the average, faint smile."""
CLOSED_SMILE_MOTION = 0.18
"""The same of smiles that keep their lips together, as half of the London set's do."""
FAINTEST_SMILE, FAINTEST_CLOSED_SMILE = 0.10, 0.07
"""Smiles whose corners move less, in inter-ocular distances, are refused."""
CLOSED_LIPS = 0.03
"""Smiles whose lips part less, in inter-ocular distances, are closed ones, an expression of their own: with both under
one name a model blurs the teeth."""
_FULL_REACH, _SHADED_REACH = 0.91, 1.09
"""Controls from which on smiles tell of the skin's shading, and to which that is scaled."""
_KEPT_FROM = ((slice(36, 42), (0.25, 0.8)), (slice(42, 48), (0.25, 0.8)), (slice(48, 68), (0.25, 0.7)))
"""Landmarks near which the photos' shading is that of an edge a little beside: cm within which none of it is kept, and
beyond which all."""


@dataclass(frozen=True)
class PairSettings:
    """What is rendered of each pair."""

    crop_px: int = 512
    """Side of the square crop."""

    frames: int = 8
    """Frames of a clip, source included; one of them is at control 1."""

    controls: tuple[float, ...] | None = None
    """Fixed control values (first 0) instead of random ones; overrides ``frames``."""

    clips: int = 3
    """Clips per pair: the first in the photo's own pose, the others with the head turned."""

    yaw_deg: float = 20.0
    """Largest added turn to either side."""

    pitch_deg: float = 10.0
    """Largest added nod to either side."""


def pair_clips(
    neutral_rgb: np.ndarray,
    neutral_l68: np.ndarray,
    peak_rgb: np.ndarray,
    peak_l68: np.ndarray,
    *,
    head: HeadModel,
    expression: str = "smile",
    settings: PairSettings | None = None,
    seed: int = 0,
) -> Iterator[RenderedClip]:
    """Clips from the neutral photo to the peak photo's expression; the same seed gives the same clips.

    A pair that is said to show one of ``SMILES`` becomes whichever of them its photos show.

    Photos are uint8 (H, W, 3) RGB, landmarks (68, 2) photo px. Frame 0 of the first clip is the neutral crop
    itself. Raises ``InputError`` with the reason before the first clip when the pair cannot be used.
    """
    settings = settings or PairSettings()
    generator = np.random.default_rng(seed)
    pair = _Pair(neutral_rgb, neutral_l68, peak_rgb, peak_l68, head=head, crop_px=settings.crop_px)
    reach = 1.0
    if expression in SMILES:
        expression, reach = pair.smile()
    for number in range(settings.clips):
        turn = generator.uniform(-1, 1, 2) * (settings.yaw_deg, settings.pitch_deg)
        if settings.controls is not None:
            control = np.array(settings.controls, np.float32)
        else:
            control = np.minimum(draw_controls(settings.frames, generator), 1.1)
        yield pair.clip(control, expression, None if number == 0 else turn, reach)


class _Pair:
    """Both photos on one head: geometry and skin of either end of the clip."""

    def __init__(self, neutral_rgb, neutral_l68, peak_rgb, peak_l68, *, head: HeadModel, crop_px: int):
        self.head, n = head, crop_px
        self.portrait = Portrait(neutral_rgb, neutral_l68, head=head, crop_px=n)
        check_fit(self.portrait)
        to_crop = geometry.photo_to_crop(peak_l68, n)
        peak_crop = geometry.warp_crop(peak_rgb, to_crop, n)
        landmarks = geometry.apply(to_crop, np.asarray(peak_l68, np.float64))
        peak_fit = fit_head(landmarks, head, identity=self.portrait.fit.identity)
        if peak_fit.inner_error > _WORST_FIT:
            raise InputError(
                f"the head does not fit the peak photo: mean error {peak_fit.inner_error:.1%} of the eye distance"
            )
        peak_vertices = corrected(shape(peak_fit, head), peak_fit, landmarks, head, rest=0.02)
        self.peak_points, _ = project(peak_fit, peak_vertices)
        self.peak_vertices = self._settled(peak_vertices)
        self.peak_residual = (
            (landmarks - self.peak_points[head.landmark_vertices]) * self.portrait.fit.scale / peak_fit.scale
        )
        self.triangles, self.parts = head.drawn(FACE, HEAD, SOCKET, EYE_SOCKET, GUMS, UPPER_TEETH, LOWER_TEETH, EYES)
        self.peak_skin = self._matched(peak_crop.astype(np.float32) / 255)

    def smile(self) -> tuple[str, float]:
        """Which smile the peak photo shows, and the control that it reaches; raises ``InputError`` for a faint one."""
        view = self.portrait.frontal
        neutral, peak = (self.portrait.landmarks_at(v, view) for v in (self.portrait.vertices, self.peak_vertices))
        peak = peak + self.peak_residual - self.portrait.residual
        eyes = np.linalg.norm(neutral[42:48].mean(0) - neutral[36:42].mean(0))

        def width_height_gap(points: np.ndarray) -> np.ndarray:
            height = points[33, 1] - points[[48, 54], 1].mean()  # of the corners, over the nose's base
            return np.array([np.linalg.norm(points[54] - points[48]), height, points[66, 1] - points[62, 1]]) / eyes

        wider, higher, parted = width_height_gap(peak) - width_height_gap(neutral)
        motion = float(np.hypot(wider, higher))
        closed = parted < CLOSED_LIPS
        if motion < (FAINTEST_CLOSED_SMILE if closed else FAINTEST_SMILE):
            raise InputError(f"the smile is too faint: mouth corners move {motion:.0%} of the eye distance")
        reach = motion / (CLOSED_SMILE_MOTION if closed else SMILE_MOTION)
        return SMILES[int(closed)], float(np.clip(reach, 0.4, 1.4))

    def _settled(self, peak_vertices: np.ndarray) -> np.ndarray:
        """The peak's vertices, with the eyeballs and all that no expression moves where the neutral photo has them."""
        settled = peak_vertices.copy()
        settled[EYE_VERTICES] = self.portrait.vertices[EYE_VERTICES]
        return settled

    def _matched(self, peak: np.ndarray) -> np.ndarray:
        """The peak photo in the colours of the neutral one: gain per channel over the skin both show."""
        at = self.portrait.head.vertices[FACE_VERTICES]
        chosen = np.flatnonzero((at[:, 2] > 6) & (at[:, 1] > -6) & (self.portrait.trusted[FACE_VERTICES] > 0.9))
        ours, theirs = (
            np.median(sample(image, points[chosen][None]).reshape(-1, 3), axis=0)
            for image, points in ((self.portrait.skin, self.portrait.source_points), (peak, self.peak_points))
        )
        return peak * np.clip(ours / np.maximum(theirs, 1e-3), 0.6, 1.6).astype(np.float32)

    def clip(self, control: np.ndarray, expression: str, turn_deg: np.ndarray | None, reach: float) -> RenderedClip:
        """One clip; ``turn_deg`` (yaw, pitch) turns the head of every frame; ``reach`` is the peak photo's control."""
        portrait = self.portrait
        view = portrait.frontal if turn_deg is None else portrait.turned(*turn_deg)
        flow = portrait.view_flow(view)
        frames, landmarks = [], []
        for a in control:
            vertices = portrait.vertices + a * (self.peak_vertices - portrait.vertices)
            if a == 0 and turn_deg is None:
                frames.append(portrait.crop)
            else:
                frames.append(np.round(self._frame(float(a), vertices, view, flow) * 255).astype(np.uint8))
            points = portrait.landmarks_at(vertices, view)
            landmarks.append(
                points
                + a
                * (self.peak_residual - portrait.residual).astype(np.float32)
                @ view.recrop[:, :2].T.astype(np.float32)
            )
        pose = np.array(head_pose(landmarks[0]), np.float32)[None].repeat(len(control), 0)
        return RenderedClip(
            frames, np.round(control * reach, 3), {expression: 1.0}, np.stack(landmarks).astype(np.float32), pose
        )

    def _frame(self, a: float, vertices: np.ndarray, view: View, view_flow: np.ndarray | None) -> np.ndarray:
        portrait, n = self.portrait, self.portrait.size_px
        points, depth = portrait.projected(vertices, view)
        neutral_points, _ = portrait.projected(portrait.vertices, view)
        attributes = np.column_stack([portrait.source_points, neutral_points, self.peak_points, portrait.trusted])
        part_map, values = rasterise(points, portrait.layered(depth), self.triangles, self.parts, attributes, size_px=n)
        eye = (part_map == EYES) | (part_map == EYE_SOCKET)
        inside = np.isin(part_map, (SOCKET, GUMS, UPPER_TEETH, LOWER_TEETH))
        solid = (part_map == FACE) | (part_map == HEAD) | (part_map == EYES)
        at = portrait.source_at(values, part_map, solid, view_flow)
        image = sample(portrait.skin, at)
        portrait.eyes.draw(image, eye, at)
        if a <= 0:
            return np.clip(image, 0, 1)
        peak = sample(self.peak_skin, values[..., 4:6])
        # the peak's skin wherever both photos saw it, feathered towards hair, ears and neck
        whole = ((part_map == FACE) & (values[..., 6] > 0.5)) | inside | eye
        hull = cv2.convexHull(np.round(points[self.head.landmark_vertices]).astype(np.int32)[:, None])
        face = cv2.fillConvexPoly(np.zeros((n, n), np.uint8), hull, 1) & whole.astype(np.uint8)
        margin = max(3, round(0.04 * n))
        weight = cv2.GaussianBlur(
            cv2.erode(face, np.ones((margin, margin), np.uint8)).astype(np.float32), (0, 0), 0.02 * n
        )
        weight = min(a, 1.0) * weight * (1 - cv2.GaussianBlur(eye.astype(np.float32), (0, 0), n / 200))
        soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), n / 500)
        weight = np.maximum(weight, np.clip(1.6 * soft - 0.4, 0, 1) * min(1.0, 4 * a))
        image += weight[..., None] * (peak - image)
        smooth_seams(image, at)
        return np.clip(image, 0, 1)

    def shading(self) -> np.ndarray:
        """(9409,) log-brightness of the peak's skin over the neutral one's; nan where a photo does not see it."""
        values = []
        for image, points in ((self.portrait.skin, self.portrait.source_points), (self.peak_skin, self.peak_points)):
            smooth = cv2.GaussianBlur(image @ LUMA_REC601, (0, 0), image.shape[0] / 200)
            values.append(np.log(np.maximum(sample(smooth, points[None, FACE_VERTICES])[0], 0.02)))
        return np.where(self.portrait.trusted[FACE_VERTICES] > 0.9, values[1] - values[0], np.nan)


def mean_shading(
    pairs: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]], *, head: HeadModel
) -> np.ndarray:
    """(9409,) float16 median log-shading of a full open smile over neutral skin by vertex, symmetric, fading to 0 at
    the edges of eyes and lips.

    ``pairs`` as the arguments of `pair_clips`; fainter and closed smiles among them are passed over, the others scaled
    to the same motion. Kept as ``assets/smile_shading.npy``. Raises ``InputError`` where no smile is left.
    """
    shadings = []
    for pair in (_Pair(*photos, head=head, crop_px=512) for photos in pairs):
        with suppress(InputError):
            expression, reach = pair.smile()
            if expression == "smile" and reach >= _FULL_REACH:
                shadings.append(pair.shading() * np.clip(_SHADED_REACH / reach, 0.7, 1.3))
    if not shadings:
        raise InputError("no pair shows a full, open smile", "Give more pairs.")
    stacked = np.stack(shadings)
    known = np.isnan(stacked).mean(0) < 0.3
    mean = np.nan_to_num(np.nanmedian(np.where(known, stacked, 0), axis=0))
    vertices = head.vertices[FACE_VERTICES]
    tree = cKDTree(vertices)
    mean = (mean + mean[tree.query(vertices * [-1, 1, 1])[1]]) / 2
    mean = (mean + mean[tree.query(vertices, 7)[1]].mean(1)) / 2
    for part, (near, far) in _KEPT_FROM:
        spread = cdist(vertices, head.vertices[head.landmark_vertices[part]]).min(1)
        mean *= np.clip((spread - near) / (far - near), 0, 1)
    return np.clip(mean, -0.5, 0.35).astype(np.float16)
