"""The bank of teeth in the package, and how it is made: ``python -m facemotion.rendering.donors LONDON OUT``.

A donor is what a photographed smile shows between its lips, kept in a frame of its own: scaled to a fixed distance of
the outer eye corners, centred on the mouth's midline, with the lips' inner edges and the biting edge as curves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from facemotion.faces.geometry import smoothstep
from facemotion.head.rig import LOWER_LIP, UPPER_LIP
from facemotion.rendering.light import LUMA, WARMER

EYE_PX = 320.0
"""Distance of the outer eye corners at the scale at which donors are stored."""
SIZE = (300, 160)
"""(width, height) of a donor."""
MIDDLE = (150.0, 70.0)
"""Where the middle between the corners of the mouth lies."""
PEOPLE = (
    "009", "022", "026", "034", "036", "064", "094", "097", "100", "102", "107", "113", "120", "130", "132",
)  # fmt: skip
"""Smiles of the Face Research Lab London Set whose upper teeth fill the mouth and can be told apart: log luminance
differs from tooth to tooth by 0.058 and more (standard deviation). Nobody of the validation list."""
_TIPS = 0.8
"""Quantile of the lower ends of teeth, per stretch of the mouth, through which the biting edge is drawn."""
_DEPTHS = np.array([0.05, 0.15, 0.25, 0.35, 0.45])
"""Heights, of those of the teeth from the upper lip on, at which its shadow is looked for."""
_SHADOW, _BESIDE = 0.35, 0.7
"""Most that is lit of that shadow; and how much darker what is no tooth becomes towards the corners. Log luminance."""

_WARMTH = 0.085, 0.16
"""log(red / blue) within which teeth are lent: of 39 people's, bluer than most look dead in other faces."""
_PALE, _BRIGHT = 4.0, 0.3
"""How much redder (in a* of CIELAB) and darker (in log luminance) than a tooth's middle its end still is."""
_BELOW_EDGE = 4.0
"""Donor px below the biting edge at which the last of a tooth ends."""


@dataclass(frozen=True, eq=False)
class TeethDonor:
    """What one person's smile shows between the lips."""

    image: np.ndarray
    """(160, 300, 3) float32 RGB in [0, 1]; above and beside the opening, its nearest pixels are repeated."""
    top: np.ndarray
    """(300,) float32 row of the upper lip's inner edge; nan beside the mouth."""
    bottom: np.ndarray
    """(300,) float32 row of the lower lip's inner edge."""
    edge: np.ndarray
    """(300,) float32 row of the biting edge of the upper teeth."""

    @property
    def span(self) -> tuple[int, int]:
        """First and last column between the corners of the mouth."""
        columns = np.flatnonzero(np.isfinite(self.edge))
        return int(columns[0]), int(columns[-1])

    @cached_property
    def mirrored(self) -> TeethDonor:
        """The donor seen in a mirror: other teeth, as far as anybody can tell."""
        columns = np.clip(2 * round(MIDDLE[0]) - np.arange(SIZE[0]), 0, SIZE[0] - 1)
        return TeethDonor(self.image[:, columns], self.top[columns], self.bottom[columns], self.edge[columns])

    @cached_property
    def lines(self) -> np.ndarray:
        """(3, 300) float32 top, bottom and edge, with their last values beside the mouth."""
        known = np.flatnonzero(np.isfinite(self.edge))
        columns = np.arange(SIZE[0])
        return np.stack([np.interp(columns, known, c[known]) for c in (self.top, self.bottom, self.edge)]).astype(
            np.float32
        )

    @cached_property
    def lent(self) -> np.ndarray:
        """The image as it is drawn in other mouths: without the shadow of the donor's upper lip and the red beside the
        teeth."""
        rows = np.arange(SIZE[1], dtype=np.float32)[:, None]
        top, _, edge = self.lines
        depth = np.clip((rows - top) / np.maximum(edge - top, 4), 0, 1)
        luminance = np.log(np.maximum(self.image @ LUMA, 0.03))
        first, last = self.span
        middle = slice((3 * first + last) // 4, (first + 3 * last) // 4)
        shade = [np.median(luminance[:, middle][np.abs(depth[:, middle] - at) < 0.05]) for at in _DEPTHS]
        lit = np.interp(depth, _DEPTHS, np.clip(max(shade) - np.array(shade), 0, _SHADOW))
        away = np.abs(np.arange(SIZE[0]) - (first + last) / 2) / ((last - first) / 2)
        beside = (1 - self._tooth) * smoothstep((away - 0.5) / 0.3)
        white = np.median(self.image[luminance > np.log(0.9 * self.luminance)], axis=0)
        warmth = float(np.log(white[0] / white[2]))
        warmer = np.clip(warmth, *_WARMTH) - warmth
        return self.image * np.exp((lit - _BESIDE * beside)[..., None] + warmer * WARMER).astype(np.float32)

    @cached_property
    def gaps(self) -> np.ndarray:
        """(160, 300) float32 how much darker, in log luminance, it is between teeth than about there."""
        luminance = np.log(np.maximum(self.image @ LUMA, 0.03))
        fine = cv2.GaussianBlur(luminance, (0, 0), 1.0, sigmaY=2.0)
        return (fine - cv2.GaussianBlur(luminance, (0, 0), 0.022 * EYE_PX)).astype(np.float32)

    @cached_property
    def _tooth(self) -> np.ndarray:
        """(160, 300) in [0, 1] how like a tooth each pixel is, by its hue and beside the brightest of its column."""
        rows = np.arange(SIZE[1])[:, None]
        inside = (rows > self.top) & (rows < self.bottom)
        luminance = np.log(np.maximum(self.image @ LUMA, 0.03))
        redness = cv2.cvtColor(self.image, cv2.COLOR_RGB2LAB)[..., 1]
        brightest = cv2.GaussianBlur(np.where(inside, luminance, luminance.min()).max(0)[None], (0, 0), 4)
        white = np.median(redness[inside & (luminance > np.percentile(luminance[inside], 85) - 0.25)])
        pale = np.clip(1 - (redness - white - _PALE) / 8, 0, 1)
        return pale * np.clip(1 - (brightest - luminance - _BRIGHT) / 0.5, 0, 1)

    @cached_property
    def teeth(self) -> np.ndarray:
        """(160, 300) float32 in [0, 1] where the lower halves of the upper teeth are, scalloped as they end, and not
        lips, gaps or lower teeth; 1 above, 0 below."""
        rows = np.arange(SIZE[1])[:, None]
        top, _, edge = self.lines
        ends = self._tooth * np.clip((edge + _BELOW_EDGE - rows) / 2, 0, 1)
        likely = np.where(rows < (2 * edge + top) / 3, 1, ends)
        return cv2.GaussianBlur(likely.astype(np.float32), (0, 0), 0.7)

    @cached_property
    def luminance(self) -> float:
        """Of its bright teeth: the 90th percentile of what is between the lips."""
        rows = np.arange(SIZE[1])[:, None]
        return float(np.percentile((self.image @ LUMA)[(rows > self.top) & (rows < self.bottom)], 90))


@cache
def teeth_donors() -> tuple[TeethDonor, ...]:
    """The donors in the package: people of the Face Research Lab London Set (DeBruine & Jones 2017), CC BY 4.0."""
    with (files("facemotion") / "assets" / "teeth.npz").open("rb") as file, np.load(file) as arrays:
        strips = np.asarray(cv2.imdecode(arrays["images"], cv2.IMREAD_COLOR))[..., ::-1].astype(np.float32) / 255
        images = strips.reshape(-1, SIZE[1], SIZE[0], 3)
        curves = [arrays[name].astype(np.float32) for name in ("top", "bottom", "edge")]
    return tuple(TeethDonor(image, *lines) for image, *lines in zip(images, *curves, strict=True))


def choose_donor(seed: int) -> TeethDonor:
    """One of the donors, as photographed or mirrored; the same for the same seed."""
    donors = teeth_donors()
    number, mirrored = divmod(int(np.random.default_rng(seed).integers(2 * len(donors))), 2)
    return donors[number].mirrored if mirrored else donors[number]


def donor_of(photo: np.ndarray, landmarks: np.ndarray) -> TeethDonor:
    """What a smiling photo (H, W, 3) uint8 RGB shows between its lips; landmarks (478, 2) photo px."""
    across = landmarks[263] - landmarks[33]
    scale, angle = EYE_PX / np.linalg.norm(across), np.arctan2(across[1], across[0])
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = landmarks @ linear.T
    corners = points[[78, 308]].mean(0)
    shift = np.array(MIDDLE) - [(corners[0] + points[[13, 14], 0].mean()) / 2, corners[1]]
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = cv2.warpAffine(photo, np.column_stack([linear, shift]), SIZE, flags=flags).astype(np.float32) / 255
    upper, lower = (points[list(lip)] + shift for lip in (UPPER_LIP, LOWER_LIP))
    columns = np.arange(SIZE[0], dtype=np.float32)
    between = (columns >= upper[0, 0] + 1) & (columns <= upper[-1, 0] - 1)
    top, bottom = (
        np.where(between, np.interp(columns, lip[:, 0], lip[:, 1]), np.nan).astype(np.float32) for lip in (upper, lower)
    )
    edge = np.where(between, _biting_edge(image, top, bottom), np.nan).astype(np.float32)
    return TeethDonor(_repeated(image, top, bottom), top, bottom, np.minimum(edge, bottom))


def _biting_edge(image: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """(300,) the parabola through the tips of the upper teeth."""
    rows = np.arange(SIZE[1])[:, None]
    inside = (rows > top) & (rows < bottom)
    lips = ((np.abs(rows - top + 8) < 5) | (np.abs(rows - bottom - 8) < 5)) & np.isfinite(top)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lightness, red = lab[..., 0], lab[..., 1]
    core = (rows > top + 4) & (rows < bottom - 4)
    white, ruddy = np.percentile(red[core], 25), np.median(red[lips])
    bright, dark = np.percentile(lightness[core], 80), np.median(lightness[lips])
    redness = (red - white) / max(ruddy - white, 6)
    brightness = (lightness - dark) / max(bright - dark, 8)
    teeth = inside & (brightness > redness) & (brightness > 0.25)
    some = teeth.any(0)
    # the upper row ends where, from its brightest row on, the first gap of a pixel or two opens
    start = np.argmax(np.where(inside, lightness, 0), 0)
    gap = (~teeth) & (rows > start)
    low = np.where(gap.any(0), np.argmax(gap, 0), bottom)[some].astype(np.float64)
    x = np.flatnonzero(some).astype(np.float64)
    weight = np.ones(len(x))
    for _ in range(20):  # quantile regression by iterated weights
        curve = np.polyval(np.polyfit(x, low, 2, w=np.sqrt(weight)), x)
        off = low - curve
        weight = np.where(off > 0, _TIPS, 1 - _TIPS) / np.maximum(np.abs(off), 1.0)
    return np.polyval(np.polyfit(x, low, 2, w=np.sqrt(weight)), np.arange(SIZE[0]))


def _repeated(image: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """The image with the nearest pixel of the opening beyond its edges."""
    known = np.flatnonzero(np.isfinite(top))
    columns = np.arange(SIZE[0], dtype=np.float32)
    above, below = (np.interp(columns, known, line[known]) for line in (top, bottom))
    rows = np.clip(np.arange(SIZE[1])[:, None], above + 2, np.maximum(below - 1, above + 3)).astype(np.float32)
    across = np.broadcast_to(np.clip(columns, known[0] + 2, known[-1] - 2), rows.shape).astype(np.float32)
    return np.clip(cv2.remap(image, across, rows, cv2.INTER_CUBIC), 0, 1)


def save_bank(donors: Iterable[TeethDonor], out: Path) -> int:
    """Write the bank; returns how many donors it holds."""
    donors = list(donors)
    strip = np.concatenate([np.round(donor.image * 255).astype(np.uint8) for donor in donors])
    _, images = cv2.imencode(".jpg", strip[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    top, bottom, edge = (np.stack([getattr(d, name) for d in donors]) for name in ("top", "bottom", "edge"))
    half = np.float16
    with open(out, "wb") as file:
        np.savez_compressed(
            file, images=images.ravel(), top=top.astype(half), bottom=bottom.astype(half), edge=edge.astype(half)
        )
    return len(donors)


def main(arguments: list[str]) -> None:
    """Make the bank from the set's folder, which holds ``smile/NNN.jpg``."""
    from facemotion.faces.landmarker.landmarker import Landmarker

    landmarker, donors = Landmarker.load(), []
    for person in PEOPLE:
        photo = np.asarray(cv2.imread(str(Path(arguments[0]) / "smile" / f"{person}.jpg")))[..., ::-1]
        (face, *_) = landmarker.measure(np.ascontiguousarray(photo))
        donors.append(donor_of(photo, face.require_points()[:, :2]))
    print(f"{save_bank(donors, Path(arguments[1]))} donors")


if __name__ == "__main__":
    main(sys.argv[1:])
