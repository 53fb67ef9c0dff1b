"""Photos of every kind are read as their makers meant them."""

import io
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from facemotion.errors import ImageError, InputError
from facemotion.media.photos import read_photo


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
