"""Animated images composited as browsers do, by their specifications; Pillow decodes single stills only."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

KEEP, CLEAR, BACK = "keep", "clear", "back"


@dataclass
class Shown:
    """What is on the canvas, uint8 RGBA (H, W, 4), one after another; for how long; how often (0 = for ever)."""

    canvases: list[np.ndarray]
    delays_ms: list[float]
    plays: int


@dataclass
class Part:
    picture: np.ndarray
    corner: tuple[int, int]
    delay_ms: float
    disposal: str
    blend: bool


def show(data: bytes) -> Shown:
    """Of a gif, animated png or animated webp."""
    if data.startswith(b"GIF89a"):
        size, parts, plays = _gif_parts(data)
    elif data.startswith(b"\x89PNG"):
        size, parts, plays = _png_parts(data)
    else:
        size, parts, plays = _webp_parts(data)
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    canvases = []
    for part in parts:
        before = canvas.copy()
        (x, y), (height, width) = part.corner, part.picture.shape[:2]
        place = canvas[y : y + height, x : x + width]
        assert place.shape == part.picture.shape, "a frame reaches beyond the canvas"
        place[:] = _over(part.picture, place) if part.blend else part.picture
        canvases.append(canvas.copy())
        if part.disposal == CLEAR:
            place[:] = 0
        elif part.disposal == BACK:
            canvas = before
    return Shown(canvases, [part.delay_ms for part in parts], plays)


def _over(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    a, b = top[..., 3:] / 255, below[..., 3:] / 255
    alpha = a + b * (1 - a)
    colour = (top[..., :3] * a + below[..., :3] * b * (1 - a)) / np.maximum(alpha, 1e-9)
    mixed = np.rint(np.dstack([colour, alpha * 255])).astype(np.uint8)
    return np.where(a == 0, below, np.where(a == 1, top, mixed))


def _still(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGBA"))


def _gif_parts(data: bytes):
    size = struct.unpack_from("<HH", data, 6)
    table = 3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0
    head, position = data[: 13 + table], 13 + table
    parts, plays, control = [], 1, b""
    while data[position] != 0x3B:
        start = position
        if data[position] == 0x21:
            kind, position = data[position + 1], position + 2
            position = _skip_blocks(data, position)
            if kind == 0xF9:
                control = data[start:position]
            elif data[start + 3 : start + 14] == b"NETSCAPE2.0":
                (again,) = struct.unpack_from("<H", data, start + 16)
                plays = again + 1 if again else 0
        else:
            assert data[position] == 0x2C
            x, y, width, height, flags = struct.unpack_from("<HHHHB", data, position + 1)
            position = _skip_blocks(data, position + 10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1)
            descriptor = b"\x2c" + struct.pack("<HHHH", 0, 0, width, height) + data[start + 9 : position]
            screen = head[:6] + struct.pack("<HH", width, height) + head[10:]
            (delay,) = struct.unpack_from("<H", control, 4)
            disposal = {0: KEEP, 1: KEEP, 2: CLEAR, 3: BACK}[control[3] >> 2 & 7]
            parts.append(Part(_still(screen + control + descriptor + b"\x3b"), (x, y), 10 * delay, disposal, True))
    return size, parts, plays


def _skip_blocks(data: bytes, position: int) -> int:
    while data[position]:
        position += 1 + data[position]
    return position + 1


def _png_parts(data: bytes):
    header, plays, controls, position = b"", 1, [], 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
        if kind == b"IHDR":
            header = content
        elif kind == b"acTL":
            count, plays = struct.unpack(">II", content)
        elif kind == b"fcTL":
            controls.append((struct.unpack(">IIIIIHHBB", content), []))
        elif kind in (b"IDAT", b"fdAT"):
            controls[-1][1].append(content if kind == b"IDAT" else content[4:])
    assert len(controls) == count
    parts = []
    for (_, width, height, x, y, delay, unit, disposal, blend), pixels in controls:
        chunks = (b"IHDR", struct.pack(">II", width, height) + header[8:]), (b"IDAT", b"".join(pixels)), (b"IEND", b"")
        picture = _still(b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks))
        parts.append(Part(picture, (x, y), 1000 * delay / (unit or 100), (KEEP, CLEAR, BACK)[disposal], blend == 1))
    return struct.unpack_from(">II", header), parts, plays


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _webp_parts(data: bytes):
    assert len(data) == 8 + int.from_bytes(data[4:8], "little")
    size, parts, plays = (0, 0), [], 1
    for kind, content in _riff_chunks(data[12:]):
        if kind == b"VP8X":
            size = 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
        elif kind == b"ANIM":
            (plays,) = struct.unpack_from("<H", content, 4)
        elif kind == b"ANMF":
            x, y, width, height, delay = (int.from_bytes(content[at : at + 3], "little") for at in (0, 3, 6, 9, 12))
            alpha = any(name == b"ALPH" for name, _ in _riff_chunks(content[16:]))
            extended = struct.pack("<I", 0x10 if alpha else 0) + content[6:12]
            inner = b"WEBPVP8X" + struct.pack("<I", 10) + extended + content[16:]
            picture = _still(b"RIFF" + struct.pack("<I", len(inner)) + inner)
            assert picture.shape[:2] == (height + 1, width + 1)
            flags = content[15]
            parts.append(Part(picture, (2 * x, 2 * y), delay, CLEAR if flags & 1 else KEEP, not flags & 2))
    return size, parts, plays


def _riff_chunks(data: bytes):
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        yield data[position : position + 4], data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
