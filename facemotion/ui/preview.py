"""A photo under the user's hands: its faces, and any frame of any clip of it, small enough to be live.

Nothing here is asynchronous: all of it runs in the worker's thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.animation import Animation, Cast, seed_of
from facemotion.errors import FacemotionError, NoFaceError
from facemotion.expressions.blends import builtin_recipes
from facemotion.expressions.recipes import NEUTRAL, PHOTO
from facemotion.faces.framing import crop_box, flattened
from facemotion.media.photos import Photo, read_photo
from facemotion.settings import AnimateSettings

if TYPE_CHECKING:
    import numpy as np

    from facemotion.faces.types import Face

LIVE_PX = 384
"""Longer side of the moving preview."""
SHARP_PX = 800
"""Of the still that takes its place where nothing moves, and of the photo to compare with."""
_TILE_PX, _FACE_PX = 144, 112
_QUALITY = 90
_SHOWN_PX = 1280
"""Longer side of the whole photo as the page shows it."""


@dataclass(frozen=True)
class Look:
    """One frame: a JPEG, and the strength of every unit in it."""

    jpeg: bytes
    units: tuple[float, ...]


class Preview:
    """One photo, its faces found, ready to show.

    ``found`` its faces, largest first; ``faces_jpeg`` their pictures; ``photo_jpeg`` the whole photo, and
    ``original_jpeg`` the part of it in which the frames lie, at the size of the sharp ones; ``notes`` lines of advice.
    """

    def __init__(self, path: Path, *, name: str):
        """``name`` is the user's own for the file, for messages. Raises ImageError, NoFaceError."""
        from facemotion.faces.find import find_faces

        self.path, self.name = path, name
        self.notes: list[str] = []
        photo = self._read()
        self.size_px = photo.size_px
        self.alpha = photo.alpha is not None
        seen = flattened(photo)
        self.found: list[Face] = find_faces(seen.pixels, on_note=self.notes.append)
        if not self.found:
            raise NoFaceError(f"No face found in {name}.", "Try a photo with a larger, less turned face.")
        self.faces_jpeg = [_jpeg(_cut(seen, face, _FACE_PX)) for face in self.found]
        self._seed = seed_of(seen)
        self._chosen = ("largest", self._seed)
        self._cast: Cast
        self._sharp_cast: Cast | None
        self.original_jpeg: bytes
        self._show(seen, self._chosen)
        self.photo_jpeg = _jpeg(_fitted(seen.pixels, _SHOWN_PX))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Where in the photo the frames lie, (x0, y0, x1, y1) px."""
        return self._cast.framing.box

    def with_seed(self, settings: AnimateSettings) -> AnimateSettings:
        """Settings of the clip that is seen: with its alpha, a photo has another seed than without."""
        return replace(settings, seed=self._seed) if self.alpha and settings.seed is None else settings

    def choose(self, face: str, seed: int | None) -> bool:
        """Show this face, or all, with the performance of that seed; whether that is anything new.

        Raises NoFaceError for a face that there is not.
        """
        wanted = (face, self._seed if seed is None else seed)
        if wanted == self._chosen:
            return False
        self._show(flattened(self._read()), wanted)
        self._chosen = wanted
        return True

    def face_notes(self) -> list[str]:
        """Advice about the faces that are shown."""
        from facemotion.faces.warnings import face_warnings

        cast = self._cast
        width, height = self.size_px
        return [
            line
            for face, occlusion in zip(cast.faces, cast.occlusions, strict=True)
            for line in face_warnings(face, (height, width), occlusion)
        ]

    def still(self, settings: AnimateSettings) -> Look:
        """The only frame of a clip of one."""
        clip = self.clip(settings)
        return Look(self.frame(clip, 0), tuple(round(float(unit), 3) for unit in clip.performances[0].units[0]))

    def sharp_still(self, settings: AnimateSettings) -> bytes | None:
        """The same frame at `SHARP_PX`; None where the photo has no more to show."""
        x0, y0, x1, y1 = self.box
        if max(x1 - x0, y1 - y0) <= LIVE_PX:
            return None
        if self._sharp_cast is None:
            self._sharp_cast = self._cast_of(flattened(self._read()), self._chosen, size=SHARP_PX)
        return _jpeg(Animation(self._sharp_cast, settings.script()).frame(0))

    def clip(self, settings: AnimateSettings) -> Animation:
        """A clip whose frames may be asked for one by one."""
        return Animation(self._cast, settings.script())

    def frame(self, clip: Animation, number: int) -> bytes:
        """One of its frames as JPEG."""
        return _jpeg(clip.frame(number))

    def tile(self, expression: str) -> bytes:
        """The first face at the peak of an expression, small."""
        settings = AnimateSettings(expression=expression, frames=1)
        cast = self._cast
        frame = Animation(cast, settings.script()).frame(0)
        x0, y0, x1, y1 = crop_box(cast.framing.landmarks[:1], cast.framing.photo.size_px)
        return _jpeg(_fitted(frame[y0:y1, x0:x1], _TILE_PX))

    def _show(self, photo: Photo, choice: tuple[str, int]) -> None:
        self._cast = self._cast_of(photo, choice)
        self._sharp_cast = None  # made when it is needed
        x0, y0, x1, y1 = self.box
        self.original_jpeg = _jpeg(_fitted(photo.pixels[y0:y1, x0:x1], SHARP_PX))

    def _cast_of(self, photo: Photo, choice: tuple[str, int], *, size: int = LIVE_PX) -> Cast:
        from facemotion.faces.selection import choose_faces

        face, seed = choice
        chosen = choose_faces(self.found, face, name=self.name)
        x0, y0, x1, y1 = crop_box([each.landmarks for each in chosen], photo.size_px)
        return Cast(photo, chosen, crop=True, size=min(size, max(x1 - x0, y1 - y0)), seed=seed)

    def _read(self) -> Photo:
        try:
            return read_photo(self.path)
        except FacemotionError as error:
            raise type(error)(error.message.replace(str(self.path), self.name), error.hint) from error


TILES = (PHOTO, NEUTRAL, *builtin_recipes().names)
"""What the page has a picture of, in its order."""


def _cut(photo: Photo, face: Face, side_px: int) -> np.ndarray:
    x0, y0, x1, y1 = crop_box([face.landmarks], photo.size_px)
    return _fitted(photo.pixels[y0:y1, x0:x1], side_px)


def _fitted(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Shrunk to a longer side; never enlarged."""
    import cv2

    height, width = pixels.shape[:2]
    ratio = side_px / max(height, width)
    if ratio >= 1:
        return pixels
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _jpeg(pixels: np.ndarray) -> bytes:
    from PIL import Image

    data = BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()
