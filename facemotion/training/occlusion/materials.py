"""What occluders are made of: colours, cloth, skin, pieces of photographs, and the light that falls on them."""

from collections.abc import Sequence

import cv2
import numpy as np

from facemotion.training.occlusion.photos import TrainingPhoto

Layer = np.ndarray
"""(N, N, 3) float32, 8-bit levels."""

_CLOTH = ((170, 205, 225), (235, 238, 240), (25, 25, 28), (120, 160, 200), (90, 140, 110), (200, 150, 170))
"""Surgical blue, white, black, and the other colours that masks are sold in."""


def plain(size: int, rng: np.random.Generator, colour: np.ndarray | None = None) -> Layer:
    """One colour; by default any, grey ones and nearly black ones among them."""
    if colour is None:
        kind = rng.random()
        if kind < 0.25:
            colour = np.full(3, rng.uniform(0, 255))
        elif kind < 0.4:
            colour = rng.uniform(0, 30, 3)
        else:
            colour = rng.uniform(0, 255, 3)
    return np.full((size, size, 3), colour, np.float32)


def cloth(size: int, rng: np.random.Generator) -> Layer:
    """Cloth of one colour or printed, with a weave and soft folds."""
    colour = np.array(_CLOTH[rng.integers(len(_CLOTH))], np.float32) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
    layer = plain(size, rng, colour + rng.normal(0, 8, 3))
    if rng.random() < 0.3:
        layer = _printed(layer, rng)
    folds = smooth_noise(size, rng, cells=int(rng.integers(3, 9)), stretch=float(rng.uniform(1, 4)))
    weave = rng.normal(0, rng.uniform(0, 0.04), (size, size)).astype(np.float32)
    return layer * (1 + rng.uniform(0, 0.25) * folds + weave)[..., None]


def skin(photo: TrainingPhoto, size: int, rng: np.random.Generator) -> Layer:
    """The skin of a photo's cheeks and forehead, as large as the canvas, its light evened out."""
    points = photo.landmarks
    span = np.linalg.norm(points[45] - points[36])
    places = (
        0.5 * (points[2] + points[31]),
        0.5 * (points[14] + points[35]),
        points[27] + 0.45 * (points[27] - points[33]),
    )
    place = places[rng.integers(3)]
    scale = size / max(rng.uniform(0.25, 0.5) * float(span), 6.0)
    angle = rng.uniform(0, 2 * np.pi)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    transform = np.hstack([linear, (size / 2 - linear @ place)[:, None]])
    patch = photo.warp(transform, (size, size), cv2.BORDER_REFLECT_101).astype(np.float32)
    mean = patch.mean((0, 1))
    patch = mean + (patch - cv2.GaussianBlur(patch, (0, 0), size / 6)) + rng.normal(0, 4, 3)
    return patch * rng.uniform(0.8, 1.15)


def piece(photo: TrainingPhoto, size: int, rng: np.random.Generator) -> Layer:
    """Any part of a photo, at any size and turn: clothes, hair, walls, leaves."""
    height, width = photo.image.shape[:2]
    place = rng.uniform(0, 1, 2) * (width - 1, height - 1)
    scale = np.exp(rng.uniform(np.log(0.7), np.log(4))) * size / max(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    transform = np.hstack([linear, (size / 2 - linear @ place)[:, None]])
    return photo.warp(transform, (size, size), cv2.BORDER_REFLECT_101).astype(np.float32)


def mesh(size: int, rng: np.random.Generator) -> Layer:
    """The wire or foam of a microphone."""
    layer = plain(size, rng, rng.uniform(10, 90) * np.ones(3) if rng.random() < 0.7 else rng.uniform(0, 255, 3))
    if rng.random() < 0.6:
        y, x = np.mgrid[:size, :size].astype(np.float32)
        period, angle = rng.uniform(3, 8), rng.uniform(0, np.pi / 2)
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        wires = np.maximum(np.sin(2 * np.pi * u / period), np.sin(2 * np.pi * v / period))
        return layer * (1 + rng.uniform(0.2, 0.9) * wires)[..., None] + rng.uniform(0, 50) * (wires > 0.6)[..., None]
    speckle = cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), rng.uniform(0.5, 1.5))
    return layer * (1 + rng.uniform(0.2, 0.6) * speckle)[..., None]


def any_material(photos: Sequence[TrainingPhoto], size: int, rng: np.random.Generator) -> Layer:
    """One of all of them, the skin of anybody among them."""
    photo = photos[int(rng.integers(len(photos)))]
    kind = rng.random()
    if kind < 0.3:
        return plain(size, rng)
    if kind < 0.5:
        return cloth(size, rng)
    if kind < 0.62:
        return skin(photo, size, rng)
    if kind < 0.92:
        return piece(photo, size, rng)
    return mesh(size, rng)


def smooth_noise(size: int, rng: np.random.Generator, *, cells: int, stretch: float = 1.0) -> np.ndarray:
    """(size, size) float32 of deviation 1 or so: noise of ``cells`` bumps across, stretched along one axis."""
    shape = (max(2, round(cells / stretch)), cells) if rng.random() < 0.5 else (cells, max(2, round(cells / stretch)))
    return cv2.resize(rng.normal(0, 1, shape).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


def lit(layer: Layer, mask: np.ndarray, rng: np.random.Generator) -> Layer:
    """The layer under light from one side, and darker towards the edge of its mask (N, N) where it is round."""
    size = len(layer)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    light = 1 + depth * (ramp * np.cos(angle) + ramp[:, None] * np.sin(angle))
    if rng.random() < 0.6:
        width = rng.uniform(3, 14)
        inner = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), width)
        light = light * (1 - rng.uniform(0.1, 0.6) * np.clip(2 * (1 - inner), 0, 1))
    layer = layer * light[..., None]
    if rng.random() < 0.2:  # a highlight
        y, x = np.mgrid[:size, :size].astype(np.float32)
        at, spread = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(4, 25)
        layer = layer + rng.uniform(20, 150) * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / spread**2)[..., None]
    return layer


def _printed(layer: Layer, rng: np.random.Generator) -> Layer:
    size = len(layer)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    period, angle = rng.uniform(5, 30), rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kind = rng.integers(3)
    stripes, dots = np.sin(2 * np.pi * u / period), np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / period)
    shown = (stripes > 0.2) if kind == 0 else (dots > 0.4) if kind == 1 else (dots > 0)
    return np.where(shown[..., None], rng.uniform(0, 255, 3).astype(np.float32), layer)
