"""What happens to faces before they reach a program: light, paint, film, lens, sensor, compression."""

import cv2
import numpy as np


def degrade(picture: np.ndarray, rng: np.random.Generator, *, strength: float = 1.0) -> np.ndarray:
    """A picture (uint8 RGB) as another camera, hand or century would have made it; each change by chance.

    ``strength`` scales the chances; 0 changes nothing.
    """

    def by_chance(chance: float) -> bool:
        return rng.random() < chance * strength

    if by_chance(0.10):
        picture = _stylise(picture, rng)
    if by_chance(0.8):
        picture = _relight(picture, rng)
    if by_chance(0.22):
        picture = _toned_grey(picture, rng)
    if by_chance(0.25):
        picture = _blur(picture, rng)
    if by_chance(0.25):
        noise = rng.normal(0, rng.uniform(2, 22), (*picture.shape[:2], rng.choice([1, 3])))
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if by_chance(0.3):
        quality = int(rng.uniform(12, 75))
        _, compressed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(compressed, cv2.IMREAD_COLOR))
    return picture


def _relight(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    levels = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.3))
    contrast, brightness = np.exp(rng.normal(0.0, 0.25)), rng.normal(0, 0.1)
    if rng.random() < 0.1:  # underexposed
        contrast, brightness = rng.uniform(0.15, 0.5), rng.uniform(-0.3, -0.1)
    curve = (levels**gamma - 0.5) * contrast + 0.5 + brightness
    gains = np.exp(rng.normal(0, 0.12, 3)) if rng.random() < 0.7 else np.ones(3)
    table = np.clip(255 * curve[:, None] * gains, 0, 255).astype(np.uint8)
    picture = cv2.LUT(picture, table[None])
    if rng.random() < 0.3:
        height, width = picture.shape[:2]
        angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8)
        x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
        ramp = 1 - depth / (1 + np.exp(-rng.uniform(1, 8) * (x * np.cos(angle) + y * np.sin(angle))))
        picture = (picture * ramp[..., None]).astype(np.uint8)
    if rng.random() < 0.3:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
        picture = np.clip(grey + rng.uniform(0.2, 2.0) * (picture - grey), 0, 255).astype(np.uint8)
    return picture


def _toned_grey(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    tone = np.ones(3) if rng.random() < 0.6 else np.array([1.0, rng.uniform(0.8, 1), rng.uniform(0.55, 0.95)])
    return np.clip(grey[..., None] * tone, 0, 255).astype(np.uint8)


def _blur(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kind = rng.integers(3)
    if kind == 0:
        return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 2.0))
    if kind == 1:  # motion
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        middle, reach = (length - 1) / 2, (length - 1) / 2
        for t in np.linspace(-1, 1, 4 * length):
            kernel[round(middle + t * reach * np.sin(angle)), round(middle + t * reach * np.cos(angle))] = 1
        return cv2.filter2D(picture, -1, kernel / kernel.sum())
    size = picture.shape[1::-1]
    factor = rng.uniform(0.25, 0.8)
    kernels = [cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_NEAREST]
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, size, interpolation=kernels[rng.integers(1, 3) if factor > 0.5 else 1])


def _stylise(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kind = rng.integers(5)
    if kind == 0:  # posterised
        steps = int(rng.integers(3, 8))
        return (np.round(picture / 255 * steps) / steps * 255).astype(np.uint8)
    if kind == 1:  # broad brush
        return cv2.medianBlur(picture, int(rng.choice([3, 5, 7])))
    if kind == 2:  # smooth oil
        smooth = cv2.bilateralFilter(picture, 7, rng.uniform(40, 120), rng.uniform(2, 5))
        grain = rng.normal(1, rng.uniform(0, 0.08), (*picture.shape[:2], 1))
        return np.clip(smooth * grain, 0, 255).astype(np.uint8)
    if kind == 3:  # pencil: brightness divided by its own blur
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) + 1
        drawn = np.clip(grey / (cv2.GaussianBlur(grey, (0, 0), rng.uniform(2, 6)) + 1) * 230, 0, 255)
        return np.repeat(drawn.astype(np.uint8)[..., None], 3, axis=2)
    lines = cv2.adaptiveThreshold(  # ink over flat colour
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 6
    )
    return np.minimum(cv2.bilateralFilter(picture, 5, 90, 4), np.maximum(lines, 60)[..., None])
