"""An animated crop put back into its photo, at the photo's own resolution.

The photo's own pixels are moved by the flow; only what the generator paints (teeth, lids, folds) is resampled.
Everything fades out within the face's region, and no pixel outside of it changes.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from facemotion.compositing.feather import face_feather, paint_feather
from facemotion.compositing.grain import TILE_PX, grain_tile
from facemotion.compositing.occluders import MAP_PX, Occluders
from facemotion.compositing.shading import relit
from facemotion.compositing.texture import ZERO, fine_texture, share_kept, unstretched_share
from facemotion.compositing.tint import Tint
from facemotion.faces import geometry
from facemotion.media.prefetch import for_each

_MAP_PX = MAP_PX  # size at which feather and flow are prepared before they go to photo pixels
_STRIP_PX = 96  # rows worked on at a time, no wider than the face is there: little memory, warm caches, two threads
_PAINT_BLUR = 1 / 256  # of the crop's width: what is finer the generator paints badly, if at all
_LEAST_BLUR_PX = 0.7  # where paint is about as sharp as the photo, there is no finer texture to keep
_SHARPENED = 0.7  # of what paint has beyond its blur by a pixel of its own is added where the photo is finer
_TILE_PX = 96  # paint is laid on tile by tile, and only where there is any
_MASK_FLOOR = 1 / 32  # a mask below this paints nothing: faint paint everywhere would only blur the skin

Bounds = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in photo px, ends excluded."""


class _Moved(NamedTuple):
    """A part of the photo after its motion."""

    levels: np.ndarray  # (h, w, 3) float32, relit
    where: np.ndarray  # (h, w, 2) float32, from where it came, px of the source
    unstretched: np.ndarray  # (h, w) float32, how far its texture survives

    def cut(self, part: tuple[slice, slice]) -> _Moved:
        return _Moved(*(values[part] for values in self))


class _Paint(NamedTuple):
    """What one frame paints, where that lies, and the photo pixels it can reach."""

    colour: np.ndarray  # (h, w, 3) float32, 8-bit levels times opacity
    opacity: np.ndarray  # (h, w) float32 in [0, 1]
    kept: np.ndarray  # (h, w) float32 in [0, 1]
    photo_to_paint: np.ndarray
    runs: list[Bounds]  # rows of tiles


class Composite:
    """One face of one photo, ready to be animated.

    Built once per photo and face; `frame` is then called for every frame and costs time only for the face's region.

    photo: (H, W, 3) uint8, kept and never written to. landmarks: (68, 2) photo px. crop_px: size of the square crop
    that `geometry.photo_to_crop` defines; the generator's maps cover that square edge to edge, whatever their size.
    grain: whether painted pixels get grain of the photo's own strength; not wanted where pixels are no picture.
    occluders: what hides a part of the face (`occluders.occluders_of`).

    region: bounds (x0, y0, x1, y1), ends excluded, outside of which no pixel changes.
    """

    def __init__(
        self,
        photo: np.ndarray,
        landmarks: np.ndarray,
        crop_px: int = 256,
        *,
        grain: bool = True,
        occluders: Occluders | None = None,
    ):
        self.photo = photo
        self.crop_px = crop_px
        self.photo_to_crop = geometry.photo_to_crop(landmarks, crop_px)
        self._photo_to_map = self._photo_to_square(_MAP_PX)
        in_map = geometry.apply(self._photo_to_map, landmarks)
        self._feather, self._paint_feather = face_feather(in_map, _MAP_PX), paint_feather(in_map, _MAP_PX)
        self._occluders = occluders
        moving = self._feather if occluders is None else self._feather * occluders.motion
        self._motion_feather = cv2.merge([moving] * 3 + [np.ones_like(self._feather)])
        self.region = _reach(self._feather, self._photo_to_map, photo.shape)
        self._source = _source_bounds(self.photo_to_crop, crop_px, photo.shape)
        self._crop_in_photo_px = crop_px / geometry.scale_of(self.photo_to_crop)
        x0, y0, x1, y1 = self.region
        face = photo[y0:y1, x0:x1]
        self._tint = Tint.of(face)
        feather = _sample(np.ceil(self._feather * 255).astype(np.uint8), self._photo_to_map, self.region)
        self._inside, on_face = (feather > 0).view(np.uint8), feather > 252
        self._strips = _strips(self._inside, self.region)
        self._grain = grain_tile(face, on_face) if grain else None
        finer_than_px = _PAINT_BLUR * self._crop_in_photo_px
        self._texture = (
            fine_texture(face, on_face, finer_than_px=finer_than_px) if finer_than_px > _LEAST_BLUR_PX else None
        )
        # By opacity: the share of texture beyond what blending leaves, and of grain that restores the variance.
        opacity = np.linspace(0, 1, 256, dtype=np.float32)
        kept = 1 - opacity if self._texture is None else share_kept(opacity)
        self._texture_saved, self._grain_missing = kept - (1 - opacity), np.sqrt(1 - kept * kept)

    def crop(self, size: int) -> np.ndarray:
        """The upright face, (size, size, 3) uint8: what the generator sees."""
        return geometry.warp_crop(self.photo, self._photo_to_square(size), size)

    def frame(
        self,
        flow: np.ndarray,
        shade: np.ndarray,
        mask: np.ndarray,
        colour: np.ndarray,
        kept: np.ndarray | None = None,
        *,
        onto: np.ndarray | None = None,
    ) -> np.ndarray:
        """The photo with its face moved and painted; the photo's very bits where flow, shade and mask are zero.

        ``frame(p) = (1 - mask) * relit(photo(p + flow), shade) + mask * colour``, all faded out towards the edge of the
        face's region; and where something is ``kept``, that much of the photo itself instead. Outside the photo, its
        edge is repeated. Beyond that formula, paint ends before the outline of jaw and cheeks, keeps the photo's
        texture where it is thin, and takes the photo's grain and tone.

        flow: (h, w, 2) backward displacement (x, y) in crop widths, in the crop's axes. shade: (k, l) the share by
        which luminance grows (`shading.relit`): -1 is black. mask: (m, m) in [0, 1]. colour: (m, m, 3), uint8 or float
        in [-1, 1]. kept: (m, m) in [0, 1], by default nothing. onto: a frame of the photo's size to write into, within
        the face's region only: that of another face, or the last one of this face where no copy of the photo is to be
        made.
        Returns (H, W, 3) uint8, ``onto`` where given.
        """
        frame = self.photo.copy() if onto is None else onto
        motion, paint = self._prepare_motion(flow, shade), self._prepare_paint(mask, colour, kept, flow)
        for_each(lambda strip: self._write_strip(frame, motion, paint, strip), self._strips)
        return frame

    def _photo_to_square(self, size: int) -> np.ndarray:
        return geometry.compose(self.photo_to_crop, geometry.resized(self.crop_px, size))

    def _prepare_motion(self, flow: np.ndarray, shade: np.ndarray) -> np.ndarray:
        """(map, map, 4) float32: how far to look, in photo px, and the share of light to add, feathered; and how far
        the photo's texture survives the motion."""
        crop_to_photo = np.linalg.inv(self.photo_to_crop[:, :2]) * self.crop_px
        coarse = np.dstack([flow @ crop_to_photo.T, unstretched_share(flow)]).astype(np.float32)
        coarse, light = (
            cv2.resize(each, (_MAP_PX, _MAP_PX), interpolation=cv2.INTER_CUBIC)
            for each in (coarse, np.asarray(shade, np.float32))
        )
        motion = cv2.merge([coarse[..., 0], coarse[..., 1], light, coarse[..., 2]])
        return cv2.multiply(motion, self._motion_feather, dst=motion)

    def _prepare_paint(
        self, mask: np.ndarray, colour: np.ndarray, kept: np.ndarray | None, flow: np.ndarray
    ) -> _Paint | None:
        """Colour and mask of the part of the crop where anything is painted or kept; None where nothing is."""
        size = mask.shape[0]
        kept = np.zeros_like(mask) if kept is None else kept
        if self._occluders is not None:
            moving = self._occluders.front * (self._occluders.motion > 0)  # elsewhere the photo is seen anyway
            front, paint = (
                cv2.resize(layer, (size, size), interpolation=cv2.INTER_LINEAR)
                for layer in (moving, self._occluders.paint)
            )
            mask, kept = mask * paint, np.maximum(kept, front)
        touched = (mask > _MASK_FLOOR) | (kept > 0)
        if not touched.any():
            return None
        # Paint finer than the photo is shrunk by area, in whole steps, before it is interpolated.
        shrink = max(1, int(size / self._crop_in_photo_px))
        x0, y0, x1, y1 = (edge // shrink * shrink for edge in _box_of(touched, margin=3 * shrink))
        box = x0, y0, x1, y1
        alpha, kept, levels = (layer[y0:y1, x0:x1].astype(np.float32) for layer in (mask, kept, colour))
        to_map = geometry.resized(size, _MAP_PX)
        inside = _sample(self._feather, to_map, box, border=cv2.BORDER_REPLICATE)
        alpha = np.clip((alpha - _MASK_FLOOR) / (1 - _MASK_FLOOR), 0, 1) * inside
        alpha *= self._paint_feather_moved(flow, size, box)
        kept *= inside
        if colour.dtype != np.uint8:
            levels = (levels + 1) * 127.5
        if self._tint is not None:
            levels = self._tint.apply(levels)
        levels = cv2.multiply(levels, cv2.merge([alpha] * 3))
        if self._crop_in_photo_px > size:
            levels = _sharpened(levels, alpha)
        photo_to_paint = self._photo_to_square(size)
        photo_to_paint[:, 2] -= (x0, y0)
        if shrink > 1:
            levels, alpha, kept = (
                cv2.resize(layer, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
                for layer in (levels, alpha, kept)
            )
            photo_to_paint = geometry.compose(photo_to_paint, geometry.resized(shrink, 1))
        runs = _runs(np.maximum(alpha, kept), photo_to_paint, self.photo.shape)
        return _Paint(levels, alpha, kept, photo_to_paint, runs)

    def _paint_feather_moved(self, flow: np.ndarray, size: int, box: Bounds) -> np.ndarray:
        """(h, w) float32: how far what has moved to each place of a box of the crop, at ``size`` px, may be painted
        over."""
        x0, y0, x1, y1 = box
        places = (np.arange(size, dtype=np.float32) + 0.5) * (_MAP_PX / size) - 0.5
        to_flow = geometry.resized(size, len(flow))
        where = _sample(np.asarray(flow, np.float32), to_flow, box, border=cv2.BORDER_REPLICATE) * np.float32(_MAP_PX)
        where[..., 0] += places[x0:x1]
        where[..., 1] += places[y0:y1, None]
        return cv2.remap(self._paint_feather, where, None, cv2.INTER_LINEAR)

    def _write_strip(self, frame: np.ndarray, motion: np.ndarray, paint: _Paint | None, strip: Bounds) -> None:
        """Write one strip of the region into a frame, where the face may change and nowhere else."""
        x0, y0, x1, y1 = strip
        moved = self._move(motion, strip)
        if paint is not None:
            for part in filter(None, (_overlap(run, strip) for run in paint.runs)):
                inner = np.s_[part[1] - y0 : part[3] - y0, part[0] - x0 : part[2] - x0]
                self._paint_over(moved.cut(inner), paint, part)
        rounded = cv2.convertScaleAbs(np.maximum(moved.levels, 0, out=moved.levels))  # saturates, too
        left, top = self.region[:2]
        inside = self._inside[y0 - top : y1 - top, x0 - left : x1 - left]
        cv2.copyTo(rounded, inside, frame[y0:y1, x0:x1])

    def _move(self, motion: np.ndarray, bounds: Bounds) -> _Moved:
        """The photo within bounds, moved and relit."""
        motion = _sample(motion, self._photo_to_map, bounds)
        left, top, right, bottom = self._source
        where = np.empty((*motion.shape[:2], 2), np.float32)
        columns = np.arange(bounds[0] - left, bounds[2] - left, dtype=np.float32)
        rows = np.arange(bounds[1] - top, bounds[3] - top, dtype=np.float32)
        np.add(motion[..., 0], columns, out=where[..., 0])
        np.add(motion[..., 1], rows[:, None], out=where[..., 1])
        source = self.photo[top:bottom, left:right]
        moved = cv2.remap(source, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return _Moved(relit(moved, motion[..., 2]), where, motion[..., 3])

    def _paint_over(self, moved: _Moved, paint: _Paint, bounds: Bounds) -> None:
        """Paint over the moved photo within bounds, in place."""
        colour, alpha = (_sample(layer, paint.photo_to_paint, bounds) for layer in (paint.colour, paint.opacity))
        np.multiply(moved.levels, cv2.merge([1 - alpha] * 3), out=moved.levels)
        if self._texture is not None or self._grain is not None:
            colour = cv2.add(colour, cv2.merge([self._fine_detail(moved, alpha, bounds)] * 3))
        np.add(moved.levels, colour, out=moved.levels)
        kept = _sample(paint.kept, paint.photo_to_paint, bounds)
        if kept.any():
            x0, y0, x1, y1 = bounds
            moved.levels[:] += kept[..., None] * (self.photo[y0:y1, x0:x1] - moved.levels)

    def _fine_detail(self, moved: _Moved, alpha: np.ndarray, bounds: Bounds) -> np.ndarray:
        """What paint of this opacity leaves or takes of the photo's texture and grain, (h, w) float32 levels."""
        opacity = cv2.convertScaleAbs(alpha, alpha=255)
        fine = np.zeros_like(alpha)
        if self._texture is not None:
            offset = self._source[0] - self.region[0], self._source[1] - self.region[1]
            where = cv2.add(moved.where, (*offset, 0, 0))
            texture = cv2.remap(self._texture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            fine = cv2.LUT(opacity, self._texture_saved) * moved.unstretched * (texture - np.float32(ZERO))
        if self._grain is not None:
            columns, rows = (np.arange(bounds[k], bounds[k + 2]) % TILE_PX for k in (0, 1))
            fine += self._grain[rows[:, None], columns] * cv2.LUT(opacity, self._grain_missing)
        return fine


def _sharpened(levels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Paint (h, w, 3) float32, 8-bit levels times opacity (h, w), with its edges raised to what an enlarged photo
    has; what lies below no opacity has no say."""
    blurred, weight = (cv2.GaussianBlur(layer, (0, 0), 1) for layer in (levels, alpha))
    blurred *= (alpha / np.maximum(weight, 1e-3))[..., None]
    limit = cv2.merge([255 * alpha] * 3)
    return np.clip(levels + _SHARPENED * (levels - blurred), 0, limit)


def _sample(
    values: np.ndarray, to_values: np.ndarray, bounds: Bounds, *, border: int = cv2.BORDER_CONSTANT
) -> np.ndarray:
    """A map seen at every pixel, of the photo or of another map, within bounds; by default zero beyond the map."""
    x0, y0, x1, y1 = bounds
    bounds_to_values = geometry.compose(np.array([[1.0, 0, x0], [0, 1.0, y0]]), to_values)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (x1 - x0, y1 - y0)
    return cv2.warpAffine(values, bounds_to_values, size, flags=flags, borderMode=border, borderValue=(0,) * 4)


def _box_of(values: np.ndarray, *, margin: int) -> Bounds:
    """Bounds, within the map, of what is not zero, and a margin."""
    x, y, width, height = cv2.boundingRect((values != 0).astype(np.uint8))
    return (
        max(x - margin, 0),
        max(y - margin, 0),
        min(x + width + margin, values.shape[1]),
        min(y + height + margin, values.shape[0]),
    )


def _reach(values: np.ndarray, photo_to_values: np.ndarray, photo_shape: tuple[int, ...]) -> Bounds:
    """Bounds of the photo pixels that see anything but zero in a map, at any interpolation; never empty."""
    x0, y0, x1, y1 = _box_of(values, margin=3)
    corners = geometry.apply(geometry.invert(photo_to_values), np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
    return _clamped(corners, photo_shape)


def _strips(inside: np.ndarray, region: Bounds) -> list[Bounds]:
    """A region in strips of rows, each as wide as what is inside needs; ``inside`` (h, w) uint8 covers the region."""
    left, top, _, bottom = region
    strips = []
    for row in range(0, bottom - top, _STRIP_PX):
        x, y, width, height = cv2.boundingRect(inside[row : row + _STRIP_PX])
        if width:
            strips.append((left + x, top + row + y, left + x + width, top + row + y + height))
    return strips


def _runs(alpha: np.ndarray, photo_to_paint: np.ndarray, photo_shape: tuple[int, ...]) -> list[Bounds]:
    """Tiles of the photo that see anything but zero in a map, neighbours in a row as one."""
    left, top, right, bottom = _reach(alpha, photo_to_paint, photo_shape)
    columns, rows = range(left, right, _TILE_PX), range(top, bottom, _TILE_PX)
    corners = np.stack(np.meshgrid([*columns, right], [*rows, bottom]), -1).astype(np.float64)
    corners = geometry.apply(photo_to_paint, corners.reshape(-1, 2)).reshape(corners.shape)
    runs: list[Bounds] = []
    for j, y in enumerate(rows):
        for i, x in enumerate(columns):
            around = corners[j : j + 2, i : i + 2].reshape(-1, 2)
            low, high = np.floor(around.min(0) - 1).clip(0).astype(int), np.ceil(around.max(0) + 2).clip(0).astype(int)
            if not alpha[low[1] : high[1], low[0] : high[0]].any():
                continue
            tile = (x, y, min(x + _TILE_PX, right), min(y + _TILE_PX, bottom))
            if runs and runs[-1][1] == y and runs[-1][2] == x:
                tile = (runs.pop()[0], *tile[1:])
            runs.append(tile)
    return runs


def _source_bounds(photo_to_crop: np.ndarray, size: int, photo_shape: tuple[int, ...]) -> Bounds:
    """Where moved pixels may come from: one crop width around (OpenCV cannot read from sides beyond 32767 px)."""
    corners = np.array([[-1, -1], [2, -1], [-1, 2], [2, 2]]) * size
    return _clamped(geometry.apply(geometry.invert(photo_to_crop), corners), photo_shape)


def _clamped(points: np.ndarray, photo_shape: tuple[int, ...]) -> Bounds:
    """Bounds within a photo of the box around points; never empty."""
    height, width = photo_shape[:2]
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0)) + 1
    x0, y0 = (int(np.clip(edge, 0, side - 1)) for edge, side in zip(low, (width, height), strict=True))
    x1, y1 = (int(np.clip(edge, 0, side)) for edge, side in zip(high, (width, height), strict=True))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _overlap(one: Bounds, other: Bounds) -> Bounds | None:
    bounds = max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    return bounds if bounds[0] < bounds[2] and bounds[1] < bounds[3] else None
