"""What hides a part of the face stays in front of it, unmoved and unpainted, and the face comes to rest towards it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facemotion.faces import geometry
from facemotion.faces.geometry import smoothstep

if TYPE_CHECKING:
    from facemotion.faces.occlusion import Occlusion

MAP_PX = 512
"""Side of the maps."""

_NOTHING, _SURE = 0.35, 0.65
"""How surely something must be in front to count at all, and to count wholly."""
_SPECK = 0.0004
"""Finds smaller than so much of the crop are noise."""
_EDGE_PX, _EDGE_CONTRAST = 6, 12.0
"""Reach of the guided filter, in map px, and the contrast in 8-bit levels that it takes for an edge."""
_BORDER, _REST = 0.012, 0.11
"""Around an occluder nothing moves for so many crop widths, and over so many more the motion comes back: what moved
faster would fold over."""
_LIPS, _EYE = 0.05, 0.03
"""How far around hidden lips and hidden eyes nothing moves either, in crop widths."""
_LENS, _LENS_FADE = (0.07, 0.045), 0.5
"""Half width and height of a seen eye, whose lids move also behind glasses; and the share over which that ends."""
_BESIDE, _ABOVE, _BELOW = (0.34, 0.2), (0.24, 0.35), (0.44, 0.22)
"""How far around the middle of an eye rims are found, and over how much more skin may begin to move, in distances of
the outer eye corners."""
_EYE_BEHIND, _EYE_FADE, _EYE_LOWER = (0.14, 0.07), 0.45, 0.02
"""Half width and height of the eye itself, whose lids move behind the lens, how that ends, and how far below the middle
of the eye it lies, since that is where closed lids meet; lengths in the same unit."""
_MOUTH_FREE, _MOUTH_HELD = 0.35, 0.7
"""Share of the lips held still up to which the mouth is painted as ever, and from which on not at all."""


@dataclass(frozen=True, eq=False)
class Occluders:
    """Maps of a crop, (MAP_PX, MAP_PX) float32 in [0, 1] each.

    front: the photo itself is seen, neither moved nor painted. motion: how much of the motion is left. paint: how much
    of the paint is left.
    """

    front: np.ndarray
    motion: np.ndarray
    paint: np.ndarray


def occluders_of(occlusion: Occlusion, photo: np.ndarray, landmarks: np.ndarray) -> Occluders | None:
    """The maps for one face, `MAP_PX` a side, None where nothing hides it.

    photo: (H, W, 3) uint8; landmarks: (68, 2) photo px.
    """
    size = MAP_PX
    photo_to_map = geometry.photo_to_crop(landmarks, size)
    landmarks = geometry.apply(photo_to_map, landmarks)
    front = _refined(_seen(occlusion.front, size), geometry.warp_crop(photo, photo_to_map, size))
    hidden_eyes = [points for points, hidden in zip(_eyes(landmarks), occlusion.eyes_hidden, strict=True) if hidden]
    held = front > 0.5
    for parts, reach in ((hidden_eyes, _EYE), ([landmarks[48:60]] if occlusion.lips_hidden else [], _LIPS)):
        for points in parts:
            held |= _near(_hull(points, size), reach)
    if not held.any() and not occlusion.glasses:
        return None
    motion = np.ones((size, size))
    if held.any():
        distance = cv2.distanceTransform((~held).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / size
        motion = smoothstep((distance - _BORDER) / _REST)
    for points, hidden in zip(_eyes(landmarks), occlusion.eyes_hidden, strict=True):
        if not hidden:
            motion = np.maximum(motion, _lens(points, landmarks, size))
    motion = motion * (1 - occlusion.glasses * _rims(landmarks, size))
    paint = motion * (1 - front)
    lips = _hull(landmarks[48:60], size)
    still = float((1 - motion)[lips].mean()) if lips.any() else 0.0
    free = 1 - smoothstep(np.array((still - _MOUTH_FREE) / (_MOUTH_HELD - _MOUTH_FREE)))
    around = _near(lips, 0.04)
    paint[around] *= free
    return Occluders(front, motion.astype(np.float32), paint.astype(np.float32))


def _seen(front: np.ndarray, size: int) -> np.ndarray:
    """A mask at another size, decided, without specks and small holes."""
    front = cv2.resize(front, (size, size), interpolation=cv2.INTER_CUBIC)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((front > _NOTHING).astype(np.uint8))
    small = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] < _SPECK * size**2]
    front[np.isin(labels, small)] = 0
    return smoothstep((front - _NOTHING) / (_SURE - _NOTHING))


def _refined(front: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """A mask whose border follows the edges of the picture: the guided filter of He et al. (2010)."""
    if not front.any():
        return front
    guide = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, (2 * _EDGE_PX + 1,) * 2, borderType=cv2.BORDER_REFLECT)

    average, average_front = mean(guide), mean(front)
    slope = (mean(guide * front) - average * average_front) / (mean(guide**2) - average**2 + _EDGE_CONTRAST**2)
    refined = mean(slope) * guide + mean(average_front - slope * average)
    return np.clip((np.clip(refined, 0, 1) - 0.1) / 0.7, 0, 1).astype(np.float32)


def _eyes(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return landmarks[36:42], landmarks[42:48]


def _hull(points: np.ndarray, size: int) -> np.ndarray:
    inside = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return inside.astype(bool)


def _near(inside: np.ndarray, reach: float) -> np.ndarray:
    """Where something is, or less than ``reach`` of the map's width away."""
    away = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= reach * len(inside)


def _from_eye(eye: np.ndarray, landmarks: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """How far every pixel lies to the right of an eye and below it, along the line of both eyes, px."""
    along = landmarks[45] - landmarks[36]
    angle = np.degrees(np.arctan2(along[1], along[0]))
    turn = cv2.getRotationMatrix2D((0, 0), float(angle), 1)[:, :2]
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) - eye.mean(0)
    x, y = np.moveaxis(places @ turn.T, -1, 0)
    return x, y


def _rims(landmarks: np.ndarray, size: int) -> np.ndarray:
    """1 where the rims and bridge of glasses would be, but 0 on the eyes behind them; it ends over farther than skin
    moves, so that nothing folds over."""
    span = float(np.linalg.norm(landmarks[45] - landmarks[36]))
    around, eyes = np.zeros((2, size, size))
    for eye in _eyes(landmarks):
        x, y = (each / span for each in _from_eye(eye, landmarks, size))
        beyond = [(far - reach) / fade for far, (reach, fade) in ((np.abs(x), _BESIDE), (-y, _ABOVE), (y, _BELOW))]
        around = np.maximum(around, smoothstep(1 - np.sqrt(np.square(np.maximum(beyond, 0)).sum(0))))
        eyes = np.maximum(eyes, _rounded(x / _EYE_BEHIND[0], (y - _EYE_LOWER) / _EYE_BEHIND[1], _EYE_FADE))
    return around * (1 - eyes)


def _lens(eye: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """1 on an eye and its lids, falling to 0 around them."""
    x, y = (each / size for each in _from_eye(eye, landmarks, size))
    return _rounded(x / _LENS[0], y / _LENS[1], _LENS_FADE)


def _rounded(x: np.ndarray, y: np.ndarray, fade: float) -> np.ndarray:
    """1 within a rounded rectangle that reaches to 1 both ways, falling to 0 over ``fade`` of that."""
    far = np.sqrt(np.hypot(x * x, y * y))
    return smoothstep((1 + fade - far) / fade)
