"""What a network adds to a rendering, in numbers of NumPy, and how it is added."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from facemotion.faces.geometry import smoothstep
from facemotion.head.fit import FACE_OVAL
from facemotion.head.rig import OUTER_LIPS
from facemotion.rendering.face import Layer, Patch, Rendering

_OUTLINE = 0.05
"""Over how much of the face, in crop widths, residual motion and light end towards its outline."""
_BEYOND_LIPS = 0.017, 0.033
"""How far beyond the lips the mouth's residual colour is taken, and over how much more it fades, in its widths."""
_LENT = 0.5, 0.8
"""Share of a layer that is not of the photo's own pixels, from which and at which it counts as lent."""


@dataclass(frozen=True, eq=False)
class Correction:
    """What a frame has beyond the renderer's; maps cover the crop edge to edge."""

    flow: np.ndarray
    """(n, n, 2) float32 crop widths."""
    log_gain: np.ndarray
    """(m, m) float32."""
    patches: tuple[Patch, ...]
    """Of the finished frame: mouth, eye at the left of the image, eye at the right."""
    displacement: np.ndarray
    """(68, 2) float32 crop widths: how far iBUG's landmarks lie from the renderer's, as the network guesses."""


def corrected(rendering: Rendering, correction: Correction, size_px: int) -> Rendering:
    """The rendering of a crop of ``size_px`` with residual flow, light and colour.

    Nothing of it reaches beyond the face's outline: there samples know no target. Lent teeth keep their own colours:
    whose they would be the network cannot know, and what it adds is the blur between donor and mean. Beside the lips
    its colour is not taken either: folds lie elsewhere on everybody, and it would blur them (docs/training.md).
    """
    side = rendering.flow.shape[0]
    flow, gain = (
        cv2.resize(each, (side, side), interpolation=cv2.INTER_LINEAR)
        for each in (correction.flow, correction.log_gain)
    )
    face = _within_face(rendering.landmarks, size_px, side)
    flow, gain = flow * face[..., None], gain * face
    mouth, *eyes = correction.patches
    on_lips = (_on_lips(mouth, rendering.landmarks, size_px), *eyes)
    patches = tuple(_sparing(patch, rendering.layers, size_px) for patch in on_lips)
    return replace(rendering, flow=rendering.flow + flow, log_gain=rendering.log_gain + gain, patches=patches)


def _within_face(landmarks: np.ndarray, size_px: int, side: int) -> np.ndarray:
    """(side, side) float32 1 on the face, 0 at its outline and beyond; landmarks: (468, 2) px of the crop."""
    outline = (landmarks[list(FACE_OVAL)] + 0.5) * (side / size_px) - 0.5
    inside = np.zeros((side, side), np.uint8)
    cv2.fillPoly(inside, [np.round(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return smoothstep(cv2.distanceTransform(inside, cv2.DIST_L2, 5) / (_OUTLINE * side)).astype(np.float32)


def _on_lips(patch: Patch, landmarks: np.ndarray, size_px: int) -> Patch:
    """The mouth's patch, fading out around the lips; landmarks: (468, 2) px of the frame's crop of ``size_px``."""
    height, width = patch.residual.shape[:2]
    extent = np.array(patch.extent)
    outline = (landmarks[list(OUTER_LIPS)] + 0.5) / size_px - (np.array(patch.centre) - extent / 2)
    lips = np.ones((height, width), np.uint8)
    places = outline / extent * (width, height) - 0.5
    cv2.fillPoly(lips, [np.round(places * 16).astype(np.int32)], 0, cv2.LINE_8, 4)
    away = cv2.distanceTransform(lips, cv2.DIST_L2, 5) / width
    near = smoothstep((1 - (away - _BEYOND_LIPS[0]) / _BEYOND_LIPS[1]).astype(np.float32))
    return replace(patch, residual=patch.residual * near[..., None])


def _sparing(patch: Patch, layers: Iterable[Layer], size_px: int) -> Patch:
    """The patch without its colour on what is lent from donors."""
    height, width = patch.residual.shape[:2]
    residual = patch.residual
    for layer in layers:
        lent = np.clip((layer.fresh - _LENT[0]) / (_LENT[1] - _LENT[0]), 0, 1) * layer.opacity
        if not lent.any():
            continue
        low = np.array(patch.centre) - np.array(patch.extent) / 2
        scale = np.array(patch.extent) * size_px / (width, height)  # crop px per patch px
        shift = 0.5 * scale - 0.5 + low * size_px - (layer.box.x0, layer.box.y0)
        to_layer = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
        blurred = cv2.GaussianBlur(lent.astype(np.float32), (0, 0), max(0.3, 0.5 * float(scale.max())))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        residual = residual * (1 - cv2.warpAffine(blurred, to_layer, (width, height), flags=flags))[..., None]
    return replace(patch, residual=residual)


def draw_patches(frame: np.ndarray, patches: Iterable[Patch]) -> None:
    """Add residual colours to a frame (N, N, 3) float32 RGB in [0, 1] of the whole crop, in place."""
    size_px = frame.shape[0]
    for patch in patches:
        height, width = patch.residual.shape[:2]
        centre, extent = np.array(patch.centre), np.array(patch.extent)
        low = np.clip(np.floor((centre - extent / 2) * size_px), 0, size_px).astype(int)
        high = np.clip(np.ceil((centre + extent / 2) * size_px), 0, size_px).astype(int)
        (x0, y0), (x1, y1) = low.tolist(), high.tolist()
        if x1 <= x0 or y1 <= y0:
            continue
        ratio = np.array([width, height]) / (extent * size_px)  # patch px per crop px
        # pixel i of the box lies at (low + i + 0.5) / size_px, pixel j of the patch at low edge + (j + 0.5) / width
        shift = (low + 0.5 - (centre - extent / 2) * size_px) * ratio - 0.5
        to_patch = np.array([[ratio[0], 0, shift[0]], [0, ratio[1], shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        part = frame[y0:y1, x0:x1]
        part += cv2.warpAffine(patch.residual, to_patch, (x1 - x0, y1 - y0), flags=flags, borderValue=0)
        np.clip(part, 0, 1, out=part)
