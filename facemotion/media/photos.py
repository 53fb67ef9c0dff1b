"""Photos from files: upright, in sRGB, 8 bits a channel, alpha apart; and pixels back to still pictures."""

import contextlib
import os
import stat
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from facemotion.errors import FacemotionError, ImageError, InputError, MissingFileError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MAX_PIXELS = 100_000_000
MAX_BYTES = 512 * 2**20
STDIN = "-"

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
    | {".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm"}
)
"""Suffixes by which photos are found in folders; a file named on the command line is judged by its content."""

_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM")
_ORIENTATION_TAG, _BITS_TAG = 0x0112, 0x0102
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_STRIP_PIXELS = 4_000_000
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
    first frame. Broken EXIF and broken profiles count as none. Files up to `MAX_BYTES`, photos up to `MAX_PIXELS`;
    beside the decoder's own picture (4 bytes a pixel) only the result is held. Raises InputError where there is no
    such file or it is no regular file, ImageError where it is no photo that can be used.
    """
    check_readable(path)
    if str(path) == STDIN:
        return photo_of(_decode(_stdin_bytes(), "standard input"), name="standard input")
    return photo_of(_decode(_file_bytes(Path(path)), str(path)), path=Path(path), name=str(path))


def photo_of(image: "Image.Image", *, path: Path | None = None, name: str = "the picture") -> Photo:
    """A Pillow picture as a photo, with the same care for EXIF, profile and depth; ImageError where it is broken."""
    with _decoder_errors(name):
        image.load()
        pixels, alpha = _upright_srgb(image)
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
    """Raises InputError where there is no such file or it is no regular one, before anything costly is loaded."""
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"A {type(path).__name__} is no path of a photo.", "Give the name of a file.")
    if str(path) == STDIN:
        return
    try:
        mode = os.stat(path).st_mode
    except PermissionError as error:
        raise _unreadable(path, error) from None
    except (OSError, ValueError):  # also a name that no file can have
        raise MissingFileError(f"No such file: {path}", "Check the name and the folder.") from None
    _check_regular(path, mode)


def _check_regular(path: str | Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder, not a photo.", "Name a photo.")
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{path} is not a regular file.", "Copy it to a file, or give - and send it to standard input."
        )


def _unreadable(path: str | Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {error.strerror or error}.", "Check the file's permissions.")


def _file_bytes(path: Path) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as stream:
            _check_regular(path, os.fstat(stream.fileno()).st_mode)  # it may be another file by now
            return _read_bounded(stream, str(path))
    except FacemotionError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None


def _stdin_bytes() -> bytes:
    if sys.stdin is None:
        raise InputError("Standard input is closed.", "Name a photo, or send one to standard input.")
    try:
        return _read_bounded(sys.stdin.buffer, "standard input")
    except (OSError, ValueError) as error:  # a folder, a write-only or a closed stream
        if isinstance(error, FacemotionError):
            raise
        raise InputError(f"Standard input cannot be read: {error}.", "Send a photo to it, or name one.") from None


def _read_bounded(stream: BinaryIO, name: str) -> bytes:
    """All of the stream, but not more than a photo may have, and nothing but its head where that is no photo's."""
    head = stream.read(4096) or b""
    if not head:
        raise ImageError(f"{name} is empty.", "Copy the photo again.")
    if not _begins_like_a_photo(head):
        raise ImageError(f"{name} is not an image.", "Give a JPEG, PNG, WebP, TIFF, BMP or HEIC photo.")
    data = BytesIO()
    data.write(head)
    while chunk := stream.read(2**20):
        data.write(chunk)
        if data.tell() > MAX_BYTES:
            raise ImageError(
                f"{name} has more than {MAX_BYTES // 2**20} MiB.", "Save it with compression or fewer pixels."
            )
    return data.getvalue()


def _begins_like_a_photo(head: bytes) -> bool:
    from PIL import Image

    if head[4:8] == b"ftyp":
        return bool(_brands(head) & (_AVIF_BRANDS | _HEIF_BRANDS))
    accepts = [Image.OPEN[name][1] for name in _available_formats()]
    return any(accept is None or accept(head[:16]) for accept in accepts)


def _decode(data: bytes, name: str) -> "Image.Image":
    """The picture, whole. Where decoding fails, once more without the metadata that may be to blame."""
    from facemotion.media.metadata import reduced

    if _brands(data) & _HEIF_BRANDS and not _brands(data) & _AVIF_BRANDS:  # Pillow reads AVIF itself
        _register_heif(name)
    try:
        return _decode_once(data, name)
    except ImageError as error:
        for rest in reduced(data):
            with contextlib.suppress(ImageError):
                return _decode_once(rest, name)
        raise error


def _decode_once(data: bytes, name: str) -> "Image.Image":
    with _decoder_errors(name):
        image = _open_header(data)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageError(
                f"{name} has {width}×{height} = {width * height / 1e6:.0f} megapixels.",
                f"Photos up to {MAX_PIXELS // 10**6} megapixels are taken; make it smaller first.",
            )
        image.load()
        return image


@contextlib.contextmanager
def _decoder_errors(name: str) -> Iterator[None]:
    """Says in our words that a picture cannot be decoded, whatever the decoder said."""
    from PIL import UnidentifiedImageError

    hint = "Copy or download the photo again."
    try:
        yield
    except FacemotionError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is truncated or damaged.", hint) from error
    except MemoryError as error:
        raise ImageError(f"There is not enough memory to decode {name}.", "Make it smaller first.") from error
    except Exception as error:  # over broken bytes decoders raise anything: struct.error, TypeError, KeyError …
        reason = "".join(letter for letter in str(error) if letter.isprintable()) or type(error).__name__
        raise ImageError(f"{name} is truncated or damaged ({reason[:200]}).", hint) from error


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


def _brands(data: bytes) -> set[bytes]:
    """The brands that an ISO media file claims; empty for other files."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), len(data))
    return {data[8:12]} | {data[start : start + 4] for start in range(16, end - 3, 4)}


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(f"{name} is a HEIC photo.", "Install the reader: pip install 'facemotion[heic]'") from None
    pillow_heif.register_heif_opener()


def _upright_srgb(image: "Image.Image") -> tuple["np.ndarray", "np.ndarray | None"]:
    """Pixels (H, W, 3) in sRGB and alpha (H, W), None where the picture is opaque; converted strip by strip."""
    import numpy as np
    from PIL import ImageCms

    from facemotion.media.colour import srgb_transform

    width, height = image.size
    orientation = _orientation(image)
    shape = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    pixels = np.empty((*shape, 3), np.uint8)
    alpha = np.empty(shape, np.uint8) if image.has_transparency_data else None
    white = _white(image)
    mode = "L" if white or image.mode in ("L", "LA", "1") else "CMYK" if image.mode == "CMYK" else "RGB"
    transform = srgb_transform(image.info.get("icc_profile"), mode)
    stored_pixels = _as_stored(pixels, orientation)
    stored_alpha = None if alpha is None else _as_stored(alpha, orientation)
    for rows, strip in _strips(image):
        if white:
            strip = _eight_bits(strip, white)
        if stored_alpha is not None:
            strip = strip.convert("RGBA")
            stored_alpha[rows] = strip.getchannel("A")
        if transform is not None:
            converted = ImageCms.applyTransform(strip.convert(transform.input_mode), transform)
            assert converted is not None  # None only where the picture itself is changed
            strip = converted
        stored_pixels[rows] = strip.convert("RGB")
    return pixels, None if alpha is None or alpha.min() == 255 else alpha


def _strips(image: "Image.Image") -> "Iterator[tuple[slice, Image.Image]]":
    """The picture in strips of a few megapixels, with the rows that they cover."""
    width, height = image.size
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        yield slice(top, bottom), image.crop((0, top, width, bottom))


def _orientation(image: "Image.Image") -> int:
    """By EXIF, 1 (upright) to 8; 1 where that says nothing or is broken."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
        return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    except Exception:  # broken EXIF is none; what its parser raises over it is as various as with pixels
        return 1


def _as_stored(upright: "np.ndarray", orientation: int) -> "np.ndarray":
    """A view of an upright picture (H, W, ...) in which the file's rows and columns lie as the file has them."""
    import numpy as np

    match orientation:
        case 2:
            return upright[:, ::-1]
        case 3:
            return upright[::-1, ::-1]
        case 4:
            return upright[::-1]
        case 5:
            return upright.swapaxes(0, 1)
        case 6:
            return np.rot90(upright, 1)
        case 7:
            return upright[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(upright, -1)
    return upright


def _white(image: "Image.Image") -> float | None:
    """The sample of grey deeper than 8 bits that stands for white; None for other pictures.

    The depth of the file decides, not its brightest pixel: a dark photo stays dark. Only where samples of 32 bits or
    floating ones leave it open is it the smallest usual white that no sample exceeds.
    """
    import numpy as np

    if image.mode != "F" and not image.mode.startswith("I"):
        return None
    bits = getattr(image, "tag_v2", {}).get(_BITS_TAG, (16,))[0]
    if image.mode.startswith("I;"):
        return 2.0**bits - 1 if bits in (12, 16) else 65535.0
    if image.mode == "I" and bits == 16 and image.format == "TIFF":
        return 32767.0  # signed
    samples = (np.asarray(strip, np.float64) for _, strip in _strips(image))
    brightest = max(float(part[np.isfinite(part)].max(initial=0)) for part in samples)
    usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0, 2.0**31 - 1)
    return next((white for white in usual if brightest <= white), brightest)


def _eight_bits(strip: "Image.Image", white: float) -> "Image.Image":
    import numpy as np
    from PIL import Image

    samples = np.nan_to_num(np.asarray(strip, np.float64) * (255 / white), nan=0.0)
    return Image.fromarray(np.rint(samples.clip(0, 255)).astype(np.uint8))
