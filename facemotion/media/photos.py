"""Photos from files: upright, in sRGB, 8 bits a channel, alpha apart; and pixels back to still pictures."""

import os
import sys
import threading
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.errors import ImageError, InputError, MissingFileError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MAX_PIXELS = 100_000_000
STDIN = "-"

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
    | {".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm"}
)
"""Suffixes by which photos are found in folders; a file named on the command line is judged by its content."""

_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_ORIENTATION_TAG = 0x0112
_OPEN_LOCK = threading.Lock()


def _renew_lock() -> None:
    """In a forked process a lock that another thread held would never be let go."""
    global _OPEN_LOCK
    _OPEN_LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class Photo:
    """A photo ready for use.

    ``pixels`` uint8 (H, W, 3) upright sRGB; ``alpha`` uint8 (H, W), None where the photo is opaque; ``path`` is
    None for standard input.
    """

    pixels: "np.ndarray"
    alpha: "np.ndarray | None" = None
    path: Path | None = None

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def stem(self) -> str:
        """The name that outputs are derived from."""
        return self.path.stem if self.path else "stdin"


def read_photo(path: str | Path) -> Photo:
    """Reads JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000, PPM, and HEIC with the ``heic`` extra; ``-`` is stdin.

    Turned upright by its EXIF, converted to sRGB by its colour profile, reduced to 8 bits; of an animation the
    first frame. Raises InputError where there is no such file, ImageError where it is no photo that can be used.
    """
    check_readable(path)
    from_stdin = str(path) == STDIN
    name = "standard input" if from_stdin else str(path)
    data = sys.stdin.buffer.read() if from_stdin else _file_bytes(Path(path))
    if not data:
        raise ImageError(f"{name} is empty.", "Copy the photo again.")
    return photo_of(_decode(data, name), path=None if from_stdin else Path(path))


def photo_of(image: "Image.Image", *, path: Path | None = None) -> Photo:
    """A Pillow picture as a photo, with the same care for EXIF, profile and depth."""
    pixels, alpha = _to_srgb(_eight_bits(_upright(image)))
    return Photo(pixels=pixels, alpha=alpha, path=path)


def check_pixels(array: object, *, shapes: tuple[tuple[int, ...], ...] = ((), (3,), (4,))) -> None:
    """Raises UsageError unless ``array`` is a picture for the Python API: uint8 (H, W) and one of ``shapes``."""
    import numpy as np

    wanted = " or ".join(f"(H, W{''.join(f', {side}' for side in shape)})" for shape in shapes)
    hint = f"Give a uint8 array of shape {wanted}; facemotion.read_photo makes one of a file (its .pixels)."
    if not isinstance(array, np.ndarray):
        raise UsageError(f"A {type(array).__name__} is no picture.", hint)
    if array.dtype != np.uint8 or array.ndim < 2 or array.shape[2:] not in shapes or array.size == 0:
        raise UsageError(f"An array of {array.dtype} {array.shape} is no picture.", hint)


def check_readable(path: str | Path) -> None:
    """Raises InputError where there is no such file, before anything costly is loaded."""
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"A {type(path).__name__} is no path of a photo.", "Give the name of a file.")
    if str(path) != STDIN and not os.path.exists(path):
        raise MissingFileError(f"No such file: {path}", "Check the name and the folder.")


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not a photo.", "Name a photo.") from None
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path} cannot be read: {reason}.", "Check the file's permissions.") from None


def _decode(data: bytes, name: str) -> "Image.Image":
    from PIL import Image, UnidentifiedImageError

    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        _register_heif(name)
    try:
        image = _open_header(data)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageError(
                f"{name} has {width}×{height} = {width * height / 1e6:.0f} megapixels.",
                f"Photos up to {MAX_PIXELS // 10**6} megapixels are taken; make it smaller first.",
            )
        image.load()
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not an image.", "Give a JPEG, PNG, WebP, TIFF, BMP or HEIC photo.") from None
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{name} is truncated or damaged ({error}).", "Copy or download the photo again.") from error
    return image


def _open_header(data: bytes) -> "Image.Image":
    """Reads the header only; the limit on pixels is ours, checked before anything is decoded."""
    from PIL import Image

    with _OPEN_LOCK:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(BytesIO(data), formats=_available_formats())
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _available_formats() -> list[str]:
    """Formats of photos only: Pillow would also run PostScript and the like."""
    from PIL import Image

    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(f"{name} is a HEIC photo.", "Install the reader: pip install 'facemotion[heic]'") from None
    pillow_heif.register_heif_opener()


def _upright(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    turn = turns.get(image.getexif().get(_ORIENTATION_TAG))
    if turn is None:
        return image
    upright = image.transpose(turn)
    upright.info = dict(image.info)
    return upright


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """16-bit and floating grey to 8 bits; Pillow has already done so for colour."""
    import numpy as np
    from PIL import Image

    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        values = np.nan_to_num(values) * (255 if values.max(initial=0) <= 1 else 1)
    elif values.max(initial=0) > 255:
        values = values / 257
    grey = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8), "L")
    grey.info = dict(image.info)
    return grey


def _to_srgb(image: "Image.Image") -> tuple["np.ndarray", "np.ndarray | None"]:
    """Pixels (H, W, 3) in sRGB and alpha (H, W), None where the picture is opaque."""
    import numpy as np

    has_alpha = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa")
    profile = image.info.get("icc_profile")
    alpha = None
    if has_alpha:
        grey = image.mode in ("L", "LA")
        image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A"))
        image = image.convert("L" if grey else "RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    pixels = np.array(_apply_profile(image, profile).convert("RGB"))
    return pixels, None if alpha is None or alpha.min() == 255 else alpha


def _apply_profile(image: "Image.Image", profile_bytes: bytes | None) -> "Image.Image":
    """Converts to sRGB by the embedded profile; without one, or with one that cannot be used, nothing changes."""
    from PIL import ImageCms

    if not profile_bytes:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(profile_bytes))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return image
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
