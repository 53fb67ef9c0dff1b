"""Pictures without a face: real ones where there are some, cut-up portraits, and patterns drawn by chance."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from facemotion.errors import InputError
from facemotion.train_finder.photos import Photo

# scikit-image ships these without a face on them
TRAINING_PICTURES = (
    "brick.png", "clock_motion.png", "coins.png", "grass.png", "hubble_deep_field.jpg", "ihc.png", "moon.png",
    "motorcycle_left.png", "motorcycle_right.png", "retina.jpg", "color.png", "phantom.png", "logo.png",
)  # fmt: skip
VALIDATION_PICTURES = (
    "coffee.png", "chelsea.png", "horse.png", "rocket.jpg", "gravel.png", "text.png", "cell.png", "microaneurysms.png"
)  # fmt: skip


def bundled_pictures(names: Sequence[str]) -> list[np.ndarray]:
    """Pictures (uint8 RGB) that scikit-image ships."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB) for name in names]


def pictures_in(folder: Path) -> list[np.ndarray]:
    """Every picture (uint8 RGB, at most 1000 px) below a folder. Raises InputError where there is none."""
    pictures = []
    for path in sorted(folder.rglob("*")):
        picture = cv2.imread(str(path)) if path.is_file() else None
        if picture is not None and min(picture.shape[:2]) >= 32:
            scale = min(1.0, 1000 / max(picture.shape[:2]))
            small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            pictures.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    if not pictures:
        raise InputError(f"No picture in {folder}.", "Give a folder of pictures without faces.")
    return pictures


class Faceless:
    """Draws square pictures without a face.

    pictures: real pictures without faces. photos: portraits, of which it shows what lies beside the face, the face
    shuffled, or the head without its face.
    """

    def __init__(self, pictures: Sequence[np.ndarray], photos: Sequence[Photo]):
        self.pictures, self.photos = pictures, photos

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """A picture (size, size, 3) uint8."""
        chance = rng.random()
        if chance < 0.30 and self.pictures:
            return self._piece(self.pictures[rng.integers(len(self.pictures))], size, rng)
        if chance < 0.75:
            return self._portrait_without_face(size, rng)
        return draw_pattern(size, rng)

    @staticmethod
    def _piece(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        height, width = picture.shape[:2]
        side = int(np.exp(rng.uniform(np.log(min(size / 3, height, width)), np.log(min(height, width)))))
        x, y = rng.integers(width - side + 1), rng.integers(height - side + 1)
        piece = picture[y : y + side, x : x + side]
        piece = cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
        return np.rot90(piece, rng.integers(4)) if rng.random() < 0.3 else piece

    def _portrait_without_face(self, size: int, rng: np.random.Generator) -> np.ndarray:
        photo = self.photos[rng.integers(len(self.photos))]
        low, high = photo.landmarks.min(0), photo.landmarks.max(0)
        face_px = float((high - low).max())
        height, width = photo.image.shape[:2]
        kind = rng.random()
        if kind < 0.55:  # beside the face: hair, neck, clothes, hands, background, statues, dogs
            side = np.exp(rng.uniform(np.log(0.35), np.log(1.4))) * face_px
            for _ in range(12):
                corner = rng.uniform([0, 0], np.maximum([width - side, height - side], 1))
                apart = (corner > high + 0.04 * face_px) | (corner + side < low - np.array([0.04, 0.3]) * face_px)
                if apart.any():
                    scale = size / side
                    x, y = -corner * scale
                    return photo.warp(np.array([[scale, 0, x], [0, scale, y]]), (size, size))
            return draw_pattern(size, rng)
        # the face at the detector's sizes, spoiled
        scale = rng.uniform(20, 60) / face_px
        centre = rng.uniform(0.3, 0.7, 2) * size
        middle = (low + high) / 2
        transform = np.array([[scale, 0, centre[0] - scale * middle[0]], [0, scale, centre[1] - scale * middle[1]]])
        picture = photo.warp(transform, (size, size))
        x0, y0 = np.clip((low - [0.06 * face_px, 0.22 * face_px]) * scale + transform[:, 2], 0, size - 6).astype(int)
        x1, y1 = np.clip((high + 0.04 * face_px) * scale + transform[:, 2] + 1, [x0 + 6, y0 + 6], size).astype(int)
        face = picture[y0:y1, x0:x1].copy()
        if kind < 0.8:  # rows and columns of tiles in another order
            rows, columns = rng.permutation(3), rng.permutation(3)
            if (rows == np.arange(3)).all():
                rows = rows[::-1]
            tiles = [np.array_split(row, 3, axis=1) for row in np.array_split(face, 3, axis=0)]
            shuffled = np.vstack([
                np.hstack([cv2.resize(tiles[r][c], (16, 16)) for c in (columns if rng.random() < 0.5 else range(3))])
                for r in rows
            ])  # fmt: skip
            picture[y0:y1, x0:x1] = cv2.resize(shuffled, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        else:  # bare skin: the face's colours without its features
            bare = cv2.resize(cv2.resize(face, (2, 2), interpolation=cv2.INTER_AREA), (x1 - x0, y1 - y0))
            picture[y0:y1, x0:x1] = bare
        return picture


def draw_pattern(size: int, rng: np.random.Generator) -> np.ndarray:
    """Clouds, stripes, checks, or shapes and letters on a ground, (size, size, 3) uint8."""
    colours = rng.integers(0, 256, (2, 3)).astype(np.float32)
    if rng.random() < 0.35:  # skin, from pale to dark
        colours[0] = np.array([225, 175, 145]) * rng.uniform(0.25, 1.1) * np.exp(rng.normal(0, 0.06, 3))
    kind = rng.integers(5)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    if kind == 0:  # clouds
        share = sum(
            cv2.resize(rng.random((2**k + 1, 2**k + 1), dtype=np.float32), (size, size)) / 2**k
            for k in range(int(rng.integers(1, 3)), int(rng.integers(4, 7)))
        )
        share = (share - share.min()) / max(float(np.ptp(share)), 1e-6)
    elif kind == 1:  # stripes and checks
        angle, count = rng.uniform(0, np.pi), rng.uniform(2, 30)
        share = np.sin((x * np.cos(angle) + y * np.sin(angle)) * count * 6.3)
        if rng.random() < 0.5:
            share = share * np.sin((y * np.cos(angle) - x * np.sin(angle)) * count * 6.3)
        share = np.clip(share * rng.uniform(0.5, 8) + 0.5, 0, 1)
    elif kind == 2:
        share = np.full((size, size), rng.random(), np.float32)
    else:
        share = (x * rng.normal() + y * rng.normal()) % 1
    picture = colours[0] * share[..., None] + colours[1] * (1 - share[..., None])
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if kind >= 2:
        for _ in range(int(rng.integers(1, 14))):
            _draw_shape(picture, rng)
    return picture


def _draw_shape(picture: np.ndarray, rng: np.random.Generator) -> None:
    size = len(picture)
    colour = [int(c) for c in rng.integers(0, 256, 3)]
    at = [int(c) for c in rng.integers(0, size, 2)]
    thickness = -1 if rng.random() < 0.6 else int(rng.integers(1, 4))
    shape = rng.integers(4)
    if shape == 0:
        axes = [int(c) for c in rng.integers(2, max(size // 3, 4), 2)]
        cv2.ellipse(picture, at, axes, float(rng.uniform(0, 180)), 0, 360, colour, thickness, cv2.LINE_AA)
    elif shape == 1:
        cv2.rectangle(picture, at, [int(c) for c in rng.integers(0, size, 2)], colour, thickness)
    elif shape == 2:
        letters = "".join(chr(c) for c in rng.integers(33, 127, int(rng.integers(1, 9))))
        cv2.putText(picture, letters, at, int(rng.integers(8)), float(rng.uniform(0.3, 2)), colour, 1 + (thickness > 2))
    else:
        corners = rng.integers(0, size, (int(rng.integers(3, 6)), 1, 2)).astype(np.int32)
        cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA)
