"""Occluders drawn over a face: masks, microphones, fingers, dark glasses, hair, things held, plain shapes.

Every drawing takes landmarks (68, 2) of a canvas of N px and gives opacities (N, N) in [0, 1] with what they show.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facemotion.training.occlusion import materials
from facemotion.training.occlusion.materials import Layer
from facemotion.training.occlusion.photos import TrainingPhoto

_SHIFT = 4
"""Binary places of OpenCV's sub-pixel coordinates."""


@dataclass
class Occluder:
    """One thing in front of a face.

    ``alpha`` how opaque it is; ``hides`` (N, N) in [0, 1] whether it counts as an occluder, which a clear lens does
    not; ``undecided`` where it is neither.
    """

    alpha: np.ndarray
    layer: Layer
    hides: np.ndarray
    undecided: np.ndarray | None = None


@dataclass(frozen=True)
class Canvas:
    """What is drawn on: its size, the landmarks, and whose skin and surroundings may be used."""

    size: int
    landmarks: np.ndarray
    photo: TrainingPhoto
    photos: Sequence[TrainingPhoto]

    @property
    def span(self) -> float:
        """Distance of the outer eye corners, px."""
        return max(float(np.linalg.norm(self.landmarks[45] - self.landmarks[36])), 4.0)

    @property
    def across(self) -> np.ndarray:
        """Unit vector from eye to eye."""
        return (self.landmarks[45] - self.landmarks[36]) / self.span

    @property
    def down(self) -> np.ndarray:
        return np.array([-self.across[1], self.across[0]])

    @property
    def mouth(self) -> np.ndarray:
        return self.landmarks[48:60].mean(0)

    def eye(self, side: int) -> np.ndarray:
        """Middle of the picture's left (0) or right (1) eye."""
        return self.landmarks[36 + 6 * side : 42 + 6 * side].mean(0)

    def at(self, origin: np.ndarray, x: float, y: float) -> np.ndarray:
        """A place so many spans across and down from another."""
        return origin + self.span * (x * self.across + y * self.down)

    def polygon(self, points: np.ndarray) -> np.ndarray:
        mask = np.zeros((self.size, self.size), np.uint8)
        fixed = np.rint(np.asarray(points) * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SHIFT)
        return mask.astype(np.float32) / 255

    def ellipse(
        self, centre: np.ndarray, radii: Sequence[float] | np.ndarray, *, power: float = 2.0, turn: float = 0.0
    ) -> np.ndarray:
        """A superellipse: power 2 is round, 4 and more a rounded rectangle."""
        t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        x, y = np.cos(t), np.sin(t)
        x, y = np.sign(x) * np.abs(x) ** (2 / power) * radii[0], np.sign(y) * np.abs(y) ** (2 / power) * radii[1]
        angle = np.arctan2(self.across[1], self.across[0]) + turn
        x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
        return self.polygon(np.asarray(centre) + np.stack([x, y], 1))

    def lines(self, points: np.ndarray, width: float, *, closed: bool = False) -> np.ndarray:
        mask = np.zeros((self.size, self.size), np.uint8)
        fixed = np.rint(np.asarray(points) * 2**_SHIFT).astype(np.int32)
        cv2.polylines(mask, [fixed], closed, 255, max(1, round(width)), cv2.LINE_AA, _SHIFT)
        return mask.astype(np.float32) / 255


def face_mask(canvas: Canvas, rng: np.random.Generator) -> Occluder:
    """A surgical, cloth or dust mask: from the nose over the cheeks to below the chin, pleats and ear loops."""
    p = canvas.landmarks
    top, wide = rng.uniform(0.0, 1.0), int(rng.integers(1, 5))
    ridge = p[28] + top * (p[33] - p[28])
    drop = rng.uniform(0.03, 0.25)
    jaw = p[wide : 17 - wide].copy()
    jaw += rng.uniform(-0.02, 0.08) * (jaw - p[30])
    chin = canvas.at(p[8], 0, drop)
    jaw[len(jaw) // 2] = chin
    left, right = jaw[0], jaw[-1]
    bend = rng.uniform(-0.12, 0.18)
    upper = [canvas.at(0.5 * (right + ridge), 0, bend * 0.5), ridge, canvas.at(0.5 * (left + ridge), 0, bend * 0.5)]
    outline = smooth(np.vstack([jaw, upper])) if rng.random() < 0.8 else np.vstack([jaw, upper])
    alpha = canvas.polygon(outline)
    layer = materials.cloth(canvas.size, rng)
    if rng.random() < 0.15:
        layer = materials.any_material(canvas.photos, canvas.size, rng)
    if rng.random() < 0.6:  # pleats
        for share in np.linspace(0.25, 0.85, int(rng.integers(2, 5))):
            a, b, c = (
                edge + share * (chin - ridge) * (0.6, 0.9, 0.6)[k] for k, edge in enumerate((left, ridge, right))
            )
            pleat = canvas.lines(smooth(np.array([a, b, c]), closed=False), rng.uniform(1, 2.5))
            layer = (
                layer * (1 - rng.uniform(0.1, 0.4) * cv2.GaussianBlur(pleat, (0, 0), rng.uniform(0.6, 2)))[..., None]
            )
    layer = materials.lit(layer, alpha, rng)
    if rng.random() < 0.7:
        for edge, ear in ((left, p[0]), (right, p[16])):
            ear = canvas.at(ear, 0.1 * np.sign((ear - p[30]) @ canvas.across), rng.uniform(-0.2, 0.1))
            loop = canvas.lines(np.stack([edge, ear]), rng.uniform(1, 3))
            layer = np.where((loop > alpha)[..., None], layer.mean((0, 1)), layer)
            alpha = np.maximum(alpha, loop)
    return Occluder(alpha, layer, alpha)


def scarf(canvas: Canvas, rng: np.random.Generator) -> Occluder:
    """All below a wavy line at nose or mouth."""
    p = canvas.landmarks
    level = p[33] + rng.uniform(-0.7, 0.6) * (p[62] - p[33])
    x = np.linspace(-1.6, 1.6, 9)
    heights = rng.normal(0, 0.05, 9) + rng.uniform(-0.2, 0.2) * x**2
    edge = np.array([canvas.at(level, a, h) for a, h in zip(x, heights, strict=True)])
    outline = np.vstack([smooth(edge, closed=False), canvas.at(level, 1.8, 4), canvas.at(level, -1.8, 4)])
    alpha = canvas.polygon(outline)
    layer = (
        materials.cloth(canvas.size, rng)
        if rng.random() < 0.6
        else materials.any_material(canvas.photos, canvas.size, rng)
    )
    return Occluder(alpha, materials.lit(layer, alpha, rng), alpha)


def microphone(canvas: Canvas, rng: np.random.Generator) -> Occluder:
    """A ball before the mouth or near it, on a stick from below."""
    reach = rng.uniform(0.12, 0.36)
    centre = canvas.at(canvas.mouth, rng.normal(0, 0.15), rng.normal(0.08, 0.12))
    ball = canvas.ellipse(
        centre, (reach * canvas.span, reach * canvas.span * rng.uniform(0.85, 1.3)), turn=rng.normal(0, 0.6)
    )
    away = rng.normal(0, 0.8)
    way = np.sin(away) * canvas.across + np.cos(away) * canvas.down
    side = np.array([-way[1], way[0]])
    thick, thin = (rng.uniform(0.3, 0.75) * reach * canvas.span, rng.uniform(0.2, 0.6) * reach * canvas.span)
    end = centre + 4 * canvas.span * way
    stick = canvas.polygon(
        np.stack([centre - thick * side, centre + thick * side, end + thin * side, end - thin * side])
    )
    layer = materials.lit(materials.mesh(canvas.size, rng), ball, rng)
    handle = materials.lit(materials.plain(canvas.size, rng), stick, rng)
    layer = np.where((ball > 0.5)[..., None], layer, handle)
    if rng.random() < 0.3:
        layer = np.where(
            ((ball > 0.5) & (cv2.GaussianBlur(ball, (0, 0), 3) < 0.8))[..., None], rng.uniform(0, 220), layer
        )
    alpha = np.maximum(ball, stick)
    return Occluder(alpha, layer, alpha)


def fingers(canvas: Canvas, rng: np.random.Generator) -> Occluder:
    """One to five fingers, or a fist, over mouth, eye or cheek, of the person's own skin or another's."""
    goal = canvas.mouth if rng.random() < 0.6 else canvas.eye(int(rng.integers(2)))
    goal = canvas.at(goal, rng.normal(0, 0.12), rng.normal(0, 0.08))
    angle = rng.uniform(-1.4, 1.4) if rng.random() < 0.8 else rng.uniform(0, 2 * np.pi)
    way = np.sin(angle) * canvas.across + np.cos(angle) * canvas.down  # from the tips to the hand
    side = np.array([-way[1], way[0]])
    count = int(rng.integers(1, 6))
    width = rng.uniform(0.09, 0.17) * canvas.span
    own = canvas.photo if rng.random() < 0.7 else canvas.photos[int(rng.integers(len(canvas.photos)))]
    base = materials.skin(own, canvas.size, rng)
    layer, alpha = base.copy(), np.zeros((canvas.size, canvas.size), np.float32)
    spread, reach = rng.uniform(-0.06, 0.16), rng.uniform(0.1, 0.5)
    for k in rng.permutation(count):
        place = k - (count - 1) / 2
        tip = goal + place * width * rng.uniform(1.6, 2.1) * side - rng.uniform(0, reach) * canvas.span * way
        tip += rng.normal(0, 0.04, 2) * canvas.span
        knuckle = tip + (way + spread * place * side) * rng.uniform(0.5, 0.9) * canvas.span
        knuckle += rng.normal(0, 0.05, 2) * canvas.span
        end = knuckle + (way + 0.3 * spread * place * side) * 1.2 * canvas.span
        bones = np.stack([tip, knuckle, end])
        finger = canvas.lines(smooth(bones, closed=False), 2 * width * rng.uniform(0.85, 1.1))
        soft = cv2.GaussianBlur(finger, (0, 0), max(width * 0.55, 0.8))
        shading = np.clip(soft * 1.15, 0, 1) ** rng.uniform(0.4, 1.2)
        tone = base * (rng.uniform(0.25, 0.7) + shading * rng.uniform(0.4, 0.8))[..., None]
        shadow = 1 - rng.uniform(0, 0.5) * cv2.GaussianBlur(finger, (0, 0), max(width * 0.4, 0.8))
        layer = np.where((finger > 0.5)[..., None], tone, layer * shadow[..., None])
        if rng.random() < 0.5:  # a nail
            at, turn = tip + 0.15 * width * way, np.arctan2(way[0], way[1])
            nail = canvas.ellipse(at, (0.55 * width, 0.75 * width), power=3, turn=-turn)
            layer = layer + (nail * 0.6)[..., None] * (base.mean((0, 1)) * rng.uniform(0.9, 1.3) + (15, 0, 5) - layer)
        alpha = np.maximum(alpha, finger)
    if rng.random() < 0.5:  # the hand they belong to
        palm = canvas.ellipse(
            goal + way * rng.uniform(0.8, 1.2) * canvas.span, (2.2 * width * count**0.5, 0.7 * canvas.span)
        )
        tone = base * (rng.uniform(0.5, 0.9) + 0.3 * cv2.GaussianBlur(palm, (0, 0), 6))[..., None]
        layer = np.where(((palm > 0.5) & (alpha < 0.5))[..., None], tone, layer)
        alpha = np.maximum(alpha, palm)
    return Occluder(alpha, layer, alpha)


def glasses(canvas: Canvas, rng: np.random.Generator, *, dark: bool) -> Occluder:
    """Sunglasses, whose lenses hide the eyes, or clear glasses, of which only the rims lie in front."""
    span, power = canvas.span, rng.choice([2, 2.5, 3, 4, 6])
    half = np.array([rng.uniform(0.2, 0.33), rng.uniform(0.13, 0.28)]) * span
    shield = dark and rng.random() < 0.12
    lenses = np.zeros((canvas.size, canvas.size), np.float32)
    drop, apart, slant = rng.normal(0.03, 0.03), rng.normal(0.02, 0.02), rng.normal(0, 0.12)
    rims = np.zeros_like(lenses)
    thin = rng.uniform(1, 2) if rng.random() < 0.5 else rng.uniform(0.02, 0.06) * span
    for side, sign in ((0, -1), (1, 1)):
        centre = canvas.at(canvas.eye(side), sign * apart, drop)
        lens = canvas.ellipse(centre, half, power=power, turn=sign * slant)
        rims = np.maximum(
            rims,
            canvas.ellipse(centre, half + thin / 2, power=power, turn=sign * slant)
            - canvas.ellipse(centre, half - thin / 2, power=power, turn=sign * slant),
        )
        lenses = np.maximum(lenses, lens)
    middle = 0.5 * (canvas.eye(0) + canvas.eye(1))
    if shield:
        lenses = canvas.ellipse(canvas.at(middle, 0, drop), (0.62 * span, half[1] * 1.1), power=5)
        rims = np.clip(cv2.dilate(lenses, np.ones((3, 3))) - lenses, 0, 1)
    elif rng.random() < 0.15:
        rims = rims * 0
    bridge = rng.uniform(-0.1, 0.02)
    rims = np.maximum(
        rims, canvas.lines(np.stack([canvas.at(middle, -0.12, bridge), canvas.at(middle, 0.12, bridge)]), thin)
    )
    for side, sign in ((0, -1), (1, 1)):
        hinge = canvas.at(canvas.eye(side), sign * (apart + half[0] / span), drop - rng.uniform(0, 0.12))
        ear = canvas.at(canvas.landmarks[16 * side], sign * 0.15, rng.uniform(-0.15, 0.1))
        rims = np.maximum(rims, canvas.lines(np.stack([hinge, ear]), thin))
    rims = np.clip(rims, 0, 1)
    if dark:
        opacity, tone = rng.uniform(0.88, 1.0), rng.uniform(0, 50, 3)
        if rng.random() < 0.35:  # mirrored or coloured
            tone = rng.uniform(0, 200, 3)
        lens = materials.plain(canvas.size, rng, tone)
        ramp = np.linspace(-1, 1, canvas.size, dtype=np.float32)[:, None, None]
        lens = lens * (1 + rng.uniform(-0.6, 0.6) * ramp) + rng.uniform(0, 40)
        if rng.random() < 0.5:  # what they reflect
            photo = canvas.photos[int(rng.integers(len(canvas.photos)))]
            lens = lens + rng.uniform(0.05, 0.6) * (materials.piece(photo, canvas.size, rng) - 40)
    else:
        opacity, tone = rng.uniform(0, 0.3), rng.uniform(0, 255, 3)
        lens = materials.plain(canvas.size, rng, tone)
        if rng.random() < 0.4:  # a pale reflection, through which eyes are seen
            streak = np.clip(materials.smooth_noise(canvas.size, rng, cells=5), 0, 1)
            lens, opacity = lens * 0 + 235, rng.uniform(0.1, 0.4) * streak
    frame = materials.plain(canvas.size, rng, rng.uniform(0, 60) * np.ones(3) if rng.random() < 0.6 else None)
    alpha = np.maximum(opacity * lenses, rims)
    layer = np.where((rims > 0.4)[..., None], frame, lens)
    hides = np.maximum(lenses, rims) if dark else rims
    return Occluder(alpha, layer, hides)


def covered_eyes(canvas: Canvas, rng: np.random.Generator) -> Occluder:
    """Ellipses, patches or a bar over one eye or both."""
    kind = rng.random()
    sides = (0, 1) if kind < 0.6 else (int(rng.integers(2)),)
    alpha = np.zeros((canvas.size, canvas.size), np.float32)
    if rng.random() < 0.25:
        centre = 0.5 * (canvas.eye(0) + canvas.eye(1))
        alpha = canvas.ellipse(
            centre, (rng.uniform(0.5, 1.0) * canvas.span, rng.uniform(0.08, 0.25) * canvas.span), power=20
        )
    else:
        radii = rng.uniform(0.13, 0.35) * canvas.span, rng.uniform(0.08, 0.28) * canvas.span
        power, turn = rng.choice([2, 2, 3, 8]), rng.normal(0, 0.2)
        for side in sides:
            centre = canvas.at(canvas.eye(side), *rng.normal(0, 0.03, 2))
            alpha = np.maximum(alpha, canvas.ellipse(centre, radii, power=power, turn=turn))
    layer = (
        materials.plain(canvas.size, rng, rng.uniform(0, 15, 3))
        if rng.random() < 0.4
        else materials.any_material(canvas.photos, canvas.size, rng)
    )
    return Occluder(alpha, materials.lit(layer, alpha, rng) if rng.random() < 0.5 else layer, alpha)


def shape(canvas: Canvas, rng: np.random.Generator) -> Occluder:
    """A polygon or a rounded shape of anything, mostly over the mouth: things held before the face, stickers, bars."""
    chance = rng.random()
    place = canvas.mouth if chance < 0.6 else canvas.eye(int(rng.integers(2))) if chance < 0.8 else canvas.landmarks[30]
    centre = canvas.at(place, *rng.normal(0, 0.12, 2))
    wide, high = np.exp(rng.uniform(np.log(0.12), np.log(0.7), 2)) * canvas.span
    if rng.random() < 0.6:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 11))))
        radii = rng.uniform(0.5, 1.2, len(angles))
        corners = centre + np.stack([np.cos(angles) * radii * wide, np.sin(angles) * radii * high], 1)
        if rng.random() < 0.4:
            corners = cv2.convexHull(corners.astype(np.float32))[:, 0]
        if rng.random() < 0.3:
            corners = smooth(corners)
        alpha = canvas.polygon(corners)
    else:
        alpha = canvas.ellipse(centre, (wide, high), power=rng.choice([2, 4, 20]), turn=rng.normal(0, 0.5))
    layer = materials.any_material(canvas.photos, canvas.size, rng)
    return Occluder(alpha, materials.lit(layer, alpha, rng) if rng.random() < 0.6 else layer, alpha)


def hair(canvas: Canvas, rng: np.random.Generator) -> Occluder:
    """A lock that falls over an eye, from the forehead or the side."""
    side = int(rng.integers(2))
    sign = (-1, 1)[side]
    root = canvas.at(canvas.eye(side), rng.uniform(-0.5, 0.3) * sign, -rng.uniform(0.6, 1.0))
    through = canvas.at(canvas.eye(side), rng.normal(0, 0.1), rng.normal(0, 0.06))
    end = canvas.at(canvas.eye(side), sign * rng.uniform(0.1, 0.6), rng.uniform(0.2, 1.3))
    alpha = np.zeros((canvas.size, canvas.size), np.float32)
    layer = materials.plain(
        canvas.size, rng, rng.uniform(0, 60) * np.array([1.2, 1, 0.8]) if rng.random() < 0.7 else None
    )
    spread = rng.uniform(0.03, 0.14) * canvas.span
    for _ in range(int(rng.integers(8, 30))):
        bend = rng.normal(0, spread, (3, 1)) * canvas.across + rng.normal(0, spread / 4, (3, 2))
        strand = canvas.lines(smooth(np.stack([root, through, end]) + bend, closed=False), rng.uniform(1, 2.5))
        layer = np.where((strand > 0.4)[..., None], layer * rng.uniform(0.7, 1.35), layer)
        alpha = np.maximum(alpha, strand)
    return Occluder(alpha, layer, cv2.GaussianBlur(alpha, (0, 0), 1.5))


DRAWINGS: tuple[tuple[float, Callable[[Canvas, np.random.Generator], Occluder]], ...] = (
    (0.2, face_mask),
    (0.06, scarf),
    (0.11, microphone),
    (0.16, fingers),
    (0.14, lambda canvas, rng: glasses(canvas, rng, dark=True)),
    (0.09, lambda canvas, rng: glasses(canvas, rng, dark=False)),
    (0.07, covered_eyes),
    (0.13, shape),
    (0.04, hair),
)
"""How often each is drawn."""


def draw(canvas: Canvas, rng: np.random.Generator) -> Occluder:
    """One occluder of any kind."""
    shares = np.array([share for share, _ in DRAWINGS])
    return DRAWINGS[rng.choice(len(DRAWINGS), p=shares / shares.sum())][1](canvas, rng)


def smooth(points: np.ndarray, *, closed: bool = True) -> np.ndarray:
    """A curve through points (Catmull-Rom), eight times as many."""
    points = np.asarray(points, float)
    before, after = (np.roll(points, k, 0) for k in (1, -1))
    if not closed:
        before[0], after[-1] = points[0], points[-1]
    following = np.roll(after, -1, 0)
    if not closed:
        following[-2:] = points[-1]
    t = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * points
        + (after - before) * t
        + (2 * before - 5 * points + 4 * after - following) * t**2
        + (3 * points - before - 3 * after + following) * t**3
    )
    curve = curve.transpose(1, 0, 2)
    return curve.reshape(-1, 2) if closed else np.vstack([curve[:-1].reshape(-1, 2), points[-1]])
