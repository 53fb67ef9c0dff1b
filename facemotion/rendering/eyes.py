"""Eyeballs behind moved lids, irises that look elsewhere, and the skin and lashes of lids that close."""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.faces.geometry import smoothstep
from facemotion.head.rig import EYES, Rig
from facemotion.rendering.boxes import Box, LayerCanvas, MeshPart, around, f32, largest_opening
from facemotion.rendering.light import LUMA

IRISES = {"Right": (468, 469, 470, 471, 472), "Left": (473, 474, 475, 476, 477)}
"""Face Mesh landmarks of the irises: centre, then four on the rim."""
_IRIS_RADIUS = 0.068
"""Of the distance of the outer eye corners: 11.7 mm of 87 mm average at most what is fitted."""
_GAZE = {"LookIn": 0.075, "LookOut": 0.075, "LookUp": 0.05, "LookDown": 0.05}
"""How far an iris moves at strength 1, in distances of the outer eye corners: some 30 and 20 degrees."""
_PLAIN = 0.1, 0.5
"""How far an eye is closed when its lid begins to be drawn plain, and when it is wholly: over most of a blink, so that
no step of one is much larger than the others."""
_LID_LIGHT = 0.99, 0.16
"""Brightness of a closed lid at its edges, and how much more of it the bulge over the eyeball has."""
_LID_MOVES = 0.012
"""Motion of a lid, in distances of the outer eye corners, from which the eyeball is continued under its rim."""
_LEAVES = 0.12
"""Motion of an iris, in its radii, from which what it leaves behind is white."""
_RIM, _LASHES = 0.022, 0.10
"""How far the rim of an eye and its upper lashes reach beyond it, in distances of the outer eye corners."""
_LASH_TINT = np.array([1.1, 0.98, 0.92], np.float32)
"""Colour of lashes of luminance 1: brown, whatever iris they hang before."""
_MOST_LASH_LIGHT = 0.35
"""Brightness of lashes at most, of that of the lid."""
_MEETS, _SAGS = 0.018, 0.018
"""How far below the landmarks of the lower lid closed lids meet, since its wet rim is covered, and how much further in
the middle than at the corners; in distances of the outer eye corners."""
_SKIN_SPREAD = 0.06
"""How far around an eye its lids' colour is read."""
_SUM = np.ones((1, 3), np.float32)


class EyeRenderer:
    """One eye of a photo."""

    def __init__(self, image: np.ndarray, rig: Rig, side: str):
        """image: (N, N, 3) float32 RGB in [0, 1]; side: ``Left`` or ``Right`` of the person."""
        self._rig, self._side = rig, side
        upper, lower = EYES[side]
        self._upper, self._lower = list(upper), list(lower)
        eye = rig.eye_px
        outline = np.concatenate([rig.landmarks[self._upper], rig.landmarks[self._lower][-2:0:-1]])
        self.box = Box.around(outline, 0.16 * eye, image.shape[0])
        self._offset = f32([self.box.x0, self.box.y0])
        patch = image[self.box.of]
        self._outline = outline - self._offset
        self._opening = _polygon(self._outline, patch.shape[:2], grown=0.006 * eye)
        lowered = self._outline.copy()
        lowered[len(upper) :] += self._meeting(len(lower))[-2:0:-1]
        self._rim = _polygon(lowered, patch.shape[:2], grown=0.006 * eye)
        head = rig.head
        middle = head.vertices[head.landmark_vertices[self._upper + self._lower]].mean(0)
        near = np.linalg.norm((head.vertices - middle) / (2.6, 2.2, 3.5), axis=1) < 1
        self._mesh = MeshPart.of(rig.source, head.triangles[near[head.triangles].all(1)])
        margins = rig.unit_motion[:, head.landmark_vertices[self._lower + self._upper], 1]
        lower_y, upper_y = np.split(margins, 2, axis=1)
        self._gap_motion = (lower_y - upper_y)[:, 2:-2]
        self._own_gaps = (rig.landmarks[self._lower, 1] - rig.landmarks[self._upper, 1])[2:-2]
        self.aperture = self.gap(rig.source)
        self._find_iris(patch)
        self._grid = self.box.grid() - self._offset
        self._ball, self._white = self._extended(patch)
        self._lid, self._band = self._lid_skin(patch)
        self._lashes = self._lash_colour(patch)
        self._lid_sum = self._lid.sum(2) + np.float32(1e-3)
        self._soft = cv2.GaussianBlur(patch, (0, 0), 0.02 * eye)
        self._window = _faded(patch.shape[:2], 0.03 * eye)

    def gap(self, points: np.ndarray) -> float:
        """Largest distance of the lid margins at moved vertices (V, 3), px."""
        at = self._rig.landmarks_at(points)
        return float(max((at[self._lower, 1] - at[self._upper, 1])[2:-2].max(), 0))

    def gap_at(self, control: np.ndarray) -> float:
        """What `gap` is when the vertices are where a control (U,) moves them."""
        return float(max((self._own_gaps + control @ self._gap_motion).max(), 0))

    def _find_iris(self, patch: np.ndarray) -> None:
        eye = self._rig.eye_px
        if len(self._rig.landmarks) > 477:
            iris = self._rig.landmarks[list(IRISES[self._side])] - self._offset
            self._centre = iris[0]
            self._radius = float(np.clip(np.linalg.norm(iris[1:] - iris[0], axis=1).mean(), 0.05 * eye, 0.085 * eye))
        else:
            self._centre, self._radius = self._outline.mean(0), _IRIS_RADIUS * eye

    def closing(self, points: np.ndarray) -> float:
        """How far the lids are closed, compared with the photo: 0 to 1."""
        return float(np.clip(1 - self.gap(points) / max(self.aperture, 1e-3), 0, 1))

    def gaze_shift(self, control: np.ndarray) -> np.ndarray:
        """(2,) px that the iris moves."""
        value = {
            way: control[self._rig.head.unit_index[f"eye{way}{self._side}"]] * reach for way, reach in _GAZE.items()
        }
        outwards = value["LookOut"] - value["LookIn"]
        x = outwards if self._side == "Left" else -outwards
        return f32([x, value["LookDown"] - value["LookUp"]]) * self._rig.eye_px

    def view(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`MeshPart.view` of the lids in the eye's box."""
        return self._mesh.view(points, self.box)

    def draw(
        self, canvas: LayerCanvas, cover: np.ndarray, at: np.ndarray, points: np.ndarray, control: np.ndarray
    ) -> None:
        """Draw lids, eyeball and lashes in the eye's box, over the lids' ``cover`` (h, w).

        at: (h, w, 2) px of the photo from which each pixel of the box came. points: (V, 3) moved vertices.
        """
        rig, eye, box = self._rig, self._rig.eye_px, self.box
        closing = self.closing(points)
        moved = canvas.image.copy()
        stretched = _stretched(at) * self._window
        if stretched.max() > 0.05:
            canvas.draw(_sampled(self._soft, at - self._offset), stretched, shown=4 * stretched, fresh=0.5)
        if closing > _PLAIN[0]:
            # The lid is there already, crumpled above the eye; stretched out, its skin is that around the eye.
            plain = self._lid_share(canvas.image, at - self._offset, _share(closing, *_PLAIN))
            canvas.draw(self._lid, plain, shown=plain, fresh=0.6)
        margins = rig.landmarks_at(points)
        upper, lower = margins[self._upper] - self._offset, margins[self._lower] - self._offset
        inside = largest_opening(1 - cover)
        middle = _polygon(np.concatenate([upper, lower[-2:0:-1]]), box.shape, grown=0.03 * eye)
        inside = inside * middle * np.clip((self.gap(points) / eye - 0.004) / 0.012, 0, 1)
        if inside.max() > 0:
            canvas.close(inside)
            shift = self.gaze_shift(control)
            ball = self._looking(shift)
            rows, columns = np.arange(box.shape[0], dtype=np.float32)[:, None], np.arange(box.shape[1])
            line, own = (
                np.interp(columns, at[:, 0], at[:, 1]).astype(np.float32)
                for at in (upper, rig.landmarks[self._upper] - self._offset)
            )
            # The shadow of the upper lid moves with it; where the photo shows the eye, it has its own.
            own_shade = 1 - self._kept * (1 - _lid_shadow(rows - own, eye))
            shade = _lid_shadow(rows - line, eye) / own_shade
            soft = cv2.GaussianBlur(inside, (0, 0), max(0.7, 0.005 * eye))
            soft = np.clip(1.2 * soft - 0.1, 0, 1)
            canvas.draw(ball * np.clip(shade, 0.5, 1.5)[..., None], soft, shown=around(inside, 0.03 * eye))
            # Where the lid stays and no iris comes or goes, so does the photo's own eye with its rim.
            still = np.clip(1 - np.abs(line - own) / (_LID_MOVES * eye), 0, 1) * (1 - self._crossed(shift))
            canvas.image[:] += still[..., None] * (moved - canvas.image)
        if closing > 0.3:
            line = upper + smoothstep(np.array(2 * closing - 1)) * self._meeting(len(upper))
            lashes = self._lash_line(line, box.shape, strength=_share(closing, *_PLAIN))
            canvas.draw(np.broadcast_to(self._lashes, (*box.shape, 3)), lashes, shown=3 * lashes)

    def _lid_share(self, moved: np.ndarray, at: np.ndarray, share: float) -> np.ndarray:
        """(h, w) how much of each moved pixel is to become plain lid: where the photo shows eye, rim or lashes."""
        band, rim = _sampled(self._band, at), _sampled(self._rim, at)
        darker = 1 - cv2.transform(moved, _SUM) / self._lid_sum
        plain = np.maximum(rim, band * np.clip((darker - 0.02) / 0.1, 0, 1))
        return share * np.clip(cv2.GaussianBlur(plain, (0, 0), 0.02 * self._rig.eye_px + 0.3), 0, 1)

    def _lash_colour(self, patch: np.ndarray) -> np.ndarray:
        """(3,) colour of the dark line along the upper lid, dark enough to be seen before a closed one."""
        eye, upper = self._rig.eye_px, self._outline[: len(self._upper)]
        line = np.zeros(patch.shape[:2], np.uint8)
        thickness = max(1, round(0.012 * eye))
        cv2.polylines(line, [np.round(upper * 16).astype(np.int32)], False, 1, thickness, cv2.LINE_8, 4)
        lid = float(np.average(self._lid @ LUMA, weights=self._opening + 1e-6))
        own = np.sort(patch[line > 0] @ LUMA)
        darkest = 0.8 * float(own[: max(1, len(own) // 3)].mean()) if len(own) else lid
        return min(darkest, _MOST_LASH_LIGHT * lid) * _LASH_TINT

    def _meeting(self, count: int) -> np.ndarray:
        """(n, 2) px from the margins of the mesh, where they meet, to where closed lids do, at so many places along."""
        along = np.linspace(-1, 1, count)
        return self._rig.eye_px * np.outer(_MEETS + _SAGS * (1 - along**2), f32([0, 1]))

    def _lash_line(self, upper: np.ndarray, shape: tuple[int, int], *, strength: float) -> np.ndarray:
        """(h, w) opacity of lashes along the upper margin: a dense line, and strands that hang below it."""
        eye = self._rig.eye_px
        height, width = shape
        columns = np.arange(width, dtype=np.float32)
        curve = np.polyval(np.polyfit(upper[:, 0], upper[:, 1], 3), columns)
        below = (np.arange(height, dtype=np.float32)[:, None] - curve) / eye
        along = (columns - upper[0, 0]) / max(upper[-1, 0] - upper[0, 0], 1)
        taper = np.where((along > -0.02) & (along < 1.02), np.sin(np.pi * np.clip(0.06 + 0.9 * along, 0, 1)) ** 0.55, 0)
        line = np.exp(-((below / (0.011 + 0.4 / eye)) ** 2))
        # strands fan outwards; the same for the same face
        outwards = (along - 0.5) * np.maximum(below, 0) * eye * 0.9
        source = np.random.default_rng(round(1000 * eye))
        density = np.convolve(source.uniform(0, 1, 4 * width), np.ones(5) / 5, "same").astype(np.float32)
        at = np.clip(2 * (columns - outwards) + width, 0, 4 * width - 1)
        strands = np.clip(2.2 * np.interp(at, np.arange(4 * width), density) - 0.5, 0, 1)
        hanging = np.where(below > 0, np.exp(-below / 0.02) * (0.55 + 0.45 * strands), 0)
        lashes = cv2.GaussianBlur(np.maximum(line, 0.95 * hanging).astype(np.float32), (0, 0), 0.45)
        return np.clip(0.9 * strength * taper * lashes, 0, 1).astype(np.float32)

    def _looking(self, shift: np.ndarray) -> np.ndarray:
        """(h, w, 3) the eyeball with its iris moved by ``shift`` px; the photo's own where it does not move."""
        if not shift.any():
            return self._ball
        moved = _sampled(self._ball, self._grid - shift)
        bare = self._ball + (self._left(shift) * self._iris(shift * 0, 1.2))[..., None] * (self._white - self._ball)
        return bare + self._iris(shift, 1.1)[..., None] * (moved - bare)

    def _crossed(self, shift: np.ndarray) -> np.ndarray:
        """(h, w) in [0, 1] where the eyeball is not the photo's own once its iris is moved by ``shift`` px."""
        return self._left(shift) * np.maximum(self._iris(shift * 0, 1.2), self._iris(shift, 1.1))

    def _left(self, shift: np.ndarray) -> float:
        """How far the iris has left its place, 0 to 1."""
        return min(1.0, float(np.hypot(*shift)) / (_LEAVES * self._radius))

    def _iris(self, shift: np.ndarray, reach: float) -> np.ndarray:
        """(h, w) in [0, 1] a disc of ``reach`` radii about the iris moved by ``shift`` px."""
        away = np.linalg.norm(self._grid - f32(shift + self._centre), axis=2)
        return np.clip((reach * self._radius - away) / (0.12 * self._radius) + 0.5, 0, 1)

    def _extended(self, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The eyeball (h, w, 3) continued under the lids, and its white alone.

        The iris is completed by reflection about its centre, the white by its own colours.
        """
        radius, centre = self._radius, self._centre
        height, width = patch.shape[:2]
        grid_x, grid_y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        inner = cv2.erode((self._polygon_exact() > 0.5).astype(np.uint8), _disc(0.14 * radius))
        seen = inner.astype(bool)
        from_centre = np.hypot(grid_x - centre[0], grid_y - centre[1])
        iris = from_centre < 1.08 * radius
        white = seen & ~iris
        colour = 0.92 * np.percentile(patch[white], 30, axis=0) if white.sum() > 8 else f32([0.74, 0.71, 0.69])
        spread = max(2.0, radius)
        weight = white * np.maximum(patch.mean(2), 0.02) ** 2  # lashes and the limbus say less
        weight = f32(weight / max(weight.max(), 1e-6))
        values = cv2.GaussianBlur(patch * weight[..., None], (0, 0), spread) + 0.03 * colour
        filled = values / (cv2.GaussianBlur(weight, (0, 0), spread)[..., None] + 0.03)
        mirrored_y = 2 * np.float32(centre[1]) - grid_y
        mirrored = cv2.remap(patch, grid_x, mirrored_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mirror_seen = cv2.remap(seen.astype(np.float32), grid_x, mirrored_y, cv2.INTER_LINEAR)
        ring = from_centre / max(radius, 1)
        own = seen & iris
        dark = patch[own].mean(0) if own.sum() > 8 else 0.3 * colour
        disc = np.where(mirror_seen[..., None] > 0.9, mirrored, dark)
        soft = np.clip((1.08 - ring) / 0.14, 0, 1)[..., None]
        beyond = filled * (1 - soft) + disc * soft
        keep = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), max(0.6, 0.12 * radius))
        keep = np.where(seen, np.clip(2 * keep - 0.6, 0, 1), 0)
        # The photo's own lower rim stays: only the upper lid uncovers what the photo does not show.
        below = np.clip((grid_y - self._outline[:, 1].mean()) / (0.25 * radius) + 0.5, 0, 1)
        keep = np.maximum(keep, below * self._opening)[..., None]
        self._kept = keep[..., 0]
        ball = patch * keep + beyond * (1 - keep)
        return ball.astype(np.float32), filled.astype(np.float32)

    def _polygon_exact(self) -> np.ndarray:
        return _polygon(self._outline, self.box.shape, grown=0)

    def _lid_skin(self, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The patch with eye and upper lashes replaced by the skin around, and where that is, (h, w) in [0, 1]."""
        eye = self._rig.eye_px
        band = self._lash_band(patch.shape[:2])
        known = 1 - cv2.dilate(band, np.ones((3, 3), np.uint8)).astype(np.float32)
        weight = known * np.maximum(patch.mean(2), 0.02) ** 2  # hair and shadow say less
        blurred, total = (
            cv2.GaussianBlur(each, (0, 0), _SKIN_SPREAD * eye) for each in (patch * weight[..., None], weight)
        )
        skin = blurred / np.maximum(total, 1e-6)[..., None]
        inside = cv2.GaussianBlur(1 - known, (0, 0), 0.01 * eye)[..., None]
        plain = patch + inside * (skin - patch)
        plain = cv2.GaussianBlur(plain, (0, 0), 0.008 * eye)
        texture = patch - cv2.GaussianBlur(patch, (0, 0), 0.012 * eye)
        plain += self._borrowed_texture(texture, known)
        bulge = cv2.GaussianBlur(self._opening, (0, 0), 0.035 * eye)
        plain = plain * (_LID_LIGHT[0] + _LID_LIGHT[1] * bulge[..., None])
        return plain.astype(np.float32), cv2.GaussianBlur(band.astype(np.float32), (0, 0), 0.014 * eye + 0.3)

    def _lash_band(self, shape: tuple[int, ...]) -> np.ndarray:
        """(h, w) uint8: 1 on the eye, its rim and its upper lashes, which are longest in the middle."""
        eye, corners = self._rig.eye_px, self._outline[[0, len(self._upper) - 1]]
        outwards = (corners[1] - corners[0]) / max(1.0, float(np.linalg.norm(corners[1] - corners[0])))
        upper, lower = self._outline[: len(self._upper)].copy(), self._outline[len(self._upper) :].copy()
        along = np.linspace(0, 1, len(upper))
        upper[:, 1] -= eye * (_RIM + (_LASHES - _RIM) * np.sin(np.pi * (0.15 + 0.7 * along)))
        lower[:, 1] += eye * _RIM
        sides = [corners[1] + 2 * outwards * _RIM * eye, corners[0] - 2 * outwards * _RIM * eye]
        outline = np.concatenate([upper, sides[:1], lower, sides[1:]])
        band = np.zeros(shape, np.uint8)
        return cv2.fillPoly(band, [np.round(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)

    def _borrowed_texture(self, texture: np.ndarray, known: np.ndarray) -> np.ndarray:
        """(h, w, 3) pores for the lid: those of the skin below the eye."""
        height = texture.shape[0]
        lowest = self._outline[:, 1].max() + 0.03 * self._rig.eye_px
        step = max(1, int(lowest - self._outline[:, 1].min()))
        rows = np.arange(height) + step
        while (rows >= height).any():
            rows = np.where(rows >= height, rows - max(1, int(height - lowest)), rows)
        fill = texture[np.maximum(rows, int(lowest))]
        limit = 2.0 * float(fill.std()) + 1e-4
        return 0.8 * np.clip(fill, -limit, limit) * (1 - known)[..., None]


def _share(value: float, begins: float, ends: float) -> float:
    return min(1.0, max(0.0, (value - begins) / (ends - begins)))


def _faded(shape: tuple[int, int], over: float) -> np.ndarray:
    """(h, w) float32: 1 inside, falling to 0 at the border over so many px."""
    down, across = (np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / over, 0, 1) for n in shape)
    return (down[:, None] * across[None]).astype(np.float32)


def _stretched(at: np.ndarray) -> np.ndarray:
    """(h, w) in [0, 1] how far skin is pulled so long that its texture would turn to streaks; at: (h, w, 2) px."""
    step = cv2.blur(np.abs(np.gradient(at[..., 1], axis=0)).astype(np.float32), (3, 3))
    return cv2.GaussianBlur(np.clip((0.6 - step) / 0.35, 0, 0.85).astype(np.float32), (0, 0), 1.5)


def _lid_shadow(below: np.ndarray, eye: float) -> np.ndarray:
    """How much light an eyeball keeps so far (px) below the upper lid."""
    return 1 - 0.5 * np.exp(-np.maximum(below, 0) / (0.022 * eye))


def _polygon(outline: np.ndarray, shape: tuple[int, int], *, grown: float) -> np.ndarray:
    """(h, w) float32 in [0, 1] of a polygon (n, 2) px, grown by some px and soft at its edge."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    if grown >= 0.5:
        mask = cv2.dilate(mask, _disc(grown))
    return cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), max(0.4, 0.5 * grown))


def _disc(radius: float) -> np.ndarray:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _sampled(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    return cv2.remap(values, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
