"""A rendered face put back into its photo, at the photo's own resolution.

The photo's own pixels are moved and relit; only what is drawn over them is resampled. Everything fades out within the
face's region, and no pixel outside of it changes; a turn of the head reaches over hair and neck, and ends before the
photo's edge.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from facemotion.compositing import kernels
from facemotion.compositing.feather import face_feather
from facemotion.compositing.grain import grain_tile
from facemotion.compositing.occluders import Occluders
from facemotion.compositing.tint import LUMA_REC601, Tint
from facemotion.faces import geometry
from facemotion.faces.ibug68 import OUTLINE
from facemotion.media.prefetch import for_each
from facemotion.rendering.boxes import f32
from facemotion.rendering.face import FLOW_PX, TURN_SPAN, Layer, Patch, Rendering
from facemotion.rendering.kernels import premultiplied
from facemotion.rendering.light import GAMMA, LUMA, RICHER

Bounds = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in photo px, ends excluded."""

_STRIP_PX = 96  # rows worked on at a time: little memory, warm caches
_SPAN_PX = round(FLOW_PX * TURN_SPAN)
_STILL = np.float32(1 / 256), np.float32(4e-3)
"""Displacement in px and log-gain up to which a pixel is left as it is: half a level at most."""
_GAMMA, _RICHER = np.float32(GAMMA), np.float32(RICHER)
_NO_GRAIN = np.zeros((1, 1), np.float32)
_LEAST_LEVELS = 0.5  # of residual colour that is added at all
_TURN_WIDTHS = 1.45  # face widths from its middle where a turn of the head has ended
_EDGE_FADE = 0.14  # crop widths from there, and from the photo's edge, within which it ends


class FaceInPhoto:
    """One face of one photo, ready for its renderings.

    photo: (H, W, 3) uint8, kept and never written to. photo_to_crop: the similarity to the square crop of ``crop_px``
    that was rendered. landmarks: (68, 2) photo px. occluders: what lies in front of the face and neither moves nor is
    drawn over. still: (x0, y0, x1, y1) bounds outside of which no pixel changes while the
    head does not turn.
    """

    def __init__(
        self,
        photo: np.ndarray,
        photo_to_crop: np.ndarray,
        crop_px: int,
        landmarks: np.ndarray,
        *,
        occluders: Occluders | None = None,
        grain: bool = True,
    ):
        self.photo = photo
        self._photo_to_crop, self._crop_px = photo_to_crop, crop_px
        self._photo_to_map = geometry.compose(photo_to_crop, geometry.resized(crop_px, FLOW_PX))
        to_span = np.array([[1.0, 0, (_SPAN_PX - FLOW_PX) / 2], [0, 1.0, (_SPAN_PX - FLOW_PX) / 2]])
        self._photo_to_span = geometry.compose(self._photo_to_map, to_span)
        in_map = geometry.apply(self._photo_to_map, landmarks)
        self._free = face_feather(in_map, FLOW_PX)
        self._uncovered: np.ndarray | None = None
        if occluders is not None:
            motion, self._uncovered = (
                cv2.resize(each, (FLOW_PX, FLOW_PX), interpolation=cv2.INTER_AREA)
                for each in (occluders.motion, occluders.paint)
            )
            self._free = self._free * motion
        self.still = _bounds(self._free, self._photo_to_map, photo.shape)
        line = np.arange(_SPAN_PX, dtype=np.float32) - (_SPAN_PX - FLOW_PX) // 2
        self._span = np.dstack(np.meshgrid(line, line))
        self._edge = self._edge_fade(landmarks)
        self.turning = _bounds(self._edge[..., 0], self._photo_to_span, photo.shape)
        x0, y0, x1, y1 = self.still
        face = photo[y0:y1, x0:x1]
        self._tint = Tint.of(face)
        on_face = _seen(self._free, self._photo_to_map, self.still) > 0.98
        self._grain = grain_tile(face, on_face) if grain else None
        # of displacements in crop widths, beside which a third value stays as it is
        self._map_to_photo = np.eye(3, dtype=np.float32)
        self._map_to_photo[:2, :2] = np.linalg.inv(self._photo_to_map[:, :2]) * FLOW_PX

    def _edge_fade(self, landmarks: np.ndarray) -> np.ndarray:
        """(span, span, 2) float32 px by crop width: 0 at the photo's edges, far from the face and beyond."""
        height, width = self.photo.shape[:2]
        in_photo = cv2.transform(self._span, f32(geometry.invert(self._photo_to_map)))
        x, y = cv2.split(in_photo)
        inside = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y]) * f32(geometry.scale_of(self._photo_to_map))
        outline = geometry.apply(self._photo_to_map, landmarks[OUTLINE])
        (left, top), (right, bottom) = outline.min(0), outline.max(0)
        x, y = cv2.split(self._span - f32([(left + right) / 2, (top + bottom) / 2]))
        inside = np.minimum(inside, f32(_TURN_WIDTHS * (right - left)) - cv2.magnitude(x, y))
        line = np.minimum(np.arange(_SPAN_PX), np.arange(_SPAN_PX)[::-1]) + f32(0.5)
        inside = np.minimum(inside, np.minimum(line[None], line[:, None])) / FLOW_PX
        fade = FLOW_PX * geometry.smoothstep(inside / _EDGE_FADE)
        return f32(np.dstack([fade, fade]))

    def region(self, *, turns: bool) -> Bounds:
        """Outside of which no pixel changes."""
        return self.turning if turns else self.still

    def frame(self, rendering: Rendering, *, onto: np.ndarray | None = None) -> np.ndarray:
        """The photo with its face as rendered; its very bits where nothing moves, is relit or drawn.

        onto: a frame of the photo's size to write into, within the face's region only: that of another face.
        Returns (H, W, 3) uint8, ``onto`` where given.
        """
        frame = self.photo.copy() if onto is None else onto
        turn = self._moved(rendering, self.photo, frame)
        for layer in rendering.layers:
            self._draw(frame, layer, turn)
        for patch in rendering.patches:
            self._add(frame, patch, turn)
        return frame

    def move_along(self, rendering: Rendering, outline: np.ndarray, onto: np.ndarray) -> None:
        """Move another map (H, W) uint8 of the photo, its opacity, as the face moves, into a frame of that map."""
        dark = replace(rendering, log_gain=np.zeros_like(rendering.log_gain), layers=(), patches=())
        self._moved(dark, outline, onto)

    def _moved(self, rendering: Rendering, source: np.ndarray, frame: np.ndarray) -> np.ndarray | None:
        """Write a picture, moved and relit, into a frame; returns the turn of the head as `_turn` gives it."""
        maps = kernels.faded(rendering.flow, rendering.log_gain, self._free, self._map_to_photo)
        transform, bounds, turn = self._photo_to_map, self.still, None
        if rendering.turn is not None:
            transform, bounds = self._photo_to_span, self.turning
            turn = self._turn(rendering.turn)
            maps = self._after(turn, maps)
        x0, y0, x1, y1 = bounds
        strips = [(x0, y, x1, min(y + _STRIP_PX, y1)) for y in range(y0, y1, _STRIP_PX)]
        for_each(lambda strip: self._move(source, frame, maps, transform, strip), strips)
        return turn

    def _turn(self, turn: np.ndarray) -> np.ndarray:
        """(span, span, 2) displacement in px of the small crop, ending before the photo's edge."""
        turn = cv2.resize(turn, (_SPAN_PX, _SPAN_PX), interpolation=cv2.INTER_LINEAR)
        return cv2.multiply(turn, self._edge)

    def _after(self, turn: np.ndarray, maps: np.ndarray) -> np.ndarray:
        """Flow in photo px and gain over the span, of a face that is moved by ``maps`` (n, n, 3) and then turned."""
        before = cv2.remap(maps, cv2.add(turn, self._span), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return cv2.add(before, cv2.transform(turn, self._map_to_photo[:, :2] / f32(FLOW_PX)))

    def _move(
        self, picture: np.ndarray, frame: np.ndarray, maps: np.ndarray, transform: np.ndarray, strip: Bounds
    ) -> None:
        """Write one strip of a moved and relit picture into a frame, where it changes."""
        x0, y0, *_ = strip
        seen = _seen(maps, transform, strip)
        low_x, high_x, low_y, high_y, top, bottom, left, right = kernels.extent(seen, _STILL)
        if bottom == 0:
            return
        column, row, end_x, end_y = self._source_bounds(strip, (low_x, low_y), (high_x, high_y))
        at = np.empty((bottom - top, right - left, 2), np.float32)
        kernels.aim(seen, top, left, x0 - column + left, y0 - row + top, at)
        source = picture[row:end_y, column:end_x]
        moved = cv2.remap(source, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        if picture.ndim == 3:
            kernels.write_relit(moved, seen, top, left, _STILL, _GAMMA, _RICHER, LUMA, frame, x0 + left, y0 + top)
        else:
            changes = (np.abs(seen[top:bottom, left:right, :2]) > _STILL[0]).any(2)
            part = frame[y0 + top : y0 + bottom, x0 + left : x0 + right]
            part[changes] = moved[changes]

    def _source_bounds(self, strip: Bounds, low: tuple[float, float], high: tuple[float, float]) -> Bounds:
        """Where the pixels of a strip, moved by ``low`` to ``high`` (x, y) px, come from, within the photo."""
        x0, y0, x1, y1 = strip
        height, width = self.photo.shape[:2]
        left, right = _within(x0 + low[0] - 3, x1 + high[0] + 3, width)
        top, bottom = _within(y0 + low[1] - 3, y1 + high[1] + 3, height)
        return left, top, right, bottom

    def _draw(self, frame: np.ndarray, layer: Layer, turn: np.ndarray | None) -> None:
        """Draw one layer over a frame."""
        box = layer.box
        crop_to_layer = np.array([[1.0, 0, -box.x0], [0, 1.0, -box.y0]])
        opacity = self._uncovered_in(crop_to_layer, f32(layer.opacity))
        # Nothing may remain at the layer's border, where its neighbours are not known.
        opacity[[0, -1]] = 0
        opacity[:, [0, -1]] = 0
        levels = layer.colour * f32(255)
        if self._tint is not None:
            levels = f32(self._tint.apply(levels))
        content, fresh = premultiplied(levels, opacity), layer.fresh * opacity
        (content, fresh), (x0, y0, _, _) = self._laid((content, fresh), crop_to_layer, opacity, turn, frame.shape)
        kernels.write_over(content, fresh, _NO_GRAIN if self._grain is None else self._grain, frame, x0, y0)

    def _add(self, frame: np.ndarray, patch: Patch, turn: np.ndarray | None) -> None:
        """Add one residual colour to a frame."""
        extent = np.array(patch.extent) * self._crop_px
        low = np.array(patch.centre) * self._crop_px - extent / 2
        scale = np.array(patch.residual.shape[1::-1]) / extent
        crop_to_patch = np.column_stack([np.diag(scale), (0.5 - low) * scale - 0.5])
        levels = patch.residual * f32(255)
        if self._tint is not None:
            levels = np.repeat((levels @ LUMA_REC601)[..., None], 3, axis=2)
        if self._uncovered is not None:
            levels *= self._uncovered_in(crop_to_patch, np.ones(levels.shape[:2], np.float32))[..., None]
        content = kernels.measured(levels)
        strength = content[..., 3]
        if strength.max() < _LEAST_LEVELS:
            return
        (content,), (x0, y0, _, _) = self._laid((content,), crop_to_patch, strength, turn, frame.shape)
        kernels.add_levels(content, np.float32(_LEAST_LEVELS / 2), frame, x0, y0)

    def _uncovered_in(self, crop_to_content: np.ndarray, opacity: np.ndarray) -> np.ndarray:
        """Opacity (h, w) of a rectangle of the crop, less where something lies in front of the face."""
        if self._uncovered is None:
            return opacity.copy()
        map_to_content = geometry.compose(geometry.resized(FLOW_PX, self._crop_px), crop_to_content)
        height, width = opacity.shape
        # `_seen` wants the map from its bounds' pixels, those of the content, to the map's
        return opacity * _seen(self._uncovered, geometry.invert(map_to_content), (0, 0, width, height))

    def _laid(
        self,
        content: tuple[np.ndarray, ...],
        crop_to_content: np.ndarray,
        extent: np.ndarray,
        turn: np.ndarray | None,
        shape: tuple[int, ...],
    ) -> tuple[list[np.ndarray], Bounds]:
        """Maps of a rectangle of the crop at the photo's pixels within bounds, turned with the head; the bounds
        hold all pixels that see anything but zero in ``extent`` (h, w)."""
        photo_to_content = geometry.compose(self._photo_to_crop, crop_to_content)
        margin = 1 if turn is None else 1 + np.abs(turn).max()
        bounds = _bounds(extent, photo_to_content, shape, margin=margin)
        content, photo_to_content = _shrunk(content, photo_to_content)
        if turn is None:
            return [_seen(each, photo_to_content, bounds) for each in content], bounds
        # content px of each pixel of the photo before the turn
        x0, y0, x1, y1 = bounds
        grid = np.dstack(np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)))
        moved = cv2.transform(_seen(turn, self._photo_to_span, bounds), self._map_to_photo[:2, :2] / f32(FLOW_PX))
        at = cv2.transform(cv2.add(moved, grid), f32(photo_to_content))
        flags = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_CONSTANT}
        return [cv2.remap(each, at, None, **flags) for each in content], bounds


def _shrunk(content: tuple[np.ndarray, ...], photo_to_content: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Maps of a layer made as coarse as the photo by area, in whole steps, before they are interpolated."""
    step = int(geometry.scale_of(photo_to_content))
    if step < 2:
        return content, photo_to_content
    height, width = (side // step * step for side in content[0].shape[:2])
    size = (width // step, height // step)
    small = tuple(cv2.resize(each[:height, :width], size, interpolation=cv2.INTER_AREA) for each in content)
    return small, geometry.compose(photo_to_content, geometry.resized(step, 1))


def _seen(values: np.ndarray, photo_to_values: np.ndarray, bounds: Bounds) -> np.ndarray:
    """A map at every pixel of the photo within bounds; zero beyond the map."""
    x0, y0, x1, y1 = bounds
    bounds_to_values = geometry.compose(np.array([[1.0, 0, x0], [0, 1.0, y0]]), photo_to_values)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, bounds_to_values, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_CONSTANT)


def _bounds(values: np.ndarray, photo_to_values: np.ndarray, shape: tuple[int, ...], *, margin: float = 1) -> Bounds:
    """Bounds of the photo's pixels that see anything but zero in a map; never empty."""
    x, y, width, height = cv2.boundingRect((values > 0).view(np.uint8))
    corners = np.array([[x, y], [x + width, y], [x, y + height], [x + width, y + height]], np.float64)
    corners += np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) * (margin + 1)
    at = geometry.apply(geometry.invert(photo_to_values), corners)
    (left, top), (right, bottom) = at.min(0).tolist(), at.max(0).tolist()
    (x0, x1), (y0, y1) = _within(left, right, shape[1]), _within(top, bottom, shape[0])
    return x0, y0, x1, y1


def _within(low: float, high: float, size: int) -> tuple[int, int]:
    """The whole pixels from ``low`` to ``high``, end excluded, that lie in a row of ``size``; at least one."""
    first = min(max(math.floor(low), 0), size - 1)
    return first, min(max(math.ceil(high) + 1, first + 1), size)
