"""Performances to be measured by: speech made up of visemes, and by how much clips change from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from facemotion.evaluation.unit_scores import WORDS, correlation, indices, target
from facemotion.expressions.performance import Performance
from facemotion.expressions.units import UNIT_COUNT
from facemotion.faces.geometry import smoothstep

VOWELS: dict[str, dict[str, float]] = {
    "a": {"jawOpen": 0.5, "mouthLowerDown": 0.15},
    "e": {"jawOpen": 0.3, "mouthStretch": 0.25, "mouthSmile": 0.1},
    "i": {"jawOpen": 0.15, "mouthStretch": 0.4, "mouthSmile": 0.15},
    "o": {"jawOpen": 0.35, "mouthFunnel": 0.55},
    "u": {"jawOpen": 0.15, "mouthPucker": 0.6},
}
CONSONANTS: dict[str, dict[str, float]] = {
    "m": {"mouthPress": 0.4, "mouthRollLower": 0.2, "mouthRollUpper": 0.1},  # and b, p
    "f": {"jawOpen": 0.08, "mouthRollLower": 0.45, "mouthUpperUp": 0.15},  # and v
    "s": {"jawOpen": 0.08, "mouthStretch": 0.25, "mouthLowerDown": 0.15},  # and z, t, d
    "w": {"jawOpen": 0.12, "mouthPucker": 0.5},  # and r
}
"""Visemes: units of what lips do for a sound, by eye."""
_SOUND_S = 0.12
"""Of each sound: some four syllables a second."""
_HELD = 0.35  # share of a sound for which its viseme is held
_BLINK_EVERY_S, _BLINK_S = 2.7, 0.28
_BROWS_HZ, _HEAD_HZ = 0.4, 0.23
_BROWS, _HEAD_DEG = 0.25, (3.0, 2.0, 1.5)


@dataclass(frozen=True, eq=False)
class Speech:
    """A face that speaks, and the frames (T,) bool in which its lips are to be closed (m, b, p)."""

    performance: Performance
    closed: np.ndarray


def speech(*, seconds: float, fps: float, seed: int) -> Speech:
    """Random syllables of a consonant and a vowel, with blinks, brows that rise and fall, and a head that sways."""
    source = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * fps)) / fps
    sounds: list[tuple[str, np.ndarray]] = []
    while len(sounds) * _SOUND_S < seconds:
        for visemes in (CONSONANTS, VOWELS):
            name = str(source.choice(list(visemes)))
            sounds.append((name, target(**visemes[name])))
    place = time_s / _SOUND_S
    now = np.minimum(place.astype(int), len(sounds) - 2)
    way = smoothstep((place - now - _HELD) / (1 - _HELD))[:, None]
    shapes = np.stack([units for _, units in sounds])
    units = shapes[now] + way * (shapes[now + 1] - shapes[now])
    since_blink = (time_s + 1.0) % _BLINK_EVERY_S
    units[:, indices("eyeBlink")] = np.sin(np.pi * np.clip(since_blink / _BLINK_S, 0, 1))[:, None]
    brows = _BROWS * np.clip(np.sin(2 * np.pi * _BROWS_HZ * time_s), 0, 1)
    units[:, indices("browInnerUp") + indices("browOuterUp")] = brows[:, None]
    phase = np.array([0.0, 1.0, 2.0])
    sway = np.array(_HEAD_DEG) * (np.sin(2 * np.pi * _HEAD_HZ * time_s[:, None] + phase) - np.sin(phase))
    closed = np.array([sounds[sound][0] == "m" for sound in now]) & (way[:, 0] == 0)
    return Speech(Performance(units.astype(np.float32), sway.astype(np.float32), time_s), closed)


def frame_steps(frames: Iterable[np.ndarray], outline: np.ndarray) -> np.ndarray:
    """(T - 1,) mean absolute change, in levels of 255, of the pixels in the hull of points (n, 2) px from each of T
    frames (H, W, 3) uint8 to the next."""
    region, steps = None, []
    for before, after in pairwise(frames):
        if region is None:
            hull = cv2.convexHull(np.round(outline).astype(np.int32))
            region = cv2.fillConvexPoly(np.zeros(before.shape[:2], np.uint8), hull, 1).astype(bool)
        steps.append(float(np.abs(after.astype(np.int16) - before)[region].mean()))
    return np.array(steps)


def read_back(asked: np.ndarray, read: np.ndarray) -> dict[str, float]:
    """Correlation over frames of each unit asked (T, 52) that changes at all with what was read of it (T, 52)."""
    assert asked.shape == read.shape and asked.shape[1] == UNIT_COUNT
    return {
        word: correlation(asked[:, indices(word)].mean(1), read[:, indices(word)].mean(1))
        for word in WORDS
        if np.ptp(asked[:, indices(word)]) > 0
    }
