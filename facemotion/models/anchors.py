"""Where a pixel lies on mouth and eyes, told by the points that the decoder predicts, as maps for the paint head.

A convolution knows its neighbourhood, not that lids meet on one curve, or where behind the lips a tooth ends. Given the
distances to those curves, and their waves as in Fourier features (Tancik et al., NeurIPS 2020), sharp edges are
functions of single pixels. Teeth and lashes are looked up in neural textures (Thies et al., SIGGRAPH 2019) that are
laid along biting edges and upper lids: misplaced by a pixel they are still teeth, where a network that had to guess
would paint the mean of its guesses.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.models.blocks import blank, in_full_precision

POINTS = 78
"""Points that the decoder predicts: iBUG-68, then five along the biting edge of the upper and of the lower teeth each,
picture left first, spaced as in ``TEETH_AT``."""
TEETH_AT = (-0.16, -0.08, 0.0, 0.08, 0.16)
"""Where the points of the teeth lie, from the midline, in distances of the outer eye corners."""
UPPER_LIP, LOWER_LIP = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
"""The lips' inner edges, picture left to right (iBUG-68)."""
LIDS = (((36, 37, 38, 39), (36, 41, 40, 39)), ((42, 43, 44, 45), (42, 47, 46, 45)))
"""Upper and lower lid of both eyes."""
_MOUTH = [51, 62, 66, 57]
"""Middles of the lips' edges: their mean is the middle of the mouth."""
MOUTH_OCTAVES, EYE_OCTAVES = 4, 3
_MOUTH_WAVES, _EYE_WAVES = 2.0, 6.0
"""Waves of the lowest octave in an inter-ocular distance (of the outer corners)."""
_MOUTH_REACH, _EYE_REACH = (0.32, 0.28), (0.17, 0.11)
"""Half widths and heights of the windows outside of which the maps vanish, in inter-ocular distances."""
_NOTHING = 1.7
"""Where, in reaches, a window has vanished."""

_MOUTH_MAPS, _EYE_MAPS = 1 + 3 * (1 + 2 * MOUTH_OCTAVES), 1 + 2 * (1 + 2 * EYE_OCTAVES)
_TEXTURE_CHANNELS = 4
TEXTURES = 3 * _TEXTURE_CHANNELS
"""Channels of the three textures, each of which is a map for every part of a pixel; these maps come last."""
_TEETH_SIZE, _LID_SIZE = (40, 96), (36, 60)
"""Height and width of the textures."""
_EYE_PAINT = (0.28, 0.21)
"""Half width and height of what is painted of an eye: beyond it skin keeps its own pixels."""
_EYE_FADE = 0.3
"""Outer share of it over which paint fades."""
_LIP_PAINT, _LIP_FADE = 0.035, 0.025
"""How far paint reaches onto the lips, whose edges nobody foretells exactly, and over how much of that it fades: lips
keep their own pixels, too. In inter-ocular distances."""
_AJAR = (0.02, 0.05)
"""Lips parted by less show nothing of the mouth, by more all of it, in inter-ocular distances. Closed ones are foreseen
0.014 apart at the median of 40 faces."""
_SHARP = 60.0
"""Steepness of the distances to lips and lids that are told in detail: a pixel or two of the paint."""
_LASHES, _EYEBALL_FADE = ((0.006, 0.006), (0.032, 0.014)), 0.014
"""How far from the upper and the lower lid an eyeball begins to be seen, of the frame and of the photo, whose lashes
and their shadow move away with its lids; and over how much it comes; in inter-ocular distances."""
_ROW_REACH = 0.3
"""Half width of a row of teeth, in inter-ocular distances."""
_ROOT, _EDGE = 0.2, 0.05
"""How far the teeth's textures reach beyond the biting edge: towards the roots, and towards the other row."""
_LID_ABOVE, _LID_BELOW, _LID_BESIDE = 0.12, 0.06, 0.2
"""The same of the lids' texture: above the upper lid's edge, below it, and, in eye widths, beyond the corners."""

Box = tuple[slice, slice]
"""Rows and columns of a map."""
Window = Callable[[Tensor, Tensor], Tensor]
"""From places x, y (M, h, w), in inter-ocular distances, to a map (M, h, w)."""
Textured = Callable[[Tensor, Tensor], Tensor]
"""The same to maps (M, C, h, w)."""
Maps = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""The same to maps, and the distances (M, D, h, w) that they are made of."""
MOUTH_DETAILS, EYE_DETAILS = 2 * _TEXTURE_CHANNELS + 2 * 3, _TEXTURE_CHANNELS + 2 * 2
"""Channels of `Region.details`: textures, then the distances to midline and lips, or to the lids, twice."""


@dataclass(frozen=True)
class Region:
    """A part of the crop that is painted, and what is known of its pixels. Boxes are rows and columns of the maps."""

    kind: str
    """``mouth`` or ``eye``."""
    box: Box
    """Where anything is painted."""
    seen: Box
    """``box`` and what convolutions see around it."""
    channels: list[int]
    """Which of the maps of `Anchors` do not vanish here."""
    maps: Tensor
    """(M, len(channels), rows, columns of ``seen``)"""
    details: Tensor
    """(M, MOUTH_DETAILS or EYE_DETAILS, …) at the paint's pixels in ``box``: textures and distances."""
    window: Tensor
    """(M, 1, …) the same: 1 inside, falling to 0 at the region's border."""

    @property
    def lid(self) -> Tensor:
        """(M, 1, …) of an eye: 1 on lids and skin, 0 between the lids."""
        return 1 - self.details[:, -2:].amin(1, keepdim=True).clamp(0, 1)

    def cut(self, maps: Tensor, detail: int = 1) -> Tensor:
        """``box`` out of maps of ``seen``, which are ``detail`` times as fine."""
        return maps[(..., *_within(self.box, self.seen, detail))]


@in_full_precision
def eyeballs(points: Tensor, neutral: Tensor, size: int, *, where: Tensor | None = None) -> Tensor:
    """Where eyes are open both in a frame and in its photo: (M, 1, size, size) in [0, 1].

    points, neutral (M, 78, 2) crop widths, of the frame and of the photo. Lids move and eyeballs stay, so that what is
    seen of an eye in both has not moved at all. Keeps a little off the lids, whose lashes move. Frames that are not
    among ``where`` (M,) bool have none.
    """
    open_eyes = blank(len(points), 1, size, size, device=points.device)
    frame = eye_frame(points)
    placed = [frame.place(each) for each in (points, neutral)]
    for upper, lower in LIDS:
        members = points[:, [*upper, *lower]]
        rows, columns = _box(members.mean(1), frame.scale[:, None] * points.new_tensor([0.22, 0.14]), size)
        x, y = frame.grid(size, (rows, columns))
        inside = [
            distance - lashes
            for each, (above, below) in zip(placed, _LASHES, strict=True)
            for distance, lashes in (
                (y - smooth_curve(each, upper, x), above),
                (smooth_curve(each, lower, x) - y, below),
            )
        ]
        share = (torch.stack(inside).amin(0) / _EYEBALL_FADE).clamp(0, 1)
        share = share if where is None else share * where[:, None, None]
        open_eyes[:, 0, rows, columns] = torch.maximum(open_eyes[:, 0, rows, columns], share)
    return open_eyes


class Anchors(nn.Module):
    """The maps, and the textures of teeth and lids, which are learnt.

    Of the mouth: its window, across from the midline, below the upper lip, above the lower lip, and waves of these; of
    the eyes: their window, below the upper lid, above the lower one, and waves; then what the textures of the teeth and
    of the lids say about the ``detail``² parts of a pixel. All vanish away from mouth and eyes.
    """

    def __init__(self, detail: int):
        super().__init__()
        self.detail = detail
        self.upper_teeth, self.lower_teeth = _texture(_TEETH_SIZE), _texture(_TEETH_SIZE)
        self.lid = _texture(_LID_SIZE)
        self.channels = _MOUTH_MAPS + _EYE_MAPS + TEXTURES * detail**2

    @in_full_precision
    def regions(self, points: Tensor, size: int, *, margin: int) -> list[Region]:
        """The mouth and either eye, of points (M, 78, 2) in crop widths, for maps of ``size`` px a side.

        Boxes hold the regions of all M, ``Region.seen`` ``margin`` px more on each side.
        """
        frame = eye_frame(points)
        placed = frame.place(points)
        mouth, eye = self._channels()

        def region(kind: str, box: Box, plain: Maps, textured: Textured, window: Window) -> Region:
            seen = tuple(slice(max(0, side.start - margin), min(size, side.stop + margin)) for side in box)
            fine, fine_seen = (in_parts(self.detail, each) for each in (box, seen))
            textures = textured(*frame.grid(self.detail * size, fine_seen))
            maps, distances = plain(*frame.grid(size, seen))
            distances = F.interpolate(distances, textures.shape[-2:], mode="bilinear", align_corners=False)
            told = torch.cat([textures, 4 * distances, (_SHARP * distances).clamp(-2, 2)], 1)
            return Region(
                kind=kind,
                box=box,
                seen=seen,
                channels=mouth if kind == "mouth" else eye,
                maps=torch.cat([maps, F.pixel_unshuffle(textures, self.detail)], 1),
                details=told[(..., *_within(box, seen, self.detail))],
                window=window(*frame.grid(self.detail * size, fine))[:, None],
            )

        lips = points[:, [*UPPER_LIP, *LOWER_LIP]]
        low, high = lips.amin(1), lips.amax(1)
        box = _box((low + high) / 2, (high - low) / 2 + frame.extent(_LIP_PAINT, _LIP_PAINT), size)
        maps, textured = partial(_mouth_maps, placed), partial(self._teeth, placed)
        found = [region("mouth", box, maps, textured, partial(_between_lips, placed))]
        for side, lids in enumerate(LIDS):
            members = [*lids[0], *lids[1]]
            box = _box(points[:, members].mean(1), frame.extent(*_EYE_PAINT), size)
            maps, textured = partial(_eye_maps, placed, lids), partial(self._lid, placed, side)
            found.append(region("eye", box, maps, textured, partial(_around, placed[:, members].mean(1))))
        return found

    def _channels(self) -> tuple[list[int], list[int]]:
        """The channels of the mouth and of the eyes: plain maps of either first, then textures."""
        plain = _MOUTH_MAPS + _EYE_MAPS
        teeth = 2 * _TEXTURE_CHANNELS * self.detail**2
        return (
            [*range(_MOUTH_MAPS), *range(plain, plain + teeth)],
            [*range(_MOUTH_MAPS, plain), *range(plain + teeth, self.channels)],
        )

    def _teeth(self, placed: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """What the teeth's textures hold at places (M, h, w): (M, 2 · channels, h, w)."""
        middle = placed[:, _MOUTH].mean(1)[..., None, None]
        window = _window(x - middle[:, 0], y - middle[:, 1], _MOUTH_REACH)[:, None]
        rows = []
        for texture, first, towards_root in ((self.upper_teeth, 68, -1), (self.lower_teeth, 73, 1)):
            edge = placed[:, first : first + 5]
            unit = ((edge[:, 4, 0] - edge[:, 0, 0]) / (TEETH_AT[4] - TEETH_AT[0])).clamp(min=0.3)[:, None, None]
            across = (x - edge[:, :, 0].mean(1)[:, None, None]) / unit
            a, b, c = (k[:, None, None] for k in (edge[:, :, 1] @ _PARABOLA.T.to(edge)).unbind(1))
            rootward = towards_root * (y - (a + across * (b + across * c))) / unit
            rows.append(_looked_up(texture, across / _ROW_REACH, _spread(rootward, -_EDGE, _ROOT)))
        return window * torch.cat(rows, 1)

    def _lid(self, placed: Tensor, side: int, x: Tensor, y: Tensor) -> Tensor:
        """What the lids' texture, mirrored for the second eye, holds at places (M, h, w): (M, channels, h, w)."""
        upper, lower = LIDS[side]
        centre = placed[:, [*upper, *lower]].mean(1)[..., None, None]
        window = _window(x - centre[:, 0], y - centre[:, 1], _EYE_REACH)[:, None]
        first, last = (placed[:, upper[k], 0, None, None] for k in (0, 3))
        across = _spread((x - first) / (last - first).clamp(min=0.05), -_LID_BESIDE, 1 + _LID_BESIDE)
        above = smooth_curve(placed, upper, x) - y
        lid = _looked_up(self.lid, -across if side else across, _spread(above, -_LID_BELOW, _LID_ABOVE))
        return window * lid


@in_full_precision
def on_the_lip(points: Tensor) -> Tensor:
    """Points (M, 78, 2) whose upper teeth reach the lower lip where they nearly do.

    The rule by which the clips were rendered (`data.mouths.Opening.edges_at`); the linear fit that foretells the teeth
    only comes near it, and leaves a dark gap below them.
    """
    frame = eye_frame(points)
    placed = frame.place(points)
    edge = placed[:, 68:73, 1]
    x = placed[:, None, 68:73, 0]
    top, bottom = (_curve(placed, lip, x)[:, 0] for lip in (UPPER_LIP, LOWER_LIP))
    height, shown = bottom - top, edge - top
    usual, usual_height = shown.median(1).values, height.median(1).values
    nearly = ((3.0 - usual_height / usual.clamp(min=1e-4)) / 0.8).clamp(0, 1) * ((usual > 0) & (usual < usual_height))
    missing = nearly[:, None] * (0.97 * height - shown)
    moved = points[:, 68:73] + (missing * frame.scale[:, None])[..., None] * frame.axes[:, None, 1]
    return torch.cat([points[:, :68], moved, points[:, 73:]], 1)


class EyeFrame(NamedTuple):
    """Faces measured along and across the line of their outer eye corners, in distances of these."""

    scale: Tensor
    """(M,) the distance, in crop widths."""
    axes: Tensor
    """(M, 2, 2) the unit vectors along the line and across it, downwards."""

    @property
    def turned(self) -> Tensor:
        """(M, 2, 2) from crop widths to the frame."""
        return self.axes / self.scale[:, None, None]

    def place(self, points: Tensor) -> Tensor:
        """Points (M, n, 2) crop widths, in the frame."""
        return points @ self.turned.transpose(1, 2)

    def extent(self, across: float, down: float) -> Tensor:
        """(M, 2) crop widths: half sides of the upright box around a rectangle of such half sides."""
        return self.scale[:, None] * (self.axes.abs().transpose(1, 2) @ self.axes.new_tensor((across, down)))

    def grid(self, size: int, box: Box) -> tuple[Tensor, Tensor]:
        """Where the pixels of a box of a map of ``size`` px lie, along and across: (M, h, w) each."""
        rows, columns = (
            (torch.arange(side.start, side.stop, device=self.axes.device, dtype=self.axes.dtype) + 0.5) / size
            for side in box
        )
        turned = self.turned[..., None, None]
        x, y = (turned[:, k, 0] * columns + turned[:, k, 1] * rows[:, None] for k in range(2))
        return x, y


def eye_frame(points: Tensor) -> EyeFrame:
    """The frame of points (M, 78, 2) in crop widths."""
    eyes = points[:, 45] - points[:, 36]
    scale = eyes.norm(dim=-1).clamp(min=0.05)
    right = eyes / scale[:, None]
    return EyeFrame(scale, torch.stack([right, torch.stack([-right[:, 1], right[:, 0]], -1)], 1))


def _texture(size: tuple[int, int]) -> nn.Parameter:
    return nn.Parameter(0.1 * torch.randn(1, _TEXTURE_CHANNELS, *size))


def _looked_up(texture: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """A texture (1, C, H, W) at places (M, h, w), [-1, 1] from edge to edge: (M, C, h, w); its edges repeat."""
    grid = torch.stack([across, along], -1).clamp(-2, 2)
    texture = texture.to(grid.dtype).expand(len(grid), -1, -1, -1)
    return F.grid_sample(texture, grid, align_corners=False, padding_mode="border")


def _spread(values: Tensor, low: float, high: float) -> Tensor:
    """``low`` to -1, ``high`` to 1, evenly."""
    return 2 * (values - low) / (high - low) - 1


_PARABOLA = torch.linalg.pinv(torch.tensor(TEETH_AT)[:, None] ** torch.arange(3))
"""(3, 5) from heights at ``TEETH_AT`` to the coefficients of the parabola nearest to them."""


def _mouth_maps(placed: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (M, _MOUTH_MAPS, h, w), and the distances (M, 3, h, w) that they are made of."""
    middle = placed[:, _MOUTH].mean(1)[..., None, None]
    across = x - middle[:, 0]
    below, above = y - _curve(placed, UPPER_LIP, x), _curve(placed, LOWER_LIP, x) - y
    window = _window(across, y - middle[:, 1], _MOUTH_REACH)
    maps = [m for distance in (across, below, above) for m in _waves(distance, _MOUTH_WAVES, MOUTH_OCTAVES)]
    return torch.stack([window, *(window * m for m in maps)], 1), torch.stack([across, below, above], 1)


def _eye_maps(
    placed: Tensor, lids: tuple[tuple[int, ...], tuple[int, ...]], x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Maps (M, _EYE_MAPS, h, w), and the distances (M, 2, h, w) that they are made of."""
    upper, lower = lids
    centre = placed[:, [*upper, *lower]].mean(1)[..., None, None]
    window = _window(x - centre[:, 0], y - centre[:, 1], _EYE_REACH)
    distances = (y - smooth_curve(placed, upper, x), smooth_curve(placed, lower, x) - y)
    maps = [m for distance in distances for m in _waves(distance, _EYE_WAVES, EYE_OCTAVES)]
    return torch.stack([window, *(window * m for m in maps)], 1), torch.stack(distances, 1)


def _box(centre: Tensor, half: Tensor, size: int) -> Box:
    """The pixels within ``half`` (M, 2) of centres (M, 2), crop widths, of all M together; never empty."""
    low = ((centre - half).amin(0) * size).floor().clamp(0, size - 1).int().tolist()
    high = ((centre + half).amax(0) * size).ceil().clamp(1, size).int().tolist()
    (x0, y0), (x1, y1) = low, (max(h, k + 1) for h, k in zip(high, low, strict=True))
    return slice(y0, y1), slice(x0, x1)


def _within(inner: Box, outer: Box, detail: int) -> Box:
    """A box in a map of another one, in parts of pixels."""
    rows, columns = (
        slice(detail * (side.start - around.start), detail * (side.stop - around.start))
        for side, around in zip(inner, outer, strict=True)
    )
    return rows, columns


def in_parts(detail: int, box: Box) -> Box:
    """A box in parts of pixels, ``detail`` a side."""
    rows, columns = (slice(detail * side.start, detail * side.stop) for side in box)
    return rows, columns


def _between_lips(placed: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """1 between the lips and a little beyond, falling to 0 on them, and everywhere as they close.

    Lips that are foreseen ajar would show a strip of teeth, and pixels moved so little need no paint.
    """
    left, right = (placed[:, corner, 0, None, None] for corner in (UPPER_LIP[0], UPPER_LIP[-1]))
    below, above = y - _curve(placed, UPPER_LIP, x), _curve(placed, LOWER_LIP, x) - y
    inside = torch.minimum(torch.minimum(below, above), torch.minimum(x - left, right - x))
    parted = (placed[:, [67, 66, 65], 1] - placed[:, [61, 62, 63], 1]).amax(1)
    open_by = ((parted - _AJAR[0]) / (_AJAR[1] - _AJAR[0])).clamp(0, 1)[:, None, None]
    return open_by * ((inside + _LIP_PAINT) / _LIP_FADE).clamp(0, 1)


def _around(centre: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """1 about centres (M, 2), falling to 0 at the border of a rounded rectangle of half sides `_EYE_PAINT`."""
    far = rounded(x - centre[:, 0, None, None], y - centre[:, 1, None, None], _EYE_PAINT)
    return ((1 - far) / _EYE_FADE).clamp(0, 1)


def rounded(x: Tensor, y: Tensor, reach: tuple[float, float]) -> Tensor:
    """0 in the middle, 1 on the border of a rounded rectangle of half sides ``reach``, and on."""
    return ((x / reach[0]).square().square() + (y / reach[1]).square().square()).sqrt().sqrt()


def _curve(placed: Tensor, chain: tuple[int, ...], x: Tensor) -> Tensor:
    """Height at ``x`` (M, h, w) of the polygon through a chain of points (M, 78, 2), level beyond its ends."""
    knots = placed[:, list(chain), :, None, None]
    height = knots[:, 0, 1].expand_as(x)
    for a, b in zip(knots.unbind(1)[:-1], knots.unbind(1)[1:], strict=True):
        share = ((x - a[:, 0]) / (b[:, 0] - a[:, 0]).clamp(min=1e-3)).clamp(0, 1)
        height = height + share * (b[:, 1] - a[:, 1])
    return height


def smooth_curve(placed: Tensor, chain: tuple[int, int, int, int], x: Tensor) -> Tensor:
    """Height at ``x`` (M, h, w) of the cubic through four points of (M, 78, 2), level beyond the first and the last;
    lids are round, and three straight lines miss them by more than a lash."""
    knots = placed[:, list(chain)]
    first, last = knots[:, 0, 0], knots[:, 3, 0]
    width = (last - first).clamp(min=0.05)
    shares = ((knots[..., 0] - first[:, None]) / width[:, None]).clamp(0, 1)
    columns = [shares[:, 0]]
    for share in shares.unbind(1)[1:]:
        columns.append(torch.maximum(share, columns[-1] + 0.15))  # points that coincide would tear the curve
    at = torch.stack(columns, 1)
    place = ((x - first[:, None, None]) / width[:, None, None]).clamp(0, 1)
    height = torch.zeros_like(x)
    for k in range(4):
        weight = knots[:, k, 1, None, None]
        for other in range(4):
            if other != k:
                weight = weight * (place - at[:, other, None, None]) / (at[:, k] - at[:, other])[:, None, None]
        height = height + weight
    return height


def _window(x: Tensor, y: Tensor, reach: tuple[float, float]) -> Tensor:
    """1 in the middle, exactly 0 from `_NOTHING` reaches on, to either side."""
    return (
        torch.exp(-(x / reach[0]).square().square() - (y / reach[1]).square().square()) - math.exp(-(_NOTHING**4))
    ).clamp(min=0)


def _waves(distance: Tensor, lowest: float, octaves: int) -> list[Tensor]:
    """The distance itself, and sine and cosine of its octaves; each octave from the one below."""
    distance = distance.clamp(-1, 1)
    sine, cosine = torch.sin(2 * math.pi * lowest * distance), torch.cos(2 * math.pi * lowest * distance)
    maps = [4 * distance, sine, cosine]
    for _ in range(octaves - 1):
        sine, cosine = 2 * sine * cosine, 1 - 2 * sine * sine
        maps += [sine, cosine]
    return maps
