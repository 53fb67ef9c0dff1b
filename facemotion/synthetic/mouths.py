"""Teeth for open mouths: the inside of really smiling ones, warped into a rendered opening.

A borrowed mouth is kept in a frame of its own: scaled to a fixed distance of the outer eye corners, centred on the
face's midline, with the biting edge of its upper teeth as a curve. The upper teeth hang from the skull, a mirrored,
slightly narrower row stands on the jaw; between them lie tongue and throat.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np

from facemotion.compositing.tint import LUMA_REC601
from facemotion.errors import InputError
from facemotion.media.atomic import replaced
from facemotion.media.records import Arrays, MalformedError, numbers
from facemotion.synthetic import wrinkles as folds

IOD_PX = 320.0
"""Distance of the outer eye corners in a stored mouth."""
WIDTH_PX, HEIGHT_PX = 300, 160
TEETH_AT = (-0.16, -0.08, 0.0, 0.08, 0.16)
"""Where, from the midline, `Opening.teeth` marks the biting edges, in distances of the outer eye corners; the
generator knows them as `anchors.TEETH_AT`."""
_WHITEST = 0.78
"""Least blue of teeth, relative to their red."""
_IVORY = np.array([1.042, 0.989, 0.946], np.float32)
"""Hue of teeth over their luminance: mean of 20 smiles of the London set (standard deviation 0.01)."""
_SKIN = np.array([1.149, 0.948, 0.879], np.float32)
"""The same of those people's skin."""
_MIDDLE = (WIDTH_PX / 2, HEIGHT_PX / 2)


@dataclass(frozen=True)
class Mouth:
    """One borrowed mouth."""

    image: np.ndarray
    """(160, 300, 3) float32 RGB in [0, 1]."""
    top: np.ndarray
    """(300,) row of the upper lip's inner edge; nan outside the opening."""
    edge: np.ndarray
    """(300,) row of the upper teeth's biting edge; nan outside the opening."""
    skin: np.ndarray
    """(3,) typical skin colour of the lender."""
    white: float
    """Brightness of the lender's eye whites."""


@dataclass(frozen=True)
class MouthLibrary:
    """Real mouths of smiling people."""

    mouths: tuple[Mouth, ...]

    @classmethod
    def build(cls, smiles: Iterable[tuple[np.ndarray, np.ndarray]]) -> MouthLibrary:
        """From smiling photos: (RGB uint8 (H, W, 3), landmarks (68, 2) px). Mouths that show no teeth are left out."""
        return cls(tuple(mouth for photo, landmarks in smiles if (mouth := borrowed(photo, landmarks)) is not None))

    def save(self, path: str | Path) -> None:
        """Write the library as one npz, whole or not at all."""
        fields = ("image", "top", "edge", "skin", "white")
        arrays = {name: np.array([getattr(mouth, name) for mouth in self.mouths], np.float32) for name in fields}
        arrays["image"] = np.round(arrays["image"] * 255).astype(np.uint8)
        with replaced(Path(path)) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> MouthLibrary:
        """Read what ``save`` wrote. Raises ``InputError`` for anything else."""
        try:
            with Arrays(Path(path)) as arrays:
                count = len(numbers(arrays["white"], (None,), "white"))
                if not count:
                    return cls(())
                images = numbers(arrays["image"], (count, HEIGHT_PX, WIDTH_PX, 3), "image").astype(np.float32) / 255
                skin = numbers(arrays["skin"], (count, 3), "skin")
                lines = [arrays[name] for name in ("top", "edge")]
                for line in lines:  # nan where there are no teeth
                    numbers(np.nan_to_num(line) if line.dtype.kind == "f" else line, (count, WIDTH_PX), "top and edge")
                rows = zip(images, *lines, skin, arrays["white"], strict=True)
                return cls(tuple(Mouth(image, top, edge, tone, float(white)) for image, top, edge, tone, white in rows))
        except (OSError, MalformedError) as error:
            raise InputError(f"{path} is no mouth library: {error}", "Make one with `facemotion prepare`.") from error

    def near(self, skin: np.ndarray, generator: np.random.Generator) -> Mouth | None:
        """One of the mouths whose lender's skin is close in brightness; None in an empty library."""
        if not self.mouths:
            return None
        distance = np.array([abs(float((mouth.skin - skin) @ LUMA_REC601)) for mouth in self.mouths])
        return self.mouths[int(generator.choice(np.argsort(distance)[:12]))]


@cache
def drawn() -> Mouth:
    """A plain row of teeth for those who have no smiling photos to borrow from."""
    line, rows = np.arange(WIDTH_PX), np.arange(HEIGHT_PX)[:, None]
    from_middle = np.abs(line - _MIDDLE[0]) / IOD_PX
    inside = from_middle < 0.32
    top, edge = np.full(WIDTH_PX, 58.0), 92 - 150 * from_middle**2
    gaps = np.cumsum([0, 0.062, 0.052, 0.055, 0.05, 0.045])  # incisors, canine, premolars
    gap = np.exp(-(((from_middle[:, None] - gaps) / 0.0035) ** 2)).max(1)
    light = (1.06 - 0.5 * from_middle - 0.1 * gap) * (1 - 0.12 * np.abs((rows - 78) / 20) ** 2)
    image = np.clip(light, 0.05, 1)[..., None] * np.array([0.88, 0.84, 0.76])
    skin = np.array([0.75, 0.58, 0.50], np.float32)
    top, edge = (np.where(inside, values, np.nan).astype(np.float32) for values in (top, edge))
    return Mouth(image.astype(np.float32), top, edge, skin, 0.75)


def borrowed(photo: np.ndarray, landmarks: np.ndarray) -> Mouth | None:
    """The mouth of a smiling photo, or None when it shows no upper teeth."""
    landmarks = np.asarray(landmarks, np.float64)
    axis = landmarks[45] - landmarks[36]
    scale = IOD_PX / np.linalg.norm(axis)
    angle = np.arctan2(axis[1], axis[0])
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    midline = landmarks[[33, 51, 62, 66]].mean(0)
    mouth_middle = landmarks[[60, 64]].mean(0) @ linear.T
    shift = np.array(_MIDDLE) - [(midline @ linear.T)[0], mouth_middle[1]]
    matrix = np.column_stack([linear, shift])
    image = cv2.warpAffine(photo, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    image = image.astype(np.float32) / 255
    inner = landmarks[60:68] @ linear.T + shift
    columns = np.arange(WIDTH_PX, dtype=np.float64)
    top = _curve(inner[[0, 1, 2, 3, 4]], columns)
    bottom = _curve(inner[[0, 7, 6, 5, 4]], columns)
    if np.nanmax(bottom - top) < 0.07 * IOD_PX:
        return None
    rows = np.arange(HEIGHT_PX)[:, None]
    opening = (rows > top + 1) & (rows < bottom - 1)
    luminance = image @ LUMA_REC601
    redness = image[..., 0] - image[..., 1:].mean(2)
    if opening.sum() < 300:
        return None
    bright = np.percentile(luminance[opening], 92)
    colour = image[opening & (luminance > 0.75 * bright)].mean(0)
    if colour[2] < _WHITEST * colour[0]:
        return None  # stained, or no teeth at all
    teeth = opening & (luminance > 0.6 * bright) & (redness < 0.22 * bright + 0.06)
    if teeth.sum() < 0.3 * opening.sum():
        return None
    edge = np.where(teeth.any(0), HEIGHT_PX - 1 - np.argmax(teeth[::-1], 0), np.nan)
    known = np.isfinite(edge) & np.isfinite(top) & (np.abs(columns - _MIDDLE[0]) < 0.25 * IOD_PX)
    if known.sum() < 40:
        return None
    fitted = np.polyval(
        np.polyfit(columns[known], edge[known], 2, w=1 / (1 + ((columns[known] - _MIDDLE[0]) / 40) ** 2)), columns
    )
    edge = np.where(np.isfinite(top), np.clip(fitted, top, bottom), np.nan)
    skin, _ = folds.skin(photo.astype(np.float32) / 255, landmarks)
    return Mouth(
        np.clip(image * (_IVORY / (colour / (colour @ LUMA_REC601))), 0, 1),
        top.astype(np.float32),
        edge.astype(np.float32),
        skin,
        white_of_eyes(photo.astype(np.float32) / 255, landmarks),
    )


def white_of_eyes(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Brightness of the brightest fifth of both eye openings: how much light falls on the face."""
    opening = np.zeros(image.shape[:2], np.uint8)
    for start in (36, 42):
        cv2.fillPoly(opening, [np.round(landmarks[start : start + 6]).astype(np.int32)], 1)
    values = (image @ LUMA_REC601)[opening > 0]
    return float(np.percentile(values, 80)) if len(values) else 0.6


def _curve(points: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Rows of a lip's inner edge over columns; nan left and right of the mouth."""
    rows = np.interp(columns, points[:, 0], points[:, 1], left=np.nan, right=np.nan)
    smooth = np.convolve(np.pad(np.nan_to_num(rows, nan=0), 6, mode="edge"), np.ones(13) / 13, "valid")
    inside = np.convolve(np.pad(np.isfinite(rows).astype(float), 6), np.ones(13) / 13, "valid")
    return np.where(np.isfinite(rows) & (inside > 0.99), smooth, rows)


@dataclass(frozen=True)
class Opening:
    """Where a rendered mouth is open, and where its teeth stand. All px of the frame."""

    inside: np.ndarray
    """(N, N) bool."""
    corners: np.ndarray
    """(2, 2) px of the inner mouth corners, image left first."""
    middle: float
    """Column of the face's midline."""
    upper_edge: np.ndarray
    """(3,) polynomial in columns: the upper teeth's biting edge."""
    lower_edge: np.ndarray
    """(3,) polynomial in columns: the lower teeth's biting edge."""
    iod_px: float
    """Distance of the outer eye corners."""

    @cached_property
    def lips(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The opening without specks, (N, N) uint8; the columns that it has, (n,); its top and bottom row there."""
        mask = cv2.morphologyEx(self.inside.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        columns = np.flatnonzero(mask.any(0))
        part = mask[:, columns]
        return mask, columns, np.argmax(part, 0), len(part) - 1 - np.argmax(part[::-1], 0)

    def edges_at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the upper and of the lower teeth's biting edge at columns ``x`` (n,), shown or hidden.

        A smile's lower lip follows the upper teeth: where they nearly fill the opening, they fill it.
        """
        upper, lower = (np.polyval(edge, x).astype(np.float32) for edge in (self.upper_edge, self.lower_edge))
        _, columns, top, bottom = self.lips
        if not len(columns):
            return upper, lower
        height = bottom - top
        shown = np.polyval(self.upper_edge, columns) - top
        usual, usual_height = float(np.median(shown)), float(np.median(height))
        if 0 < usual < usual_height:
            missing = (0.97 * height - shown) * np.clip((3.0 - usual_height / usual) / 0.8, 0, 1)
            upper = upper + np.interp(x, columns, missing).astype(np.float32)
        return upper, lower

    def at_lips(self, landmarks: np.ndarray) -> np.ndarray:
        """The landmarks (68, 2) with those between the mouth's corners on the edges of the lips as they are rendered.

        The fitted head leaves a residual, which is some tenths of a tooth and differs from face to face; paint that is
        anchored to the lips has to meet them. Where the lips hardly part, landmarks stay where the head has them.
        """
        landmarks = landmarks.copy()
        _, columns, top, bottom = self.lips
        if len(columns) < 2:
            return landmarks
        for chain, edge in (((61, 62, 63), top - 0.5), ((67, 66, 65), bottom + 0.5)):
            x = landmarks[list(chain), 0]
            parted = np.interp(x, columns, bottom - top + 1.0, left=0, right=0) / self.iod_px
            share = np.clip((parted - 0.005) / 0.015, 0, 1)
            landmarks[list(chain), 1] += share * (np.interp(x, columns, edge) - landmarks[list(chain), 1])
        return landmarks

    def teeth(self) -> np.ndarray:
        """(10, 2) px: five points each along the biting edge of the upper and of the lower teeth, evenly spaced about
        the midline, picture left first."""
        x = self.middle + self.iod_px * np.array(TEETH_AT)
        return np.concatenate([np.column_stack([x, y]) for y in self.edges_at(x)]).astype(np.float32)


def paint(
    image: np.ndarray, opening: Opening, mouth: Mouth, *, skin: np.ndarray, white: float, strength: float = 1.0
) -> None:
    """Paint teeth, tongue and throat into the opening of ``image`` (N, N, 3 float RGB in [0, 1]), in place.

    ``skin`` (3,) and ``white`` are the face's own skin colour and brightness of eye whites; ``strength`` in [0, 1].
    """
    mask = opening.lips[0]
    ys, xs = np.nonzero(mask)
    if len(ys) < 12:
        return
    n = image.shape[0]
    pad = 4
    y0, y1, x0, x1 = (
        max(ys.min() - pad, 0),
        min(ys.max() + pad + 1, n),
        max(xs.min() - pad, 0),
        min(xs.max() + pad + 1, n),
    )
    mask = mask[y0:y1, x0:x1].astype(np.float32)
    x, y = np.arange(x0, x1, dtype=np.float32)[None], np.arange(y0, y1, dtype=np.float32)[:, None]
    unit = IOD_PX / opening.iod_px  # library px per frame px
    upper, lower = (edge[None] for edge in opening.edges_at(x[0]))
    top = np.where(mask.any(0), np.argmax(mask > 0, 0), 0)[None] + y0
    bottom = np.where(mask.any(0), mask.shape[0] - 1 - np.argmax(mask[::-1] > 0, 0), 0)[None] + y0
    height = float((bottom - top).max()) / opening.iod_px
    from_middle = np.abs(x - (xs.min() + xs.max()) / 2) / max(1, (xs.max() - xs.min()) / 2)
    strength *= float(np.clip((height - 0.012) / 0.02, 0, 1))
    if strength == 0:
        return
    light = float(np.clip(white / max(mouth.white, 0.1), 0.45, 1.0)) * 0.98
    tint = _tint(skin)
    across, soft = unit * (x - opening.middle), 0.8 * unit
    upper_teeth, upper_alpha = _row(mouth, across, unit * (y - upper), shown=unit * (upper - top), soft=soft)
    lower_teeth, lower_alpha = _row(mouth, 1.22 * across, -unit * (y - lower), shown=unit * (bottom - lower), soft=soft)
    # throat and tongue
    depth = np.clip((y - top) / np.maximum(bottom - top, 1), 0, 1)
    lips = np.array([0.62, 0.30, 0.28], np.float32)
    throat = lips * 0.13
    rise = np.clip((height - 0.08) / 0.1, 0, 1)
    tongue_top = bottom - (0.13 * opening.iod_px * rise) * np.sqrt(np.clip(1 - (from_middle / 0.8) ** 2, 0, 1))
    tongue = (
        np.clip((y - tongue_top) / (0.05 * opening.iod_px), 0, 1) * np.clip((0.85 - from_middle) / 0.2, 0, 1) * rise
    )
    groove = 1 - 0.18 * np.exp(-((from_middle / 0.12) ** 2))
    tone = (
        (0.30 + 0.55 * np.clip((y - tongue_top) / (0.12 * opening.iod_px), 0, 1)) * (1 - 0.55 * from_middle**2) * groove
    )[..., None]
    throat = throat * (0.55 + 0.9 * depth[..., None])
    inner = throat * (1 - tongue[..., None]) + lips * tone * tongue[..., None]
    # lower teeth lie behind the upper ones and in shadow
    shade_lower = 0.6 - 0.25 * from_middle[..., None] ** 2
    inner = inner + lower_alpha[..., None] * (lower_teeth * shade_lower - inner)
    shadow = np.clip(0.55 + (y - top) / (0.045 * opening.iod_px), 0.55, 1) if height > 0.12 else 1.0
    shade_upper = (np.clip(1.02 - 0.5 * from_middle**3, 0, 1) * shadow)[..., None]
    inner = inner + upper_alpha[..., None] * (upper_teeth * shade_upper - inner)
    inner = np.clip(inner * light * tint, 0, 1)
    grey = (inner @ LUMA_REC601)[..., None]
    inner = grey + _colourful(skin) * (inner - grey)
    alpha = np.clip(cv2.GaussianBlur(mask, (0, 0), max(0.6, n / 640)), 0, 1)
    alpha = strength * np.where(mask > 0, np.clip(1.5 * alpha - 0.3, 0, 1), 0.45 * alpha)[..., None]
    region = image[y0:y1, x0:x1]
    region += alpha * (inner - region)


def keep(image: np.ndarray, opening: Opening, photo: np.ndarray, landmarks: np.ndarray) -> float:
    """Fill the opening of ``image`` with the inside of the mouth that the photo itself shows, in place.

    From the upper lip down at its own size, stretched where the mouth opens further than in the photo. Returns how
    much further, as the ratio of heights.
    """
    mask = opening.inside
    ys, xs = np.nonzero(mask)
    if len(ys) < 12:
        return 0.0
    y0, y1, x0, x1 = max(ys.min() - 3, 0), ys.max() + 4, max(xs.min() - 3, 0), xs.max() + 4
    mask = mask[y0:y1, x0:x1]
    x, y = (
        np.arange(x0, x0 + mask.shape[1], dtype=np.float64),
        np.arange(y0, y0 + mask.shape[0], dtype=np.float64)[:, None],
    )
    inner = landmarks[60:68]
    (left, _), (right, _) = opening.corners
    columns = inner[0, 0] + np.clip((x - left) / max(1.0, right - left), 0, 1) * (inner[4, 0] - inner[0, 0])
    own_top = np.interp(columns, inner[[0, 1, 2, 3, 4], 0], inner[[0, 1, 2, 3, 4], 1])
    own_bottom = np.interp(columns, inner[[0, 7, 6, 5, 4], 0], inner[[0, 7, 6, 5, 4], 1])
    filled = mask.any(0)
    top = np.interp(x, x[filled], y[np.argmax(mask, 0), 0][filled])
    bottom = np.interp(x, x[filled], y[mask.shape[0] - 1 - np.argmax(mask[::-1], 0), 0][filled])
    ratio = float((bottom - top).max() / max(1.0, (own_bottom - own_top).max()))
    rows = own_top + (y - top) / max(1.0, ratio)
    rows = np.clip(rows, own_top, np.maximum(own_bottom, own_top))
    inside = cv2.remap(
        photo, np.broadcast_to(columns, rows.shape).astype(np.float32), rows.astype(np.float32), cv2.INTER_CUBIC
    )
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.6, image.shape[0] / 640))[..., None]
    region = image[y0:y1, x0:x1]
    region += alpha * (inside - region)
    return ratio


_LONGEST = 2.2
"""How many times longer than the lender showed it a tooth may be made before gums are shown above it."""


def _row(
    mouth: Mouth, x: np.ndarray, above_edge: np.ndarray, *, shown: np.ndarray, soft: float
) -> tuple[np.ndarray, np.ndarray]:
    """Teeth at x (right of the middle) and rows below the biting edge (negative: above), library px; and alpha.

    ``shown`` (as ``x``) is how much of a tooth the lips show. Where that is more than the lender showed, as it is at
    the side of most mouths, the tooth is made longer: teeth reach to the corners of a smile, gums do not.
    """
    columns = np.broadcast_to(x + np.float32(_MIDDLE[0]), above_edge.shape).astype(np.float32)
    line = np.arange(WIDTH_PX)
    known = np.isfinite(mouth.edge)
    edge, top = (
        np.interp(columns, line[known], values[known]).astype(np.float32) for values in (mouth.edge, mouth.top)
    )
    lent = np.maximum(edge - top - 2, 4)
    # over a fortieth of the eyes' distance in the frame, of whose pixels ``soft`` is 0.8
    longer = cv2.GaussianBlur((shown / lent[:1]).astype(np.float32), (0, 0), 0.02 * IOD_PX / soft)
    above_edge = above_edge / np.clip(longer, 1, _LONGEST)
    rows = np.maximum(edge + above_edge, top + 2).astype(np.float32)
    teeth = cv2.remap(mouth.image, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    sides = np.clip(np.minimum(columns - line[known][0] - 4, line[known][-1] - 4 - columns) / 10, 0, 1)
    beyond = np.clip((top - (edge + above_edge)) / 40, 0, 1)[..., None]  # above what the lender showed: towards gums
    teeth = teeth * (1 - beyond) + np.array([0.55, 0.33, 0.32], np.float32) * beyond
    return teeth, np.clip(0.5 - above_edge / (2 * soft), 0, 1) * sides


def _tint(skin: np.ndarray) -> np.ndarray:
    """Gain per channel (3,): a third of how the skin's hue differs from what is usual, which is the light's share; the
    teeth of dark and of pale people in one light have one hue."""
    ratio = (skin / (skin @ LUMA_REC601 + 1e-3)) / _SKIN
    return np.clip(np.maximum(ratio, 0.1) ** 0.35, 0.8, 1.25).astype(np.float32)


def _colourful(skin: np.ndarray) -> float:
    """1 for skin in colour, 0 for that of a grey photo."""
    return float(np.clip((skin.max() - skin.min()) / (0.12 * skin.max() + 1e-3), 0, 1))
