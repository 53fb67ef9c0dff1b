"""Animated png, webp and gif, and folders of png frames, written frame by frame.

Pillow encodes the still pictures; the containers are put together here. Pillow's own writers keep every frame in memory
until the end; why not FFmpeg's is said at each class. From the second frame on only the rectangle that has changed is
stored. Frames that browsers would slow down are left out, see `schedule`.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from facemotion.media.palette import COLOURS, Palette
from facemotion.media.provenance import Mark
from facemotion.media.schedule import TICKS_PER_S, schedule

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from facemotion.media.formats import ClipSpec, ClipWriter

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
    x0, y0, x1, y1 = within or (0, 0, frame.shape[1], frame.shape[0])
    changed = (before[y0:y1, x0:x1] != frame[y0:y1, x0:x1]).any(axis=2)
    if not changed.any():
        return 0, 0, 1, 1
    left, top, right, bottom = _box_of(changed)
    return x0 + left, y0 + top, x0 + right, y0 + bottom


def _box_of(mask: "np.ndarray") -> Box:
    """The smallest rectangle with all that is true, which must be something."""
    import numpy as np

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


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

    _FORMAT: str

    def __init__(self, path: Path, spec: "ClipSpec"):
        self._spec = spec
        self._before: np.ndarray | None = None
        self._ticks = schedule(spec.frames, fps=spec.fps, ticks_per_s=TICKS_PER_S[self._FORMAT])
        self._index = -1
        self._file: BinaryIO = path.open("wb")

    def write(self, frame: "np.ndarray") -> None:
        self._index += 1
        if self._index in self._ticks:
            self._write_shown(frame, self._ticks[self._index])

    def close(self) -> None:
        try:
            self._finish()
        finally:  # also where the disk is full
            self._file.close()

    def _write_shown(self, frame: "np.ndarray", ticks: int) -> None:
        """Stores a frame that is shown for so long."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Writes what comes after the last frame."""
        raise NotImplementedError

    def _changed(self, frame: "np.ndarray") -> Box:
        """What differs from the frame before, which then is this one; all of the first frame."""
        box: tuple[int, int, int, int] = (0, 0, *self._spec.size_px)
        if self._before is not None:
            box = changed_box(self._before, frame, within=self._spec.changing)
        self._before = frame
        return box


class ApngWriter(_FileWriter):
    """Animated png (W3C PNG, third edition), exact in every pixel.

    Every frame overwrites its rectangle. FFmpeg's encoder gives files that are 0 to 15 % smaller, but where there is
    transparency it blends frames over earlier ones and takes them back, which Pillow shows wrong by one level; it has
    no place for the mark either.
    """

    _FORMAT = "png"

    def __init__(self, path: Path, spec: "ClipSpec"):
        super().__init__(path, spec)
        self._sequence = 0

    def _write_shown(self, frame: "np.ndarray", ticks: int) -> None:
        first = self._before is None
        x0, y0, x1, y1 = self._changed(frame)
        encoded = list(_png_chunks(png_bytes(frame[y0:y1, x0:x1], self._spec.mark if first else None)))
        if first:
            self._file.write(b"\x89PNG\r\n\x1a\n")
            for kind, data in encoded:
                if kind not in (b"IDAT", b"IEND"):
                    self._chunk(kind, data)
            self._chunk(b"acTL", struct.pack(">II", len(self._ticks), self._spec.repeats))
        size_place = struct.pack(">IIII", x1 - x0, y1 - y0, x0, y0)
        delay = struct.pack(">HH", ticks, TICKS_PER_S[self._FORMAT])
        self._chunk(b"fcTL", self._number() + size_place + delay + b"\0\0")
        for kind, data in encoded:
            if kind == b"IDAT":
                self._chunk(b"IDAT" if first else b"fdAT", data if first else self._number() + data)

    def _finish(self) -> None:
        self._chunk(b"IEND", b"")

    def _number(self) -> bytes:
        self._sequence += 1
        return struct.pack(">I", self._sequence - 1)

    def _chunk(self, kind: bytes, data: bytes) -> None:
        checksum = zlib.crc32(data, zlib.crc32(kind))
        self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))


class WebpWriter(_FileWriter):
    """Animated webp (Google's WebP container specification), lossy colour at high quality, exact alpha.

    libwebp's own animation encoder, which is that of FFmpeg and Pillow, too, leaves out frames that differ little from
    the one before: of a hundred frames of closed-smile:0.3 it stored 48. Here every frame is stored.
    """

    _FORMAT = "webp"
    _QUALITY = 90

    def __init__(self, path: Path, spec: "ClipSpec"):
        super().__init__(path, spec)
        width, height = spec.size_px
        flags = 0x02 | (0x10 if spec.alpha else 0) | (0x04 if spec.mark else 0)
        header = struct.pack("<I", flags) + _uint24(width - 1) + _uint24(height - 1)
        self._file.write(b"RIFF\0\0\0\0WEBP")
        self._chunk(b"VP8X", header)
        self._chunk(b"ANIM", struct.pack("<IH", 0, spec.repeats))

    def _write_shown(self, frame: "np.ndarray", ticks: int) -> None:
        from PIL import Image

        x0, y0, x1, y1 = self._changed(frame)
        x0, y0 = x0 - x0 % 2, y0 - y0 % 2  # the container counts places in steps of two
        buffer = BytesIO()
        Image.fromarray(frame[y0:y1, x0:x1]).save(buffer, "WEBP", quality=self._QUALITY, method=2, exact=True)
        picture = b"".join(_webp_picture_chunks(buffer.getvalue()))
        place = _uint24(x0 // 2) + _uint24(y0 // 2) + _uint24(x1 - x0 - 1) + _uint24(y1 - y0 - 1)
        overwrite_not_blend = b"\x02"
        self._chunk(b"ANMF", place + _uint24(ticks) + overwrite_not_blend + picture)

    def _finish(self) -> None:
        if self._spec.mark:
            self._chunk(b"XMP ", self._spec.mark.xmp.encode())
        size = self._file.tell() - 8
        self._file.seek(4)
        self._file.write(struct.pack("<I", size))

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))


@dataclass
class _Pending:
    """A gif's frame that waits for the next one, which decides its disposal.

    ``before``: the frame shown until then, None for none; ``cleared``: the part of it that has been taken away.
    """

    frame: "np.ndarray"
    ticks: int
    before: "np.ndarray | None"
    cleared: Box | None


class GifWriter(_FileWriter):
    """Gif89a: one palette for the whole clip; pixels that do not change are stored as transparent.

    A pixel that has been painted becomes transparent again only where its frame is disposed of, which clears the whole
    rectangle of that frame: where the next frame takes pixels away, the rectangle is made to hold them.
    """

    _FORMAT = "gif"
    _TRANSPARENT = COLOURS
    _KEEP, _CLEAR = 1, 2  # disposal methods

    def __init__(self, path: Path, spec: "ClipSpec"):
        super().__init__(path, spec)
        self._palette: Palette | None = None
        self._pending: _Pending | None = None

    def _write_shown(self, frame: "np.ndarray", ticks: int) -> None:
        if self._palette is None:
            self._palette = Palette([*self._spec.samples, frame])
            self._write_header(self._palette)
        cleared = self._write_pending(self._palette, following=frame)
        before = self._pending.frame if self._pending else None
        self._pending = _Pending(frame, ticks, before, cleared)

    def _write_pending(self, palette: Palette, *, following: "np.ndarray | None") -> Box | None:
        """Stores the frame that waits; the rectangle that is cleared before the frame that follows, None for none."""
        from PIL import Image

        pending = self._pending
        if pending is None:
            return None
        vanishing = None if following is None else self._vanishing(pending.frame, following)
        box: tuple[int, int, int, int] = (0, 0, *self._spec.size_px)
        if pending.before is not None:
            box = changed_box(pending.before, pending.frame, within=self._spec.changing)
            for other in filter(None, (pending.cleared, vanishing)):
                (left, top), (right, bottom) = map(min, box[:2], other[:2]), map(max, box[2:], other[2:])
                box = (left, top, right, bottom)
        x0, y0, x1, y1 = box
        part = pending.frame[y0:y1, x0:x1]
        indexes = palette.indexes(part[:, :, :3], corner=(x0, y0))
        if pending.before is not None:
            same = (pending.before[y0:y1, x0:x1] == part).all(axis=2)
            if pending.cleared is not None:
                left, top, right, bottom = pending.cleared
                same[top - y0 : bottom - y0, left - x0 : right - x0] = False
            indexes[same] = self._TRANSPARENT
        if part.shape[2] == 4:
            indexes[~_opaque(part)] = self._TRANSPARENT
        disposal = self._KEEP if vanishing is None else self._CLEAR
        flags = bytes([disposal << 2 | 1])  # 1: there is a transparent colour
        delay = struct.pack("<H", pending.ticks)
        self._file.write(b"\x21\xf9\x04" + flags + delay + bytes([self._TRANSPARENT]) + b"\0")
        self._file.write(_gif_picture(Image.fromarray(indexes), x0, y0))
        return None if vanishing is None else box

    def _vanishing(self, frame: "np.ndarray", following: "np.ndarray") -> Box | None:
        """The smallest rectangle with all pixels that are opaque and will be transparent."""
        if frame.shape[2] == 3:
            return None
        x0, y0, x1, y1 = self._spec.changing or (0, 0, *self._spec.size_px)
        gone = _opaque(frame[y0:y1, x0:x1]) & ~_opaque(following[y0:y1, x0:x1])
        if not gone.any():
            return None
        left, top, right, bottom = _box_of(gone)
        return x0 + left, y0 + top, x0 + right, y0 + bottom

    def _finish(self) -> None:
        if self._palette is not None:
            self._write_pending(self._palette, following=None)
        self._file.write(b"\x3b")

    def _write_header(self, palette: Palette) -> None:
        self._file.write(b"GIF89a" + struct.pack("<HH", *self._spec.size_px) + b"\xf7\0\0")
        self._file.write(palette.colours.tobytes() + b"\0\0\0")
        if self._spec.repeats != 1:
            again = max(0, self._spec.repeats - 1)  # how often after the first time; 0 is for ever
            self._file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", again) + b"\0")
        if self._spec.mark:
            self._file.write(b"\x21\xfe" + _gif_blocks(self._spec.mark.comment.encode("ascii", "replace")))
            xmp_trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
            self._file.write(b"\x21\xff\x0bXMP DataXMP" + self._spec.mark.xmp.encode() + xmp_trailer)


def _opaque(frame: "np.ndarray") -> "np.ndarray":
    """bool (H, W): what gif, which knows no half transparency, paints."""
    return frame[:, :, 3] >= 128


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every chunk."""
    position = 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def _webp_picture_chunks(data: bytes) -> Iterator[bytes]:
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
