"""The mouth's inside: teeth of a donor, tongue and throat, or what the photo itself shows, behind the moved lips."""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.faces.geometry import smoothstep
from facemotion.head.rig import LOWER_LIP, UPPER_LIP, Rig
from facemotion.rendering.boxes import Box, LayerCanvas, MeshPart, around, f32, largest_opening
from facemotion.rendering.donors import EYE_PX, MIDDLE, SIZE, TeethDonor
from facemotion.rendering.light import LUMA

_UPPER_CM, _LOWER_CM = 0.1, 0.1
"""How much lower than the head's the teeth stand, seen on photographed smiles."""
_TOOTH, _BELOW = 0.09, 0.6
"""How much of an upper tooth smiles show, in distances of the outer eye corners; and how much of the rest of a higher
opening is below it (of 39 smiles the narrow ones show 0.06 of 0.067, the wide ones 0.105 of 0.128)."""
_MIDDLE, _FOLLOWED = 0.3, 0.35
"""Part of the mouth's width, from its middle, in which teeth reach for the lower lip; how far they do so beside it:
they keep an edge of their own."""
_HIGHER = 0.06
"""How far, in distances of the outer eye corners, teeth may rise to show their ends above the lower lip of a smile."""
_BITE = -0.012
"""How far below the upper row's edge the lower one's is in a smile, in the same measure: behind it."""
_LONGEST = 1.4
"""How many times longer than the donor showed it a tooth may be made before gums are seen above it."""
_LOWER_ROW, _WORN = 1.45, 6.0
"""How much narrower than the upper row the lower one is; and donor px to which its teeth are worn, to one edge."""
_TEETH = 0.8
"""Luminance of bright teeth in the studio of the London set, before lips shade them; seen, the median of 44 smiles is
0.77, whatever the skin."""
_WIDE, _SHADED, _SHADING = 0.12, 0.75, 2.0
"""Height of the opening, in distances of the outer eye corners, from which on the lips leave teeth their light; the
share that they take of it where they all but meet; and the power with which they do so (39 photographed smiles)."""
_GAPS = 0.2, 1.8
"""How much of what is darker between the donor's teeth is added once more: anywhere, and where lips all but meet. Lines
between teeth are 0.16 of log luminance deep in narrow photographed smiles, 0.11 in wide ones."""
_LIPS_GLOW = np.array([0.79, 1.06, 1.1], np.float32)
"""Powers of a shade on teeth, by channel: what light is left there comes from lips and gums (red over green is 1.05 in
the donors' bright teeth, 1.13 in shaded ones)."""
_TO_CORNERS = 0.94
"""Width of the donor's mouth in that of the smile that it fills: of 20 wide smiles teeth at six tenths of the way to
the corners were a fifth too dark where both were equally wide."""
_LAST_TOOTH = 18
"""Donor px from the corner of its mouth at which the last tooth in the light stands; farther back others like it are
lost in the dark."""
_SLIT, _IN_SLIT = 0.05, 0.5
"""Height, in distances of the outer eye corners, from which on it is dark below the upper teeth; and how light, of the
lips' colour, it is where they all but touch the lip."""
_OWN_UP_TO, _OWN_FADES = 1.6, 0.3
"""How many times as high as in the photo an opening may be to show what the photo shows there, stretched; and over how
much of that it fades. Half of both is a grey ghost of teeth."""
_LINE = 0.5
"""How dark the line between closed lips is, of the lips' colour."""
_FINEST = 0.5
"""Blur, px, of an image that can be sampled at every pixel."""
_CORRIDOR = np.array([0.24, 0.14, 0.14], np.float32)
"""Colour of the corners of open mouths, beside the teeth: median of 37 smiles."""
_GUMS = np.array([0.47, 0.27, 0.26], np.float32)
_LIPS = np.array([0.62, 0.30, 0.28], np.float32)


class MouthRenderer:
    """The mouth of one photo."""

    def __init__(self, image: np.ndarray, rig: Rig, donor: TeethDonor, *, lit: np.ndarray, colourfulness: float):
        """image: (N, N, 3) float32 RGB in [0, 1]. lit: (3,) of `light_on_face`. colourfulness: 0 in a grey photo."""
        self._image, self._rig, self._donor, self._colourfulness = image, rig, donor, colourfulness
        self._light = _TEETH / donor.luminance * lit
        self._unit = EYE_PX / rig.eye_px * self._donor_scale()
        self._lent, self._gaps, self._ends = (
            as_coarse(each, self._unit) for each in (donor.lent, donor.gaps, donor.teeth)
        )
        head = rig.head
        self._smiles = [head.unit_index[f"mouthSmile{side}"] for side in ("Left", "Right")]
        self._jaw = head.unit_index["jawOpen"]
        near = np.linalg.norm((head.vertices - head.vertices[head.landmark_vertices[13]]) / (3.4, 3.0, 4.0), axis=1) < 1
        self._mesh = MeshPart.of(rig.source, head.triangles[near[head.triangles].all(1)])
        gaps = rig.landmarks[list(LOWER_LIP), 1] - rig.landmarks[list(UPPER_LIP), 1]
        self._own_gap = float(max(gaps.max(), 0))
        self._own = self._own_inside()
        if self._own is not None:
            outline = np.concatenate([self._own[0], self._own[1][::-1]])
            own = Box.around(outline, 0.05 * rig.eye_px, rig.size_px)
            self._own_from = f32([own.x0, own.y0])
            mask = np.zeros(own.shape, np.uint8)
            cv2.fillPoly(mask, [np.round((outline - self._own_from) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
            reach = max(1, round(0.006 * rig.eye_px))
            mask = cv2.dilate(mask, np.ones((2 * reach + 1, 1), np.uint8))
            self._own_opening = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 0.5 * reach)

    def _donor_scale(self) -> float:
        """How much smaller than on the donor's face the donor's mouth is, so that a wide smile shows it whole."""
        rig = self._rig
        smile = rig.head.strengths({"mouthSmileLeft": 0.85, "mouthSmileRight": 0.85})
        corners = rig.landmarks_at(rig.moved(np.maximum(smile - rig.fit.units, 0) * (smile > 0)))[[78, 308], 0]
        first, last = self._donor.span
        scale = (last - first) * rig.eye_px / EYE_PX / max(1.0, corners[1] - corners[0])
        return float(np.clip(_TO_CORNERS * scale, 0.75, 1.05))

    def _own_inside(self) -> np.ndarray | None:
        """(2, 11, 2) px the lips' inner edges where the photo shows the mouth's inside, None where it is closed."""
        if self._own_gap < 0.035 * self._rig.eye_px:
            return None
        return np.stack([self._rig.landmarks[list(lip)] for lip in (UPPER_LIP, LOWER_LIP)])

    def box_at(self, points: np.ndarray) -> Box:
        """Where the mouth is drawn when the vertices are at ``points`` (V, 3)."""
        lips = self._rig.landmarks_at(points)[list(UPPER_LIP + LOWER_LIP)]
        return Box.around(lips, 0.06 * self._rig.eye_px + 4, self._rig.size_px)

    def view(self, points: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """`MeshPart.view` of the lips in their box."""
        return self._mesh.view(points, box)

    def draw(
        self,
        canvas: LayerCanvas,
        cover: np.ndarray,
        source: np.ndarray,
        points: np.ndarray,
        control: np.ndarray,
    ) -> None:
        """Draw the inside of the mouth in its box, over the lips' ``cover`` (h, w); nothing where they are closed.

        source: (h, w, 2) px of the photo from which each pixel of the box came. points: (V, 3) the moved vertices.
        """
        rig, box = self._rig, canvas.box
        at = rig.landmarks_at(points)
        inside = largest_opening(1 - cover)
        gap = float(rig.lip_gaps(points).max()) / rig.eye_px
        self._hide_own_teeth(canvas, source, points)
        least = 0.012 if self._own is not None else max(0.012, self._own_gap / rig.eye_px + 0.004)
        strength = float(np.clip((gap - least) / 0.018, 0, 1))  # lips that only just part in the photo show no teeth
        if strength == 0 or inside.sum() < 6 or inside.max() <= 0.5:  # thinner than a pixel
            return
        canvas.close(inside)
        cavity = self._cavity(box, inside, at, control, gap)
        fresh = 1.0
        if self._own is not None:
            own, ratio = self._photographed(box, inside, *self._own)
            share = float(np.clip((_OWN_UP_TO - ratio) / _OWN_FADES, 0, 1))
            cavity += share * (own - cavity)
            fresh -= share
        edge = cv2.GaussianBlur(inside, (0, 0), max(0.5, 0.0035 * rig.eye_px))
        opacity = strength * np.clip(1.25 * edge - 0.12, 0, 1)
        canvas.draw(cavity, opacity, shown=strength * around(inside, 0.02 * rig.eye_px), fresh=fresh)

    def _hide_own_teeth(self, canvas: LayerCanvas, source: np.ndarray, points: np.ndarray) -> None:
        """Continue the lips over slivers of the photo's own teeth that closing lips bring along, since no mesh ends
        just where lips do."""
        gap = float(self._rig.lip_gaps(points).max())
        if self._own is None or gap > 0.7 * self._own_gap:
            return
        shown = cv2.remap(self._own_opening, source - self._own_from, None, cv2.INTER_LINEAR)
        slivers = np.clip((0.7 - gap / self._own_gap) / 0.3, 0, 1) * shown
        if slivers.max() > 0.05:
            canvas.close(slivers)
            shown = around(slivers, 0.015 * self._rig.eye_px)
            line = self._line_of_lips(canvas.box, points) * np.clip(3 * slivers, 0, 1)
            canvas.draw(_LINE * canvas.image, line, shown=shown)

    def _line_of_lips(self, box: Box, points: np.ndarray) -> np.ndarray:
        """(h, w) in [0, 1] the line along which closed lips meet."""
        at = self._rig.landmarks_at(points)
        path = (at[list(UPPER_LIP)] + at[list(LOWER_LIP)]) / 2 - (box.x0, box.y0)
        drawn = np.zeros(box.shape, np.float32)
        cv2.polylines(drawn, [np.round(path * 16).astype(np.int32)], False, 1.0, 1, cv2.LINE_AA, 4)
        sigma = max(0.6, 0.006 * self._rig.eye_px)
        return np.clip(2 * sigma * cv2.GaussianBlur(drawn, (0, 0), sigma), 0, 1)

    def _photographed(
        self, box: Box, inside: np.ndarray, upper: np.ndarray, lower: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """What the photo shows between its lips, laid between the moved ones; and how much further those are apart."""
        columns = np.flatnonzero((inside > 0.5).any(0))
        if not len(columns):
            return np.zeros((*box.shape, 3), np.float32), 9.0
        solid = inside > 0.5
        top = np.argmax(solid, 0).astype(np.float32)
        bottom = inside.shape[0] - 1 - np.argmax(solid[::-1], 0).astype(np.float32)
        x = np.arange(box.x0, box.x1, dtype=np.float32)
        left, right = columns[0] + box.x0, columns[-1] + box.x0
        from_x = upper[0, 0] + np.clip((x - left) / max(1, right - left), 0, 1) * (upper[-1, 0] - upper[0, 0])
        own_top = np.interp(from_x, upper[:, 0], upper[:, 1])
        own_bottom = np.interp(from_x, lower[:, 0], lower[:, 1])
        top = np.interp(x, x[columns], top[columns] + box.y0)
        bottom = np.interp(x, x[columns], bottom[columns] + box.y0)
        height, own_height = float((bottom - top).max()), float((own_bottom - own_top).max())
        ratio = height / max(1.0, own_height)
        rows = np.arange(box.y0, box.y1, dtype=np.float32)[:, None]
        from_y = own_top + (rows - top) / max(ratio, 0.6)
        from_y = np.clip(from_y, own_top, np.maximum(own_bottom, own_top))
        maps = np.dstack([np.broadcast_to(from_x, from_y.shape), from_y]).astype(np.float32)
        return cv2.remap(self._image, maps, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), ratio

    def _cavity(self, box: Box, inside: np.ndarray, at: np.ndarray, control: np.ndarray, gap: float) -> np.ndarray:
        """(h, w, 3) teeth, tongue and throat in the scene's light."""
        rig, eye = self._rig, self._rig.eye_px
        x = np.arange(box.x0, box.x1, dtype=np.float32)[None]
        y = np.arange(box.y0, box.y1, dtype=np.float32)[:, None]
        lips = at[list(UPPER_LIP)], at[list(LOWER_LIP)]
        solid = inside > 0.5
        some = solid.any(0)
        columns = np.flatnonzero(some)
        top = np.argmax(solid, 0)[columns] + box.y0
        bottom = solid.shape[0] - 1 - np.argmax(solid[::-1], 0)[columns] + box.y0
        top, bottom = (np.interp(x[0], x[0, columns], rows)[None].astype(np.float32) for rows in (top, bottom))
        shift = rig.fit.scale * rig.fit.rotation[1, 1]
        upper, lower = (
            np.polyval(np.polyfit(edge[:, 0], edge[:, 1], 2), x[0])[None] + cm * shift
            for edge, cm in zip(rig.teeth_edges(control), (_UPPER_CM, _LOWER_CM), strict=True)
        )
        upper, lower = upper.astype(np.float32), lower.astype(np.float32)
        height = bottom - top
        shown = upper - top
        middle = float(rig.teeth_edges(control)[0][:, 0].mean())
        left, right = float(lips[0][0, 0]), float(lips[0][-1, 0])
        from_middle = np.abs(x - (left + right) / 2) / max(1.0, (right - left) / 2)
        # A smile's lower lip follows the upper teeth: in the middle, and beside it a little less than wholly.
        longest = height - _BELOW * np.maximum(height - _TOOTH * eye, 0)
        lower_by = np.maximum(longest - shown, -_HIGHER * eye)
        in_middle = lower_by[nearest_middle(from_middle)].mean()
        lower_by = in_middle + _FOLLOWED * (lower_by - in_middle)
        follows = self._lip_follows_teeth(control)
        upper = upper + lower_by * follows
        together = min(2 * follows, 1.0)
        lower = lower + together * np.minimum(upper + _BITE * eye - lower, 0)
        unit = self._unit
        across, soft = unit * (x - middle), 0.6 * unit
        narrow = np.clip(1 - height / (_WIDE * eye), 0, 1)
        narrow = cv2.GaussianBlur(narrow, (0, 0), 0.02 * eye)
        upper_teeth, upper_alpha = self._row(across, unit * (y - upper), unit * (upper - top), narrow)
        below = -unit * (y - lower)
        lower_teeth, _ = self._row(_LOWER_ROW * across, below - _WORN, unit * (bottom - lower))
        lower_alpha = np.clip(0.5 - below / (2 * soft), 0, 1)
        depth = np.clip((y - top) / np.maximum(height, 1), 0, 1)[..., None]
        slit = np.clip(1 - (bottom - upper) / (_SLIT * eye), 0, 1)[..., None]  # light from the lip reaches all of it
        throat = _LIPS * (0.12 * (0.5 + 0.9 * depth) + _IN_SLIT * slit)
        throat = np.maximum(throat, _CORRIDOR * smoothstep((from_middle - 0.6) / 0.3)[..., None])
        rise = float(np.clip((gap - 0.08) / 0.1, 0, 1))
        tongue_top = bottom - 0.13 * eye * rise * np.sqrt(np.clip(1 - (from_middle / 0.8) ** 2, 0, 1))
        tongue = np.clip((y - tongue_top) / (0.05 * eye), 0, 1) * np.clip((0.85 - from_middle) / 0.2, 0, 1) * rise
        groove = 1 - 0.18 * np.exp(-((from_middle / 0.12) ** 2))
        tone = 0.30 + 0.55 * np.clip((y - tongue_top) / (0.12 * eye), 0, 1)
        tone = (tone * (1 - 0.55 * from_middle**2) * groove)[..., None]
        inner = throat + tongue[..., None] * (_LIPS * tone - throat)
        under = 1 - 0.5 * np.exp(-np.maximum(y - upper, 0) / (0.012 * eye))  # the upper teeth
        behind = ((0.8 - 0.25 * from_middle**2) * under)[..., None] ** _LIPS_GLOW
        inner = inner + lower_alpha[..., None] * (lower_teeth * behind - inner)
        shadow = 1 - 0.3 * np.exp(-np.maximum(y - top, 0) / (0.012 * eye))  # of the upper lip
        lit = 1 - _SHADED * narrow**_SHADING
        shade = (shadow * lit)[..., None] ** _LIPS_GLOW
        inner = inner + upper_alpha[..., None] * (upper_teeth * shade - inner)
        inner = inner * self._light
        grey = (inner @ LUMA)[..., None]
        return np.clip(grey + self._colourfulness * (inner - grey), 0, 1).astype(np.float32)

    def _lip_follows_teeth(self, control: np.ndarray) -> float:
        """How far the lower lip stays at the biting edge, in [0, 1]: fully in smiles that open the jaw little."""
        units = np.asarray(control) + self._rig.fit.units
        smile = units[self._smiles].mean()
        return float(np.clip(smile / 0.3, 0, 1) * np.clip((0.45 - units[self._jaw]) / 0.2, 0, 1))

    def _row(
        self, x: np.ndarray, below_edge: np.ndarray, shown: np.ndarray, narrow: np.ndarray | float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The donor's teeth (h, w, 3) at x (right of the middle) and rows below the biting edge, donor px; and where
        the donor shows them or what lies below them (h, w).

        shown: how much of a tooth the lips show. Where that is more than the donor showed, the tooth is made a little
        longer, and gums are seen above it. narrow: (1, w) in [0, 1] or one number, where little light reaches the gaps.
        """
        donor = self._donor
        columns = np.broadcast_to(x + np.float32(MIDDLE[0]), below_edge.shape).astype(np.float32)
        first, last = donor.span
        left, right = first + _LAST_TOOTH, last - _LAST_TOOTH
        farther = np.maximum(np.maximum(left - columns, columns - right), 0)
        columns = np.clip(columns, 2 * left - columns, 2 * right - columns)
        every = np.arange(SIZE[0])
        top, bottom, edge = (np.interp(columns[:1], every, line).astype(np.float32) for line in donor.lines)
        lent = np.maximum(edge - top - 2, 4)
        longer = cv2.GaussianBlur((shown / lent).astype(np.float32), (0, 0), 0.03 * EYE_PX / self._unit)
        rows = edge + np.where(below_edge < 0, below_edge / np.clip(longer, 1, _LONGEST), below_edge)
        inside = np.clip(rows, top + 2, bottom - 1).astype(np.float32)
        teeth = cv2.remap(self._lent, columns, inside, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        gaps = cv2.remap(self._gaps, columns, inside, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        teeth = teeth * np.exp(gaps * (_GAPS[0] + _GAPS[1] * narrow))[..., None]
        sides = np.clip(3 - farther / _LAST_TOOTH, 0, 1)
        beyond = np.clip((top - rows) / 14, 0, 1)[..., None]
        aside = smoothstep((np.abs(2 * columns[:1] - first - last) / (last - first) - 0.3) / 0.4)
        gums = _GUMS * np.clip(1 - 0.012 * (top - rows), 0.5, 1)[..., None]
        gums = gums + 0.75 * aside[..., None] * (_CORRIDOR - gums)
        teeth = teeth * (1 - beyond) + gums * beyond
        teeth = _CORRIDOR + np.maximum(teeth - _CORRIDOR, 0) * np.exp(-farther / _LAST_TOOTH)[..., None]
        ends = cv2.remap(self._ends, columns, rows.astype(np.float32), cv2.INTER_LINEAR)
        return teeth, ends * sides


def as_coarse(image: np.ndarray, unit: float) -> np.ndarray:
    """An image without what is too fine to be drawn where a pixel is ``unit`` of its own wide."""
    return image if unit <= 1 else cv2.GaussianBlur(image, (0, 0), _FINEST * np.sqrt(unit**2 - 1))


def nearest_middle(from_middle: np.ndarray) -> np.ndarray:
    """(1, w) bool which columns of a mouth are its middle ones; in one that is a pixel or two wide, the nearest.

    from_middle: (1, w) distance from the middle, 1 at the corners.
    """
    return from_middle <= max(_MIDDLE, float(from_middle.min()))
