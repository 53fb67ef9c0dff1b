import numpy as np
import pytest

from facemotion.faces.framing import flattened, frame_photo
from facemotion.media.photos import Photo
from tests.conftest import face_at


def photo_with_dots(points, *, size_px=(301, 241)) -> Photo:
    """Black, with a white 3 × 3 dot at every point."""
    pixels = np.zeros((size_px[1], size_px[0], 3), np.uint8)
    for x, y in np.rint(points).astype(int):
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
    return Photo(pixels)


@pytest.fixture
def landmarks() -> np.ndarray:
    return np.rint(face_at((130.0, 120.0)).landmarks)


def test_the_whole_photo_stays_as_it_is(landmarks):
    photo = photo_with_dots(landmarks)
    framing = frame_photo(photo, [landmarks], crop=False, size=None)
    np.testing.assert_array_equal(framing.photo.pixels, photo.pixels)
    np.testing.assert_array_equal(framing.landmarks[0], landmarks)
    assert framing.box == (0, 0, 301, 241)


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("size", [None, 602, 100])
def test_landmarks_stay_on_their_pixels(landmarks, crop, size):
    framing = frame_photo(photo_with_dots(landmarks[[8, 30, 36]]), [landmarks], crop=crop, size=size)
    grey = framing.photo.pixels[..., 0].astype(float)
    for x, y in framing.landmarks[0][[8, 30, 36]]:
        rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
        near = grey * (np.hypot(columns - x, rows - y) < 5 * max(1, grey.shape[1] / 301))
        assert (near * columns).sum() / near.sum() == pytest.approx(x, abs=0.35)
        assert (near * rows).sum() / near.sum() == pytest.approx(y, abs=0.35)


def test_a_crop_has_even_sides_lies_in_the_photo_and_holds_the_face(landmarks):
    near_the_edge = landmarks - (60, 50)
    framing = frame_photo(photo_with_dots(landmarks), [near_the_edge], crop=True, size=None)
    x0, y0, x1, y1 = framing.box
    assert (x0, y0) == (0, 0)
    assert x1 % 2 == y1 % 2 == 0
    assert x1 <= 301
    assert y1 <= 241
    assert framing.photo.size_px == (x1, y1)
    assert near_the_edge.max(axis=0)[0] < x1


def test_a_crop_of_several_faces_holds_them_all(landmarks):
    faces = [landmarks - (70, 0), np.add(landmarks, (60, 30))]
    box = frame_photo(photo_with_dots(landmarks), faces, crop=True, size=None).box
    assert box[0] < faces[0].min(axis=0)[0]
    assert box[2] > faces[1].max(axis=0)[0]


def test_transparency_is_laid_on_white():
    pixels, alpha = np.full((1, 3, 3), 100, np.uint8), np.array([[0, 128, 255]], np.uint8)
    flat = flattened(Photo(pixels, alpha))
    assert flat.alpha is None
    assert flat.pixels[0, :, 0].tolist() == [255, 177, 100]
