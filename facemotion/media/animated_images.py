"""Animated png, webp and gif, and folders of png frames, written frame by frame.

Pillow encodes the still pictures; the containers are put together here, because Pillow's own writers keep every frame
in memory until the end. From the second frame on only the rectangle that has changed is stored.
"""

import struct
import zlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from facemotion.media.palette import COLOURS, Palette
from facemotion.media.provenance import Mark

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from facemotion.media.video import ClipSpec, ClipWriter

Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1) px, the ends excluded."""


def open_writer(path: Path, name: str, spec: "ClipSpec") -> "ClipWriter":
    """The writer of one of the formats ``gif``, ``webp``, ``png`` and ``frames``."""
    if name == "frames":
        return FramesWriter(path, spec)
    if name == "png" and spec.frames == 1:
        return StillWriter(path, spec)
    return {"gif": GifWriter, "webp": WebpWriter, "png": ApngWriter}[name](path, spec)


def changed_box(before: "np.ndarray", frame: "np.ndarray", *, within: Box | None = None) -> Box:
    """The smallest rectangle with all pixels that differ, searched for ``within`` a part; at least one pixel."""
    import numpy as np

    x0, y0, x1, y1 = within or (0, 0, frame.shape[1], frame.shape[0])
    changed = (before[y0:y1, x0:x1] != frame[y0:y1, x0:x1]).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return x0 + int(columns[0]), y0 + int(rows[0]), x0 + int(columns[-1]) + 1, y0 + int(rows[-1]) + 1


def png_bytes(frame: "np.ndarray", mark: Mark | None) -> bytes:
    """A picture (H, W, 3 or 4) as a png file with the mark in its text."""
    from PIL import Image, PngImagePlugin

    text = None
    if mark:
        text = PngImagePlugin.PngInfo()
        text.add_text("Software", mark.software)
        text.add_text("Comment", mark.comment)
        text.add_itxt("XML:com.adobe.xmp", mark.xmp)
    buffer = BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", compress_level=3, pnginfo=text)
    return buffer.getvalue()


class FramesWriter:
    """A folder with frame-0000.png, frame-0001.png …; every one carries the mark."""

    def __init__(self, path: Path, spec: "ClipSpec"):
        self._folder, self._spec, self._count = path, spec, 0
        self._digits = max(4, len(str(spec.frames - 1)))
        path.mkdir()

    def write(self, frame: "np.ndarray") -> None:
        names = self._spec.names
        name = f"{names[self._count]}.png" if names else f"frame-{self._count:0{self._digits}d}.png"
        (self._folder / name).write_bytes(png_bytes(frame, self._spec.mark))
        self._count += 1

    def close(self) -> None:
        pass


class StillWriter:
    """One png, for a clip of a single frame."""

    def __init__(self, path: Path, spec: "ClipSpec"):
        self._path, self._mark = path, spec.mark

    def write(self, frame: "np.ndarray") -> None:
        self._path.write_bytes(png_bytes(frame, self._mark))

    def close(self) -> None:
        pass


class _FileWriter:
    """What the animated formats share: the open file, the frame before (kept, not copied), the clock."""

    def __init__(self, path: Path, spec: "ClipSpec"):
        self._file: BinaryIO = path.open("wb")
        self._spec = spec
        self._before: np.ndarray | None = None
        self._index = 0

    def _advance(self, frame: "np.ndarray") -> Box:
        box = (0, 0, *self._spec.size_px)
        if self._before is not None:
            box = changed_box(self._before, frame, within=self._spec.changing)
        self._before = frame
        self._index += 1
        return box

    def _duration(self, ticks_per_s: int) -> int:
        """How long the frame at hand is shown; rounding errors do not add up."""
        tick = Fraction(ticks_per_s) / Fraction(self._spec.fps).limit_denominator(1001)
        return max(1, round(tick * self._index) - round(tick * (self._index - 1)))

    def close(self) -> None:
        self._file.close()


class ApngWriter(_FileWriter):
    """Animated png (W3C PNG, third edition), exact in every pixel."""

    def __init__(self, path: Path, spec: "ClipSpec"):
        super().__init__(path, spec)
        self._sequence = 0
        self._delay = Fraction(1) / Fraction(spec.fps).limit_denominator(1001)

    def write(self, frame: "np.ndarray") -> None:
        first = self._before is None
        x0, y0, x1, y1 = self._advance(frame)
        encoded = list(_png_chunks(png_bytes(frame[y0:y1, x0:x1], self._spec.mark if first else None)))
        if first:
            self._file.write(b"\x89PNG\r\n\x1a\n")
            for kind, data in encoded:
                if kind not in (b"IDAT", b"IEND"):
                    self._chunk(kind, data)
            self._chunk(b"acTL", struct.pack(">II", self._spec.frames, self._spec.repeats))
        size_place = struct.pack(">IIII", x1 - x0, y1 - y0, x0, y0)
        delay = struct.pack(">HH", self._delay.numerator, self._delay.denominator)
        self._chunk(b"fcTL", self._number() + size_place + delay + b"\0\0")
        for kind, data in encoded:
            if kind == b"IDAT":
                self._chunk(b"IDAT" if first else b"fdAT", data if first else self._number() + data)

    def close(self) -> None:
        self._chunk(b"IEND", b"")
        super().close()

    def _number(self) -> bytes:
        self._sequence += 1
        return struct.pack(">I", self._sequence - 1)

    def _chunk(self, kind: bytes, data: bytes) -> None:
        checksum = zlib.crc32(data, zlib.crc32(kind))
        self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))


class WebpWriter(_FileWriter):
    """Animated webp (Google's WebP container specification), lossy colour at high quality, exact alpha."""

    _QUALITY = 90

    def __init__(self, path: Path, spec: "ClipSpec"):
        super().__init__(path, spec)
        width, height = spec.size_px
        flags = 0x02 | (0x10 if spec.alpha else 0) | (0x04 if spec.mark else 0)
        header = struct.pack("<I", flags) + _uint24(width - 1) + _uint24(height - 1)
        self._file.write(b"RIFF\0\0\0\0WEBP")
        self._chunk(b"VP8X", header)
        self._chunk(b"ANIM", struct.pack("<IH", 0, spec.repeats))

    def write(self, frame: "np.ndarray") -> None:
        from PIL import Image

        x0, y0, x1, y1 = self._advance(frame)
        x0, y0 = x0 - x0 % 2, y0 - y0 % 2  # the container counts places in steps of two
        buffer = BytesIO()
        Image.fromarray(frame[y0:y1, x0:x1]).save(buffer, "WEBP", quality=self._QUALITY, method=2, exact=True)
        picture = b"".join(_webp_picture_chunks(buffer.getvalue()))
        place = _uint24(x0 // 2) + _uint24(y0 // 2) + _uint24(x1 - x0 - 1) + _uint24(y1 - y0 - 1)
        overwrite_not_blend = b"\x02"
        self._chunk(b"ANMF", place + _uint24(self._duration(1000)) + overwrite_not_blend + picture)

    def close(self) -> None:
        if self._spec.mark:
            self._chunk(b"XMP ", self._spec.mark.xmp.encode())
        size = self._file.tell() - 8
        self._file.seek(4)
        self._file.write(struct.pack("<I", size))
        super().close()

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))


class GifWriter(_FileWriter):
    """Gif89a: one palette for the whole clip; pixels that do not change are stored as transparent."""

    _TRANSPARENT = COLOURS

    def __init__(self, path: Path, spec: "ClipSpec"):
        super().__init__(path, spec)
        self._palette: Palette | None = None

    def write(self, frame: "np.ndarray") -> None:
        from PIL import Image

        before = self._before
        if self._palette is None:
            self._palette = Palette([*self._spec.samples, frame])
            self._write_header(self._palette)
        x0, y0, x1, y1 = self._advance(frame)
        part = frame[y0:y1, x0:x1]
        indexes = self._palette.indexes(part[:, :, :3], corner=(x0, y0))
        if before is not None:
            indexes[(before[y0:y1, x0:x1] == part).all(axis=2)] = self._TRANSPARENT
        if frame.shape[2] == 4:
            indexes[part[:, :, 3] < 128] = self._TRANSPARENT
        keep_with_transparency = b"\x05"
        delay = struct.pack("<H", self._duration(100))
        self._file.write(b"\x21\xf9\x04" + keep_with_transparency + delay + bytes([self._TRANSPARENT]) + b"\0")
        self._file.write(_gif_picture(Image.fromarray(indexes), x0, y0))

    def close(self) -> None:
        self._file.write(b"\x3b")
        super().close()

    def _write_header(self, palette: Palette) -> None:
        self._file.write(b"GIF89a" + struct.pack("<HH", *self._spec.size_px) + b"\xf7\0\0")
        self._file.write(palette.colours.tobytes() + b"\0\0\0")
        self._file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", self._spec.repeats) + b"\0")
        if self._spec.mark:
            self._file.write(b"\x21\xfe" + _gif_blocks(self._spec.mark.comment.encode("ascii", "replace")))
            xmp_trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
            self._file.write(b"\x21\xff\x0bXMP DataXMP" + self._spec.mark.xmp.encode() + xmp_trailer)


def _png_chunks(data: bytes):
    position = 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def _webp_picture_chunks(data: bytes):
    """The chunks of a still webp that hold pixels, with their headers and padding."""
    position = 12
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        end = position + 8 + length + length % 2
        if data[position : position + 4] in (b"VP8 ", b"VP8L", b"ALPH"):
            yield data[position:end]
        position = end


def _uint24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def _gif_picture(indexes: "Image.Image", x0: int, y0: int) -> bytes:
    """Image descriptor and LZW data of palette indexes; the palette is the file's."""
    from PIL import GifImagePlugin

    return b"".join(GifImagePlugin.getdata(indexes, offset=(x0, y0)))


def _gif_blocks(data: bytes) -> bytes:
    parts = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
