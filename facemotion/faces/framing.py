"""What of the photo goes into the clip, and at which size: all of it or the face alone, as it is or resized."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facemotion.media.photos import Photo

if TYPE_CHECKING:
    import numpy as np

Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1) px, the ends excluded."""


@dataclass(frozen=True)
class Framing:
    """The picture that is animated: ``photo`` with the landmarks (68, 2) of its faces in its own pixels.

    ``box`` says where in the whole photo it lies, so that a crop can be put back.
    """

    photo: Photo
    landmarks: "list[np.ndarray]"
    box: Box
    scale: tuple[float, float] = (1.0, 1.0)
    """Pixels of ``photo`` per pixel of the whole photo, across and down."""

    def placed(self, points: "np.ndarray") -> "np.ndarray":
        """Points (n, 2) px of the whole photo, in px of ``photo``."""
        import numpy as np

        return (np.asarray(points, np.float64) - self.box[:2] + 0.5) * self.scale - 0.5


def frame_photo(photo: Photo, landmarks: "Sequence[np.ndarray]", *, crop: bool, size: int | None) -> Framing:
    """Cuts out the faces' surroundings where ``crop`` is asked for, then resizes to ``size`` px on the longer side.

    The cut has even sides and the photo's own pixels; only ``size`` resamples.
    """
    import numpy as np

    width, height = photo.size_px
    box = crop_box(landmarks, (width, height)) if crop else (0, 0, width, height)
    x0, y0, x1, y1 = box
    part = replace(
        photo,
        pixels=np.ascontiguousarray(photo.pixels[y0:y1, x0:x1]),
        alpha=None if photo.alpha is None else np.ascontiguousarray(photo.alpha[y0:y1, x0:x1]),
    )
    longer = max(part.size_px)
    if size is None or size == longer:
        return Framing(part, [np.asarray(points, np.float64) - (x0, y0) for points in landmarks], box)
    new_width, new_height = (max(1, round(side * size / longer)) for side in part.size_px)
    new_size = new_width, new_height
    scale = new_width / part.size_px[0], new_height / part.size_px[1]
    resized = replace(
        part,
        pixels=_resize(part.pixels, new_size),
        alpha=None if part.alpha is None else _resize(part.alpha, new_size),
    )
    framing = Framing(resized, [], box, scale)
    return replace(framing, landmarks=[framing.placed(points) for points in landmarks])


def crop_box(landmarks: "Sequence[np.ndarray]", size_px: tuple[int, int]) -> Box:
    """The upright rectangle around the squares that the generator sees of the faces, within the photo."""
    from facemotion.faces.geometry import photo_to_crop, square_in_photo

    shape = (size_px[1], size_px[0])
    boxes = [square_in_photo(photo_to_crop(points, 256), 256, shape) for points in landmarks]
    x0, y0 = (min(box[side] for box in boxes) for side in (0, 1))
    x1, y1 = (max(box[side] for box in boxes) for side in (2, 3))
    return x0, y0, x1 - (x1 - x0) % 2 if x1 - x0 > 1 else x1, y1 - (y1 - y0) % 2 if y1 - y0 > 1 else y1


def flattened(photo: Photo) -> Photo:
    """The photo on white, for formats without transparency."""
    import numpy as np

    if photo.alpha is None:
        return photo
    alpha = photo.alpha[:, :, None].astype(np.uint16)
    pixels = (photo.pixels * alpha + 255 * (255 - alpha) + 127) // 255
    return replace(photo, pixels=pixels.astype(np.uint8), alpha=None)


def _resize(pixels: "np.ndarray", size_px: tuple[int, int]) -> "np.ndarray":
    import numpy as np
    from PIL import Image

    return np.array(Image.fromarray(pixels).resize(size_px, Image.Resampling.LANCZOS, reducing_gap=3))
