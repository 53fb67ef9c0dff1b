"""Photos of every kind are read as their makers meant them."""

import io
import os
import socket
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from facemotion.errors import FacemotionError, ImageError, InputError
from facemotion.media import photos
from facemotion.media.photos import photo_of, read_photo


@pytest.fixture
def pixels() -> np.ndarray:
    """A smooth, asymmetric picture, uint8 (30, 40, 3)."""
    y, x = np.mgrid[:30, :40]
    return np.stack([x * 6, y * 8, (x + y) * 3], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_lossless_formats_come_back_bit_for_bit(tmp_path, pixels, suffix):
    Image.fromarray(pixels).save(tmp_path / f"photo.{suffix}")
    photo = read_photo(tmp_path / f"photo.{suffix}")
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.alpha is None
    assert photo.size_px == (40, 30)
    assert photo.stem == "photo"


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif", "jp2"])
def test_lossy_formats_come_back_nearly(tmp_path, pixels, suffix):
    Image.fromarray(pixels).save(tmp_path / f"photo.{suffix}", quality=95)
    difference = read_photo(tmp_path / f"photo.{suffix}").pixels.astype(int) - pixels
    assert np.abs(difference).mean() < 4


def test_heic_is_read_where_the_reader_is_installed(tmp_path, pixels):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / "photo.heic", quality=95)
    difference = read_photo(tmp_path / "photo.heic").pixels.astype(int) - pixels
    assert np.abs(difference).mean() < 4


def test_heic_without_the_reader_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError) as caught:
        read_photo(tmp_path / "photo.heic")
    assert "facemotion[heic]" in caught.value.hint


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(tmp_path, pixels, orientation):
    back = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(back[orientation](pixels))
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png").pixels, pixels)


def test_srgb_profiles_change_nothing_and_others_are_converted(tmp_path, pixels):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "srgb.png", icc_profile=srgb)
    np.testing.assert_array_equal(read_photo(tmp_path / "srgb.png").pixels, pixels)

    lab = ImageCms.createProfile("LAB")
    as_lab = ImageCms.profileToProfile(Image.fromarray(pixels), ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    as_lab.save(tmp_path / "lab.tif", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    difference = read_photo(tmp_path / "lab.tif").pixels.astype(int) - pixels
    assert np.abs(difference).mean() < 3


def test_a_broken_profile_counts_as_none(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "photo.png", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png").pixels, pixels)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_sixteen_bits_of_grey_become_eight(tmp_path, dtype):
    values = np.linspace(0, 65535, 30 * 40).reshape(30, 40).astype(dtype)
    Image.fromarray(values).save(tmp_path / "photo.tif")
    photo = read_photo(tmp_path / "photo.tif")
    np.testing.assert_array_equal(photo.pixels[..., 0], np.rint(values / 257))
    assert photo.pixels.shape == (30, 40, 3)


def test_sixteen_bits_of_colour_become_eight(tmp_path, pixels):
    import cv2

    cv2.imwrite(str(tmp_path / "photo.png"), pixels[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png").pixels, pixels)


def test_floating_grey_becomes_eight_bits(tmp_path):
    Image.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)).save(tmp_path / "photo.tif")
    photo = read_photo(tmp_path / "photo.tif")
    assert photo.pixels.min() == 0
    assert photo.pixels.max() == 255


def test_grey_cmyk_palette_and_bilevel_become_colour(tmp_path, pixels):
    image = Image.fromarray(pixels)
    for name, mode in (
        ("grey.png", "L"),
        ("cmyk.jpg", "CMYK"),
        ("cmyk.tif", "CMYK"),
        ("few.gif", "P"),
        ("two.png", "1"),
    ):
        image.convert(mode).save(tmp_path / name)
        photo = read_photo(tmp_path / name)
        assert photo.pixels.shape == (30, 40, 3), name
        assert photo.alpha is None, name
    difference = read_photo(tmp_path / "cmyk.tif").pixels.astype(int) - pixels
    assert np.abs(difference).mean() < 2


def test_alpha_is_kept_and_an_opaque_one_dropped(tmp_path, pixels):
    alpha = np.full((30, 40), 255, np.uint8)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "opaque.png")
    assert read_photo(tmp_path / "opaque.png").alpha is None
    alpha[:, 20:] = 40
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "cut.png")
    photo = read_photo(tmp_path / "cut.png")
    np.testing.assert_array_equal(photo.alpha, alpha)
    np.testing.assert_array_equal(photo.pixels, pixels)


def test_transparent_palette_colours_and_grey_with_alpha(tmp_path, pixels):
    few = Image.fromarray(pixels).quantize(8)
    few.save(tmp_path / "few.png", transparency=0)
    np.testing.assert_array_equal(read_photo(tmp_path / "few.png").alpha == 0, np.asarray(few) == 0)
    Image.fromarray(np.dstack([pixels[..., 0], pixels[..., 1]]), "LA").save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "grey.png").alpha, pixels[..., 1])


def test_of_an_animation_the_first_frame_counts(tmp_path, pixels):
    first, second = Image.fromarray(pixels), Image.fromarray(255 - pixels)
    first.save(tmp_path / "photo.webp", save_all=True, append_images=[second], lossless=True)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.webp").pixels, pixels)


def test_content_counts_not_the_suffix(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "é photo", "PNG")
    Image.fromarray(pixels).save(tmp_path / "wrong.jpg", "PNG")
    for name in ("é photo", "wrong.jpg"):
        np.testing.assert_array_equal(read_photo(tmp_path / name).pixels, pixels)


def test_standard_input(monkeypatch, pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(buffer.getvalue())))
    photo = read_photo("-")
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.path is None
    assert photo.stem == "stdin"


def broken_files() -> dict[str, bytes]:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(buffer, "JPEG")
    whole_jpeg = buffer.getvalue()
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return {
        "empty.jpg": b"",
        "text.jpg": b"This is a text.\n" * 20,
        "cut.jpg": whole_jpeg[: len(whole_jpeg) // 2],
        "head.png": buffer.getvalue()[:40],
        "page.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }


@pytest.mark.parametrize("name", broken_files())
def test_what_is_no_whole_image_is_an_image_error_with_a_hint(tmp_path, name):
    (tmp_path / name).write_bytes(broken_files()[name])
    with pytest.raises(ImageError) as caught:
        read_photo(tmp_path / name)
    assert name in caught.value.message
    assert caught.value.hint


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(ImageError, match="200 megapixels"):
        read_photo(tmp_path / "huge.png")
    assert Image.MAX_IMAGE_PIXELS is not None


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_photo(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match="is a folder"):
        read_photo(tmp_path)


# --- metadata that is broken, of a photo that is not ------------------------------------------------------------------

BROKEN_EXIF = {
    "bytes as text": b"b'Exif\\x00\\x00MM\\x00*'",
    "nothing": b"",
    "head alone": b"Exif\0\0",
    "cut": b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01",
    "far away": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "no tiff": b"Exif\0\0" + bytes(range(64)),
    "orientation as text": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0",
    "orientation of nothing": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\0\0\0\0\0\0\0\0\0",
    "orientation of 99": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0",
    "loop": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08",
}


def smooth(size_px=(40, 30)) -> Image.Image:
    width, height = size_px
    y, x = np.mgrid[:height, :width]
    red, green = x * 240 // width, y * 240 // height
    return Image.fromarray(np.stack([red, green, x * 120 // width + y * 90 // height], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, format: str, **options) -> bytes:
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_with(data: bytes, kind: bytes, content: bytes, *, checksum: bytes | None = None, after_pixels=False) -> bytes:
    """With one more chunk."""
    checksum = checksum or struct.pack(">I", zlib.crc32(kind + content))
    place = len(data) - 12 if after_pixels else 33
    return data[:place] + struct.pack(">I", len(content)) + kind + content + checksum + data[place:]


def tiff_with(data: bytes, *entries: tuple[int, int, int, bytes]) -> bytes:
    """With entries (tag, type, count, four bytes) added to its first directory, or in place of its own."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    rows = {}
    for index in range(count):
        row = data[start + 2 + 12 * index : start + 14 + 12 * index]
        rows[struct.unpack_from(order + "H", row)[0]] = row
    for tag, kind, values, content in entries:
        rows[tag] = struct.pack(order + "HHI", tag, kind, values) + content
    directory = struct.pack(order + "H", len(rows)) + b"".join(rows[tag] for tag in sorted(rows)) + bytes(4)
    return data[:4] + struct.pack(order + "I", len(data)) + data[8:] + directory


def read(tmp_path, data: bytes):
    (tmp_path / "photo").write_bytes(data)
    return read_photo(tmp_path / "photo")


@pytest.mark.parametrize("exif", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_broken_exif_counts_as_none(tmp_path, format, exif):
    image = smooth((64, 48))
    if format == "TIFF":  # which has its EXIF in a directory of its own
        data = tiff_with(
            encoded(image, "TIFF"), (34665, 4, 1, b"\xff\xff\xff\x7f"), (34853, 2, 4, exif[-4:].ljust(4, b"x"))
        )
    elif format in ("AVIF", "HEIF"):  # whose writers mend what they are given
        good = Image.Exif()
        good[0x010F] = "#" * 200
        tiff = good.tobytes()[6:]
        data = encoded(image, format, exif=good.tobytes())
        assert tiff in data
        data = data.replace(tiff, exif[6:].ljust(len(tiff), b"\0")[: len(tiff)])
    else:
        data = encoded(image, format, exif=exif)
    photo = read(tmp_path, data)
    assert photo.size_px == image.size
    assert np.abs(photo.pixels.astype(int) - np.asarray(image)).mean() < 6


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"eXIf", b"no exif"),
        (b"eXIf", b""),
        (b"tEXt", b"Raw profile type exif\0\nexif\n 8\nno hexadecimal numbers\n"),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      10\n45786966zz")),
        (b"zTXt", b"Comment\0\0no zlib"),
        (b"zTXt", b"Comment"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000))),
        (b"iTXt", b"Comment\0\x01"),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0\xff\xfe<tiff:Orientation>x"),
        (b"iCCP", b""),
        (b"iCCP", b"name"),
        (b"iCCP", b"name\0\x07zzzz"),
        (b"iCCP", b"name\0\0no zlib"),
        (b"gAMA", b"\0"),
        (b"cHRM", b"\0\0\0"),
        (b"pHYs", b"\0"),
        (b"tRNS", b"\0"),
        (b"sRGB", b""),
        (b"acTL", b"\0\0"),
        (b"fcTL", b"\0"),
        (b"tIME", b""),
    ],
)
@pytest.mark.parametrize("after_pixels", [False, True])
@pytest.mark.parametrize("checksum", [None, b"oops"])
def test_broken_chunks_that_only_describe_a_png(tmp_path, pixels, kind, content, checksum, after_pixels):
    data = png_with(encoded(smooth(), "PNG"), kind, content, checksum=checksum, after_pixels=after_pixels)
    np.testing.assert_array_equal(read(tmp_path, data).pixels, pixels)


@pytest.mark.parametrize("checksum", [None, b"oops"])
def test_a_broken_chunk_costs_neither_orientation_nor_profile(tmp_path, checksum):
    turned = Image.Exif()
    turned[0x0112] = 6
    data = encoded(smooth(), "PNG", exif=turned, icc_profile=profile("sRGB", swap_red_and_blue=True))
    photo = read(tmp_path, png_with(data, b"pHYs", b"\0", checksum=checksum))
    assert photo.size_px == (30, 40)
    whole = read(tmp_path, data)
    np.testing.assert_array_equal(photo.pixels, whole.pixels)
    assert np.abs(whole.pixels.astype(int) - np.rot90(np.asarray(smooth()), -1)).mean() > 20


@pytest.mark.parametrize(
    "tag", [254, 269, 270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 700, 33432, 34665, 34675, 34853]
)
@pytest.mark.parametrize("kind", [0, 1, 2, 5, 7, 9, 12, 13, 99])
@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}], ids=["raw", "lzw"])
def test_tiff_tags_of_the_wrong_type(tmp_path, pixels, tag, kind, options):
    data = encoded(smooth(), "TIFF", **options)
    for count, content in ((1, b"abc\0"), (0, bytes(4)), (7, b"\x08\0\0\0"), (2**31, b"\xff\xff\xff\xff")):
        np.testing.assert_array_equal(read(tmp_path, tiff_with(data, (tag, kind, count, content))).pixels, pixels)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("content", [b"x", b"no profile at all", bytes(128), bytes(200)], ids=len)
def test_broken_profiles_count_as_none_in_every_format(tmp_path, format, content):
    image = smooth((64, 48))
    photo = read(tmp_path, encoded(image, format, icc_profile=content))
    assert np.abs(photo.pixels.astype(int) - np.asarray(image)).mean() < 6


def test_broken_segments_that_only_describe_a_jpeg(tmp_path):
    plain = encoded(smooth(), "JPEG", quality=95)
    meant = read(tmp_path, plain).pixels
    mpf = b"MPF\0MM\0*\0\0\0\x08\0\x02\xb0\x01\0\x02\0\0\0\x01x\0\0\0\xb0\x02\0\x07\0\0\0\x01zzzz\0\0\0\0"
    for marker, content in (
        (0xE1, b"Exif\0\0" + bytes(10)),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>9"),
        (0xE2, mpf),
        (0xE2, b"ICC_PROFILE\0\x02\x01half"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x10zz"),
        (0xEE, b"Adobe\0"),
        (0xFE, b"\xff\xfe\0"),
    ):
        segment = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
        np.testing.assert_array_equal(read(tmp_path, plain[:2] + segment + plain[2:]).pixels, meant)


def test_webp_cut_off_within_its_metadata(tmp_path):
    image = smooth()
    data = encoded(image, "WEBP", lossless=True, exif=b"Exif\0\0" + b"#" * 500)
    np.testing.assert_array_equal(read(tmp_path, data[:-300]).pixels, np.asarray(image))


def test_a_broken_picture_of_pillow_is_an_image_error(tmp_path, pixels):
    data = encoded(smooth((400, 300)), "PNG")
    with pytest.raises(ImageError):
        photo_of(Image.open(io.BytesIO(data[: len(data) // 2])))
    closed = Image.open(io.BytesIO(data))
    closed.close()
    with pytest.raises(ImageError):
        photo_of(closed)
    image = smooth()
    image.info["exif"] = b"Exif\0\0broken"
    np.testing.assert_array_equal(photo_of(image).pixels, pixels)


def test_whatever_a_decoder_raises_is_an_image_error(tmp_path, monkeypatch):
    (tmp_path / "photo").write_bytes(encoded(smooth(), "PNG"))
    for error in (
        RuntimeError("a\nb"),
        struct.error(),
        KeyError("x"),
        MemoryError(),
        AssertionError(),
        RecursionError(),
    ):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(Image.Image, "load", fail)
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
        with pytest.raises(ImageError) as caught:
            read_photo(tmp_path / "photo")
        assert "\n" not in caught.value.message and caught.value.hint


def test_heic_and_avif_under_the_brand_that_both_may_have(tmp_path):
    for format in ("AVIF", "HEIF"):
        data = encoded(smooth((64, 48)), format)
        assert read(tmp_path, data[:8] + b"mif1" + data[12:]).size_px == (64, 48)


def test_a_video_is_no_photo(tmp_path):
    with pytest.raises(ImageError, match="not an image"):
        read(tmp_path, b"\0\0\0\x18ftypisom\0\0\x02\0isommp42" + bytes(500))


# --- colour profiles --------------------------------------------------------------------------------------------------


def profile(name: str, *, gamma: float | None = None, primaries=None, swap_red_and_blue: bool = False) -> bytes:
    """A matrix profile with that description: sRGB's own, but for another curve, other or swapped primaries."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    columns = primaries or [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)]
    if swap_red_and_blue:
        columns = columns[::-1]
    if gamma is None:
        curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0)
        curve += b"".join(fixed(value) for value in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    else:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    text = name.encode() + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    white = b"XYZ " + bytes(4) + fixed(0.9642) + fixed(1) + fixed(0.8249)
    tags = {b"desc": description, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": white}
    for channel, column in zip(b"rgb", columns, strict=True):
        tags[bytes([channel]) + b"XYZ"] = b"XYZ " + bytes(4) + b"".join(fixed(value) for value in column)
        tags[bytes([channel]) + b"TRC"] = curve
    table, content, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for kind, value in tags.items():
        value += bytes(-len(value) % 4)
        table += kind + struct.pack(">II", start + len(content), len(value))
        content += value
    head = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(content), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp"
    )
    return head + bytes(128 - len(head) - 60) + fixed(0.9642) + fixed(1) + fixed(0.8249) + bytes(48) + table + content


ADOBE = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
P3 = [(0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)]


@pytest.mark.parametrize(
    "name", ["sRGB IEC61966-2.1", "c2", "Camera RGB Profile", "", "Adobe RGB (1998)", "Display P3"]
)
def test_what_is_srgb_by_any_name_changes_nothing(tmp_path, pixels, name):
    np.testing.assert_array_equal(read(tmp_path, encoded(smooth(), "PNG", icc_profile=profile(name))).pixels, pixels)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("GIMP built-in Linear sRGB", {"gamma": 1.0}),
        ("sRGB-elle-V2-g10.icc", {"gamma": 1.0}),
        ("sRGB-elle-V2-g18", {"gamma": 1.8}),
        ("P3-D65 with sRGB TRC", {"primaries": P3}),
        ("sRGB", {"primaries": ADOBE, "gamma": 2.2}),
        ("srgb", {"swap_red_and_blue": True}),
    ],
)
def test_what_is_not_srgb_is_converted_by_any_name(tmp_path, name, options):
    data = profile(name, **options)
    source = ImageCms.ImageCmsProfile(io.BytesIO(data))
    assert ImageCms.getProfileDescription(source).strip() == name
    meant = ImageCms.profileToProfile(smooth(), source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    photo = read(tmp_path, encoded(smooth(), "PNG", icc_profile=data))
    np.testing.assert_array_equal(photo.pixels, np.asarray(meant))
    assert np.abs(photo.pixels.astype(int) - np.asarray(smooth())).max() > 10


def test_linear_light_becomes_srgb(tmp_path):
    linear = profile("sRGB", gamma=1.0)
    for image in (Image.new("RGB", (8, 8), (55, 55, 55)), Image.new("L", (8, 8), 55)):
        photo = read(tmp_path, encoded(image, "PNG", icc_profile=linear))
        assert np.abs(photo.pixels.astype(int) - 128).max() <= 1  # 0.2140 of the light is half of sRGB's scale


def test_a_profile_for_other_channels_counts_as_none(tmp_path, pixels):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    np.testing.assert_array_equal(read(tmp_path, encoded(smooth(), "PNG", icc_profile=lab)).pixels, pixels)
    cmyk = smooth().convert("CMYK")
    plain = read(tmp_path, encoded(cmyk, "TIFF")).pixels
    with_rgb = read(tmp_path, encoded(cmyk, "TIFF", icc_profile=profile("sRGB", gamma=1.0))).pixels
    np.testing.assert_array_equal(plain, with_rgb)


# --- depth ------------------------------------------------------------------------------------------------------------


def tiff_of(samples: np.ndarray, bits: int) -> bytes:
    """An uncompressed little-endian grey TIFF of ``bits`` a sample, from its packed bytes."""
    height, width = samples.shape[:2]
    data = samples.tobytes() if bits != 12 else pack_12_bits(samples)
    entries = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 4, height), (279, 4, len(data))]
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in entries
    )
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


def pack_12_bits(samples: np.ndarray) -> bytes:
    first, second = samples.reshape(-1)[::2].astype(int), samples.reshape(-1)[1::2].astype(int)
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8).tobytes()


@pytest.mark.parametrize("brightest", [1, 100, 255, 256, 300, 5000, 65535])
def test_dark_photos_of_16_bits_stay_dark(tmp_path, brightest):
    import cv2

    samples = np.linspace(0, brightest, 1200).reshape(30, 40).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "grey.png"), samples)
    cv2.imwrite(str(tmp_path / "colour.png"), np.dstack([samples] * 3))
    cv2.imwrite(str(tmp_path / "big-endian.pgm"), samples)
    (tmp_path / "grey.tif").write_bytes(tiff_of(samples, 16))
    Image.fromarray(samples.astype(np.int32)).save(tmp_path / "wide.tif")
    for path in sorted(tmp_path.iterdir()):
        difference = read_photo(path).pixels - samples[..., None] / 257
        assert np.abs(difference).max() <= 1, path.name


def test_12_bits_reach_white(tmp_path):
    samples = np.linspace(0, 4095, 1200).reshape(30, 40).astype(np.uint16)
    pixels = read(tmp_path, tiff_of(samples, 12)).pixels
    assert np.abs(pixels - samples[..., None] / (4095 / 255)).max() <= 0.5


def test_floating_samples_that_are_no_numbers(tmp_path):
    samples = np.full((30, 40), 0.5, np.float32)
    samples[0, :4] = np.nan, np.inf, -np.inf, 1
    Image.fromarray(samples).save(tmp_path / "photo.tif")
    pixels = read_photo(tmp_path / "photo.tif").pixels
    assert (pixels[5] == 128).all() and list(pixels[0, :4, 0]) == [0, 255, 0, 255]


def test_strips_are_joined_without_a_seam(tmp_path, monkeypatch, pixels):
    monkeypatch.setattr(photos, "_STRIP_PIXELS", 90)
    alpha = (pixels[..., 0] // 2 + 100).astype(np.uint8)
    turned = Image.Exif()
    for orientation in range(1, 9):
        turned[0x0112] = orientation
        image = Image.fromarray(np.dstack([pixels, alpha]))
        whole = image.transpose(photos_turn(orientation)) if orientation > 1 else image
        photo = read(tmp_path, encoded(image, "PNG", exif=turned))
        np.testing.assert_array_equal(np.dstack([photo.pixels, photo.alpha]), np.asarray(whole))


def photos_turn(orientation: int) -> Image.Transpose:
    turn = Image.Transpose
    return [
        turn.FLIP_LEFT_RIGHT,
        turn.ROTATE_180,
        turn.FLIP_TOP_BOTTOM,
        turn.TRANSPOSE,
        turn.ROTATE_270,
        turn.TRANSVERSE,
        turn.ROTATE_90,
    ][orientation - 2]


# --- what is no file, or has no end -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
@pytest.mark.parametrize("kind", ["fifo", "socket", "/dev/zero", "/dev/null", "link"])
def test_only_regular_files_are_read(tmp_path, kind):
    path = tmp_path / "photo.jpg"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path.symlink_to("/dev/zero" if kind == "link" else kind)
    for read_it in (photos.check_readable, read_photo):
        with pytest.raises(InputError, match="not a regular file"):
            read_it(path)


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
def test_a_file_that_becomes_a_fifo_in_between_does_not_block(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "photo.jpg")
    monkeypatch.setattr(photos, "check_readable", lambda _: None)
    with pytest.raises(InputError, match="not a regular file"):
        read_photo(tmp_path / "photo.jpg")


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 300 + ".jpg", "photo.jpg/more.jpg"])
def test_names_that_no_file_has(tmp_path, name):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError):
        photos.check_readable(tmp_path / name)
    with pytest.raises(InputError):
        read_photo(tmp_path / name)


class Endless(io.RawIOBase):
    """A stream that begins well and never ends."""

    def __init__(self, head: bytes):
        self.head, self.given = head, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self.head if not self.given else bytes(len(buffer))
        buffer[: len(data)] = data
        self.given += len(data)
        return len(data)


def test_standard_input_without_end(monkeypatch):
    monkeypatch.setattr(photos, "MAX_BYTES", 10 * 2**20)
    for head, says, most in ((b"\xff\xd8\xff\xe0", "10 MiB", 12 * 2**20), (bytes(16), "not an image", 2**17)):
        endless = Endless(head)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(endless)))
        with pytest.raises(ImageError, match=says):
            read_photo("-")
        assert endless.given < most


def test_files_of_too_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "MAX_BYTES", 1000)
    data = encoded(smooth((64, 48)), "JPEG")
    with pytest.raises(ImageError, match="more than"):
        read(tmp_path, data + bytes(1_000_000))


def test_standard_input_that_is_closed_or_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="closed"):
        read_photo("-")
    stream = io.TextIOWrapper(io.BytesIO(b""))
    stream.close()
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(InputError):
        read_photo("-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(ImageError, match="empty"):
        read_photo("-")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss")
@pytest.mark.parametrize(
    ("name", "bytes_a_pixel"), [("grey-16.png", 10), ("colour-16.png", 10), ("plain.jpg", 10), ("turned.jpg", 10)]
)
def test_memory_of_100_megapixels_is_bounded(tmp_path, name, bytes_a_pixel):
    import cv2

    path = tmp_path / name
    if name.endswith("png"):
        grey = np.zeros((10_000, 10_000), np.uint16)
        grey[::7] = 300
        cv2.imwrite(str(path), np.dstack([grey] * 3) if name.startswith("colour") else grey)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "turned.jpg" else 1
        Image.new("RGB", (10_000, 10_000), (90, 80, 70)).save(path, exif=exif)
    script = """
import resource, sys
import numpy, PIL.Image, PIL.ImageCms
from facemotion.media.photos import read_photo
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert read_photo(sys.argv[1]).size_px == (10_000, 10_000)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e8)
"""
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < bytes_a_pixel


# --- everything else: mutated files of all formats --------------------------------------------------------------------

FUZZ_FILES = 4000
FUZZ_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM")


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """One to eight changes: bytes, bits, lengths, cuts, copies; half of them near the head, where structure is."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 9)):
        size = len(changed)
        if size < 8:
            break
        place = int(random.integers(min(size, 600) if random.random() < 0.5 else size))
        match random.integers(7):
            case 0:
                changed[place] = random.integers(256)
            case 1:
                changed[place] ^= 1 << random.integers(8)
            case 2:
                value = random.choice([0, 1, 0x7F, 0x80, 0xFF])
                changed[place : place + 4] = bytes([value]) * len(changed[place : place + 4])
            case 3:
                del changed[place : place + int(random.integers(1, 40))]
            case 4:
                changed[place:place] = random.bytes(int(random.integers(1, 40)))
            case 5:
                other = int(random.integers(size))
                changed[place : place + 16] = changed[other : other + 16]
            case 6 if random.random() < 0.2:
                del changed[place:]
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", FUZZ_FORMATS)
def test_mutated_files_are_photos_or_image_errors(tmp_path, format):
    random = np.random.default_rng(20261126)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0131] = 6, "maker", "software"
    exif.get_ifd(0x8769)[0x829A] = 0.01
    metadata = {"exif": exif, "icc_profile": profile("P3", primaries=P3)} if format in METADATA_FORMATS else {}
    if format == "HEIF":
        metadata["exif"] = exif.tobytes()
    image = smooth((64, 48))
    clear = Image.fromarray(np.dstack([np.asarray(image), np.asarray(image)[..., 0]]))
    sources = [encoded(image, format, **metadata), encoded(image.convert("L"), format, **metadata)]
    if format in ("PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF", "JPEG2000"):
        sources.append(encoded(clear, format, **metadata))
    if format in ("WEBP", "PNG", "GIF", "TIFF", "AVIF"):
        sources.append(encoded(image, format, save_all=True, append_images=[clear.convert("RGB").rotate(90)]))
    if format == "TIFF":
        sources += [encoded(image, format, compression=kind, **metadata) for kind in ("tiff_lzw", "jpeg", "packbits")]
        sources += [tiff_of(np.arange(1200, dtype=np.uint16).reshape(30, 40), bits) for bits in (12, 16)]
    if format == "PNG":
        sources += [
            encoded(image.quantize(), format),
            encoded(Image.fromarray(np.full((48, 64), 999, np.uint16)), format),
        ]
        comment = png_with(sources[0], b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 2\n4578"))
        sources.append(comment)
    if format == "JPEG":
        sources += [encoded(image, format, progressive=True), encoded(image.convert("CMYK"), format)]
    path = tmp_path / "photo"
    read_well = 0
    for index in range(FUZZ_FILES // len(FUZZ_FORMATS)):
        data = mutated(sources[index % len(sources)], random)
        path.write_bytes(data)
        try:
            photo = read_photo(path)
        except FacemotionError as error:
            assert error.message.isprintable() and error.hint
        except BaseException as error:
            raise AssertionError(f"{format} {index}: {data.hex()}") from error
        else:
            read_well += 1
            assert photo.pixels.dtype == np.uint8 and photo.pixels.ndim == 3
    assert read_well > 0


METADATA_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
