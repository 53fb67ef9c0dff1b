"""Image files with less and less of their metadata, for decoders that stumble over it.

A photo whose EXIF, text or colour profile is broken is a good photo: what holds the pixels is left as it is, and what
only describes them is left out.
"""

import re
import struct
import zlib
from collections.abc import Iterator

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_PIXEL_TAGS = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325}
    | {332, 338, 339, 347, 512, 513, 514, 515, 519, 520, 521, 529, 530, 532}
)
_TIFF_ORIENTATION, _TIFF_PROFILE = 274, 34675
_WEBP_PIXEL_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")


def reduced(data: bytes) -> Iterator[bytes]:
    """``data`` (JPEG, PNG, TIFF, WebP, AVIF or HEIF) once with orientation and colour profile alone, and once bare.

    Of other formats, and of files whose structure is broken, nothing.
    """
    for described in (True, False):
        try:
            if data.startswith(b"\xff\xd8"):
                yield _jpeg(data, described)
            elif data.startswith(_PNG_SIGNATURE):
                yield _png(data, described)
            elif data[:4] in (b"II*\0", b"MM\0*"):
                yield _tiff(data, described)
            elif data[8:12] == b"WEBP":
                yield _webp(data, described)
            elif data[4:8] == b"ftyp" and not described:
                yield _heif(data)
        except (struct.error, IndexError):
            return


def _jpeg(data: bytes, described: bool) -> bytes:
    """Without application segments, but for those that decide colours (JFIF, Adobe)."""
    kept, position = [data[:2]], 2
    while data[position] == 0xFF and data[position + 1] != 0xDA:  # start of scan: the rest is pixels
        if data[position + 1] == 0xFF:  # a fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        segment = data[position : position + 2 + length]
        marker, content = segment[1], segment[4:]
        description = (marker == 0xE1 and content[:4] == b"Exif") or (marker == 0xE2 and content[:4] == b"ICC_")
        decides = len(content) >= {0xE0: 14, 0xEE: 12}.get(marker, len(segment))  # JFIF and Adobe where they are whole
        if decides or (described and description) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(segment)
        position += 2 + length
    return b"".join([*kept, data[position:]])


def _png(data: bytes, described: bool) -> bytes:
    """Critical chunks, transparency, and the chunks of orientation and profile where they are whole."""
    kept, position = [_PNG_SIGNATURE], 8
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        chunk = data[position : position + 12 + length]
        kind, content, checksum = chunk[4:8], chunk[8 : 8 + length], chunk[8 + length :]
        whole = checksum == struct.pack(">I", zlib.crc32(chunk[4 : 8 + length]))
        descriptions = (b"tRNS", b"iCCP", b"eXIf") if described else (b"tRNS",)
        if kind[:1].isupper() or (whole and kind in descriptions and _is_png_content(kind, content, kept)):
            kept.append(chunk)
        position += 12 + length
    return b"".join(kept)


def _is_png_content(kind: bytes, content: bytes, before: list[bytes]) -> bool:
    """Whether a chunk of transparency has the length that the picture's colour type asks for."""
    if kind != b"tRNS":
        return True
    colour_type = before[1][17]
    return len(content) == {0: 2, 2: 6}.get(colour_type, len(content)) and colour_type < 4


def _tiff(data: bytes, described: bool) -> bytes:
    """With a first directory of pixel tags alone, appended to the file; what its entries point to stays in place."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    kept = []
    for index in range(count):
        place = start + 2 + 12 * index
        tag, kind, values = struct.unpack_from(order + "HHI", data, place)
        description = (tag, kind, values) == (_TIFF_ORIENTATION, 3, 1) or (tag == _TIFF_PROFILE and kind in (1, 7))
        if tag in _TIFF_PIXEL_TAGS or (described and description):
            kept.append(data[place : place + 12])
    padding = b"\0" * (len(data) % 2)
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    return data[:4] + struct.pack(order + "I", len(data) + len(padding)) + data[8:] + padding + directory


def _webp(data: bytes, described: bool) -> bytes:
    kept, position = [], 12
    wanted = (*_WEBP_PIXEL_CHUNKS, b"ICCP") if described else _WEBP_PIXEL_CHUNKS
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        end = position + 8 + length + length % 2
        chunk = data[position:end]
        if chunk[:4] == b"VP8X":
            flags = 0x12 | (0x20 if described else 0)  # animation and alpha, which are about pixels; ICC profile
            chunk = chunk[:8] + bytes([chunk[8] & flags]) + chunk[9:]
        if chunk[:4] in wanted and end <= len(data):
            kept.append(chunk)
        position = end
    content = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _heif(data: bytes) -> bytes:
    """Items of EXIF and XMP get a type that no reader knows; their places stay. HEIF keeps orientation elsewhere."""
    return re.sub(rb"(infe.{8}(?:..)?)(?:Exif|mime)", rb"\1free", data, flags=re.DOTALL)
