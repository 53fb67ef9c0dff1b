"""Eyes: the eyeball's texture beyond what the lids show, and lids that close fully."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from facemotion.synthetic.warping import sample

if TYPE_CHECKING:
    from facemotion.synthetic.portrait import Portrait

_IRIS_RADIUS = 0.068
"""Of the distance between the outer eye corners (11.7 mm iris, 87 mm)."""
_LID_LIGHT = 0.97, 0.16
"""Brightness of a closed lid at its edges, and how much more of it the bulge over the eyeball has."""
_SKIN_SPREAD = 0.06
"""How far around an eye its lids' colour is read, of the same distance; as `model.lids` does."""
_LOWER_LID_SHARE = 0.1
"""How much of the closing the lower lid does."""


class Eyes:
    """Both eyes of a photo: what the lids hide, their skin, and the colour of the lashes."""

    def __init__(self, image: np.ndarray, landmarks: np.ndarray):
        """``image`` (N, N, 3) float RGB in [0, 1], ``landmarks`` (68, 2) px."""
        self.texture = extended(image, landmarks)
        self.opening = openings(image, landmarks)
        self.lash_colour = lash_colour(image, landmarks)
        self.lid, self.lid_band = lid_skin(image, landmarks)
        self.iod_px = float(np.linalg.norm(landmarks[45] - landmarks[36]))
        bulge = cv2.GaussianBlur(self.opening, (0, 0), 0.035 * self.iod_px)
        self.lid *= _LID_LIGHT[0] + _LID_LIGHT[1] * bulge[..., None]

    def draw(self, image: np.ndarray, visible: np.ndarray, at: np.ndarray) -> None:
        """Draw the eyeballs into ``image`` in place, shadowed under the upper lid; a line of lashes where lids meet.

        ``visible`` (N, N) bool is where they show, ``at`` (N, N, 2) px where in the photo each pixel comes from.
        """
        rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
        if not len(rows):
            return
        size_px = image.shape[0]
        box = slice(max(rows[0] - 4, 0), rows[-1] + 5), slice(max(columns[0] - 4, 0), columns[-1] + 5)
        mask = visible[box].astype(np.uint8)
        below_lid = np.where(mask, np.cumsum(mask, 0, dtype=np.float32), 0)
        texture = sample(self.texture, at[box])
        texture *= 1 - 0.4 * np.exp(-below_lid / (0.012 * self.iod_px))[..., None]
        height = max(2, round(0.022 * self.iod_px))
        wide = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((height, 1), np.uint8)).astype(np.float32)
        wide = cv2.GaussianBlur(wide, (0, 0), 0.006 * self.iod_px + 0.4)[..., None]
        texture = texture * wide + self.lash_colour * (1 - wide)
        alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), size_px / 640)
        alpha = np.where(mask, alpha, 0.5 * alpha)[..., None]
        image[box] += alpha * (texture - image[box])

    def draw_lids(self, image: np.ndarray, face: np.ndarray, at: np.ndarray, *, closing: float) -> None:
        """The skin of a closing lid, in place.

        The lid is stretched from the little of it that an open eye shows: its rim, where the photo shows the eye, and
        the lashes above the eye become plain skin.

        ``face`` (N, N) bool is where the face's skin shows, ``closing`` how far the lids are closed, 0 to 1.
        """
        if closing <= 0.2:
            return
        box = _box_of(cv2.remap(self.lid_band, at[..., 0], at[..., 1], cv2.INTER_LINEAR), face)
        if box is None:
            return
        image, face, at = image[box], face[box], at[box]
        lid = sample(self.lid, at)
        band, rim = (cv2.remap(m, at[..., 0], at[..., 1], cv2.INTER_LINEAR) for m in (self.lid_band, self.opening))
        darker = 1 - image.sum(2) / (lid.sum(2) + 1e-3)
        plain = np.where(face, np.maximum(rim, band * np.clip((darker - 0.03) / 0.15, 0, 1)), 0)
        plain = cv2.GaussianBlur(plain, (0, 0), 0.024 * self.iod_px + 0.3)[..., None]
        image += min(1.0, 2 * (closing - 0.2)) * plain * (lid - image)

    def draw_lashes(self, image: np.ndarray, margins: list[np.ndarray], *, closing: float) -> None:
        """A line of lashes along upper lid margins, in place; a margin is four points (4, 2) px, corner to corner."""
        if closing <= 0.3:
            return
        line = np.zeros(image.shape[:2], np.float32)
        for margin in margins:
            x = np.linspace(margin[0, 0], margin[-1, 0], 25)
            curve = np.column_stack([x, np.polyval(np.polyfit(margin[:, 0], margin[:, 1], 3), x)])
            for a, b, weight in zip(curve[1:-2], curve[2:-1], np.sin(np.linspace(0.3, 2.84, 22)), strict=True):
                ends = (tuple(np.round(p * 16).astype(int).tolist()) for p in (a, b))
                cv2.line(line, *ends, float(weight), max(1, round(0.018 * self.iod_px)), cv2.LINE_8, 4)
        alpha = cv2.GaussianBlur(line, (0, 0), 0.003 * self.iod_px + 0.4)
        rows = np.flatnonzero(alpha.max(1) > 0)
        part = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0)
        strength = 0.9 * min(1.0, 2 * (closing - 0.3))
        image[part] += strength * alpha[part, :, None] * (0.6 * self.lash_colour - image[part])


def _box_of(weight: np.ndarray, where: np.ndarray) -> tuple[slice, slice] | None:
    """The rectangle that holds all weight > 0 at ``where``, None when there is none."""
    found = (weight > 0) & where
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    if not len(rows):
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def lid_skin(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photo with eyes and upper lashes replaced by the skin around them, and where that is, (N, N) in [0, 1]."""
    iod = np.linalg.norm(landmarks[45] - landmarks[36])
    opening = openings(image, landmarks) > 0.5
    up, around = max(2, round(0.045 * iod)), max(1, round(0.028 * iod))
    band = cv2.dilate(opening.astype(np.uint8), np.ones((2 * around + 1, 2 * around + 1), np.uint8))
    band = cv2.dilate(band, np.ones((up + 1, 1), np.uint8), anchor=(0, 0))  # grows upwards
    known = 1 - cv2.dilate(band, np.ones((3, 3), np.uint8)).astype(np.float32)
    soft = cv2.GaussianBlur(band.astype(np.float32), (0, 0), 0.008 * iod + 0.3)
    weight = known * np.maximum(image.mean(2), 0.02) ** 2  # hair and shadow say less
    skin, total = (cv2.GaussianBlur(each, (0, 0), _SKIN_SPREAD * iod) for each in (image * weight[..., None], weight))
    skin /= np.maximum(total, 1e-6)[..., None]
    inside = cv2.GaussianBlur(1 - known, (0, 0), 0.01 * iod)[..., None]
    plain = image + inside * (skin - image)
    return cv2.GaussianBlur(plain, (0, 0), 0.01 * iod).astype(np.float32), soft


def extended(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The photo (H, W, 3 float) with both eyes continued under their lids.

    The iris is completed by reflection about its centre, the white by its own colours, darker under the lids.
    """
    texture = image.copy()
    radius = _IRIS_RADIUS * np.linalg.norm(landmarks[45] - landmarks[36])
    for start in (36, 42):
        _extend_eye(texture, landmarks[start : start + 6], radius)
    return texture


def _extend_eye(texture: np.ndarray, outline: np.ndarray, radius: float) -> None:
    height, width = texture.shape[:2]
    pad = 2.2 * radius
    (x0, y0), (x1, y1) = np.floor(outline.min(0) - pad).astype(int), np.ceil(outline.max(0) + pad).astype(int)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    patch = texture[y0:y1, x0:x1]
    shape = np.round((outline - (x0, y0)) * 16).astype(np.int32)
    opening = cv2.fillPoly(np.zeros(patch.shape[:2], np.uint8), [shape], 1, shift=4)
    margin = max(1, round(0.16 * radius))
    seen = cv2.erode(opening, np.ones((2 * margin + 1, 1), np.uint8)).astype(bool)
    if seen.sum() < 12:
        return
    grid_y, grid_x = np.mgrid[: patch.shape[0], : patch.shape[1]].astype(np.float32)
    centre = _iris_centre(patch, seen, outline - (x0, y0), radius)
    from_centre = np.hypot(grid_x - centre[0], grid_y - centre[1])
    iris = from_centre < 1.08 * radius
    white = seen & ~iris
    # white: its own colours continued, darker towards the lids
    values, weight = patch * white[..., None], white.astype(np.float32)
    spread = max(2.0, radius)
    total = cv2.GaussianBlur(weight, (0, 0), spread)[..., None]
    mean = patch[white].mean(0) if white.sum() > 5 else np.array([0.75, 0.72, 0.70], np.float32)
    filled = (cv2.GaussianBlur(values, (0, 0), spread) + 0.02 * mean) / (total + 0.02)
    # iris: reflected about the horizontal through its centre, else its mean by radius
    mirrored = cv2.remap(
        patch, grid_x, 2 * np.float32(centre[1]) - grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mirror_seen = cv2.remap(seen.astype(np.float32), grid_x, 2 * np.float32(centre[1]) - grid_y, cv2.INTER_LINEAR)
    ring = np.clip(from_centre / radius, 0, 1.2)
    dark = patch[seen & iris].mean(0) if (seen & iris).sum() > 5 else mean * 0.3
    disc = np.where(mirror_seen[..., None] > 0.9, mirrored, dark)
    soft = np.clip((1.08 - ring) / 0.14, 0, 1)[..., None]
    beyond = filled * (1 - soft) + disc * soft
    keep = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), max(0.6, 0.12 * radius))
    keep = np.where(seen, np.clip(2 * keep - 0.6, 0, 1), 0)
    below = np.clip((grid_y - (outline - (x0, y0))[:, 1].mean()) / (0.25 * radius) + 0.5, 0, 1)
    keep = np.maximum(keep, below)[..., None]  # only the upper lid uncovers what the photo does not show
    texture[y0:y1, x0:x1] = patch * keep + beyond * (1 - keep)


def _iris_centre(patch: np.ndarray, seen: np.ndarray, outline: np.ndarray, radius: float) -> np.ndarray:
    """Centre of the darkest disc of the iris' size within the opening, near its middle."""
    darkness = np.where(seen, 1 - patch.max(2), 0).astype(np.float32)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(np.ceil(radius)) + 1,) * 2).astype(np.float32)
    score = cv2.filter2D(darkness, -1, disc / disc.sum(), borderType=cv2.BORDER_CONSTANT)
    middle = outline.mean(0)
    grid_y, grid_x = np.mgrid[: patch.shape[0], : patch.shape[1]]
    prior = ((grid_x - middle[0]) / (1.6 * radius)) ** 2 + ((grid_y - middle[1]) / (0.45 * radius)) ** 2
    y, x = np.unravel_index(np.argmax(score - 0.06 * prior), score.shape)
    return np.array([x, y], np.float64)


def openings(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(H, W) float32, 1 where the photo shows an eyeball or the wet rim of a lid."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for start in (36, 42):
        cv2.fillPoly(mask, [np.round(landmarks[start : start + 6] * 16).astype(np.int32)], 1, shift=4)
    grown = max(1, round(0.008 * np.linalg.norm(landmarks[45] - landmarks[36])))
    mask = cv2.dilate(mask, np.ones((2 * grown + 1, 2 * grown + 1), np.uint8)).astype(np.float32)
    return cv2.GaussianBlur(mask, (0, 0), 0.6 * grown)


def lash_colour(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(3,) colour of the dark line along the upper lids."""
    line = np.zeros(image.shape[:2], np.uint8)
    for start in (36, 42):
        points = np.round(landmarks[start : start + 4] * 16).astype(np.int32)
        cv2.polylines(line, [points], False, 1, max(1, image.shape[0] // 170), cv2.LINE_8, 4)
    values = image[line > 0]
    darkest = values[np.argsort(values.sum(1))[: max(1, len(values) // 3)]]
    return darkest.mean(0)


def closing(portrait: Portrait) -> dict[str, np.ndarray]:
    """For each eye the displacement (V, 3) that closes it exactly, whatever its opening in this photo.

    The model's ``eyeBlink`` gives the direction and reach; column by column it is scaled so that the lid margins
    meet near the lower lid.
    """
    head, fit = portrait.head, portrait.fit
    result = {}
    for side, upper, lower in (("L", (42, 43, 44, 45), (42, 47, 46, 45)), ("R", (39, 38, 37, 36), (39, 40, 41, 36))):
        unit = head.unit_index.get(f"eyeBlink_{side}")
        if unit is None:
            continue
        camera, move = portrait.vertices @ fit.rotation.T, head.unit_deltas[unit] @ fit.rotation.T
        upper_margin, lower_margin = (head.landmark_vertices[list(chain)] for chain in (upper, lower))
        x, y = camera[:, 0], camera[:, 1]
        columns = np.linspace(*sorted((x[upper_margin[0]], x[upper_margin[-1]])), 41)
        y_upper, y_lower = _along(columns, x, y, upper_margin), _along(columns, x, y, lower_margin)
        meet = y_lower + _LOWER_LID_SHARE * np.maximum(y_upper - y_lower, 0)
        down = np.minimum(_along(columns, x, move[:, 1], upper_margin), -0.05)
        up = np.maximum(_along(columns, x, move[:, 1], lower_margin), 0.03)
        factor_down, factor_up = (_inner(f) for f in ((meet - y_upper) * 1.04 / down, (meet - y_lower) / up))
        factor = np.where(move[:, 1] < 0, np.interp(x, columns, factor_down), np.interp(x, columns, factor_up))
        closed = move * factor[:, None]
        closed[:, 2] = move[:, 2]
        result[side] = (closed @ fit.rotation).astype(np.float32)
    return result


def _along(columns: np.ndarray, x: np.ndarray, values: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Values of four margin vertices as a smooth curve over columns."""
    return np.polyval(np.polyfit(x[margin], values[margin], 3), columns)


def _inner(factor: np.ndarray) -> np.ndarray:
    """Factors over an eye's width; towards the corners, where nothing opens, those of the inner part continue."""
    count = len(factor)
    edge = count // 5
    factor = np.clip(factor, 0, 3)
    factor[:edge], factor[-edge:] = factor[edge], factor[-edge - 1]
    return factor
