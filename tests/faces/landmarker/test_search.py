"""Where faces are found: lying, in crowds, tiny, larger than the picture; and where none is."""

import math

import numpy as np
import pytest

from facemotion.faces.geometry import warp_crop
from facemotion.faces.landmarker import Landmarker, Roi, landmarker, search
from facemotion.faces.landmarker.blazeface import Detections
from facemotion.faces.landmarker.search import Found, distinct, evidence


@pytest.fixture(scope="module")
def shipped():
    return Landmarker.load()


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="module")
def head(astronaut):
    """(120, 120, 3): her head with some of what is around it."""
    return np.ascontiguousarray(warp_crop(astronaut, np.array([[0.8, 0, -115], [0, 0.8, -32.0]]), 120))


@pytest.fixture(scope="module")
def points(shipped, astronaut):
    (face,) = shipped.measure(astronaut)
    return face.points[:, :2]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_on_its_side_or_head(shipped, astronaut, points, quarters):
    (face,) = shipped.measure(np.ascontiguousarray(np.rot90(astronaut, quarters)))
    back = face.points[:, :2]
    for _ in range(quarters):
        back = np.column_stack([len(astronaut) - 1 - back[:, 1], back[:, 0]])
    assert np.linalg.norm(back - points, axis=1).mean() < 0.05 * np.ptp(points, axis=0).max()
    assert math.remainder(face.pose[2] + 90 * quarters, 360) == pytest.approx(3, abs=6)


def test_a_crowd_of_81(shipped, head):
    crowd = np.tile(head, (9, 9, 1))
    faces = shipped.measure(crowd)
    places = {(int(y) // 120, int(x) // 120) for x, y in (face.landmarks[30] for face in faces)}
    assert len(faces) == len(places) == 81


def test_a_lying_head_among_others(shipped, head):
    row = np.hstack([head, np.rot90(head), head, np.rot90(head, 2)])
    faces = shipped.measure(np.ascontiguousarray(np.vstack([row, row[:, ::-1]])))
    assert len(faces) == 8
    assert sum(abs(face.pose[2]) > 60 for face in faces) == 4


def test_a_small_face_in_a_large_photo(shipped, head):
    wide = np.full((1500, 2000, 3), 120, np.uint8)
    wide[900:960, 1400:1460] = head[::2, ::2]
    (face,) = shipped.measure(wide)
    assert 1400 < face.landmarks[30, 0] < 1460 and 900 < face.landmarks[30, 1] < 960
    assert face.size_px < 45


def test_a_face_larger_than_the_picture(shipped, astronaut, points):
    (x0, y0), (x1, y1) = points.min(axis=0).astype(int), points.max(axis=0).astype(int)
    (face,) = shipped.measure(np.ascontiguousarray(astronaut[y0 + 8 : y1 - 8, x0 + 4 : x1 - 4]))
    assert np.abs(face.points[:, :2] + (x0 + 4, y0 + 8) - points).mean() < 4


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_right.png", "cell.png"])
def test_no_face(shipped, name):
    from pathlib import Path

    import cv2
    import skimage

    picture = cv2.imread(str(Path(skimage.__file__).parent / "data" / name))
    assert shipped.measure(np.ascontiguousarray(picture[..., ::-1])) == []


def test_a_photo_too_large_for_opencv_is_shrunk(shipped, astronaut, points, monkeypatch):
    monkeypatch.setattr(landmarker, "LARGEST_PX", 256)
    (face,) = shipped.measure(astronaut)
    assert np.abs(face.points[:, :2] - points).mean() < 2
    assert np.abs(face.landmarks[30] - face.points[4, :2]).max() < 0.01


def found(x: float, size: float, score: float) -> Found:
    return Found(Roi((x, 0.0), size, size, 0.0), np.zeros((478, 3)), 0.0, 0.0, score)


def test_the_surest_of_faces_that_lie_on_each_other_stays():
    unsure, sure, other, inside = found(0, 90, 0.6), found(10, 100, 0.9), found(60, 100, 0.7), found(15, 30, 0.8)
    assert distinct([unsure, sure, other, inside]) == [sure, other]


def test_evidence_grows_with_every_sign_of_a_face():
    base = {"score": 0.5, "upright_score": 0.6, "presence": 2.0, "apart": 0.02}
    for better in ({"score": 0.7}, {"upright_score": 0.8}, {"presence": 6.0}, {"apart": 0.01}):
        assert evidence(**base | better) > evidence(**base)
    assert np.isfinite(evidence(0.0, 1.0, 99.0, 0.0))


def test_detections_of_a_turned_part_come_to_their_places_in_the_photo():
    roi = Roi((100.0, 60.0), 256.0, 256.0, math.pi / 2)
    seen = Detections(np.array([0.9]), np.array([[64.0, 32, 96, 64]]), np.array([[[64.0, 64.0]] * 6]))
    placed = search._placed(seen, roi)
    assert placed.keypoints[0, 0] == pytest.approx([100, 60])
    assert placed.boxes[0] == pytest.approx([100 + 32 - 32, 60 + 32 - 32, 100 + 32 + 32, 60 + 32 + 32])


def test_a_level_tells_of_places_in_the_photo():
    """A detection that fills a pixel block of the shrunk photo means the same block of the photo."""

    class Stub:
        def detect(self, pictures, *, least_score):
            assert pictures.shape == (1, 384, 512, 3)
            return [Detections(np.array([0.9]), np.array([[-0.5, -0.5, 99.5, 99.5]]), np.zeros((1, 6, 2)))]

    level = search._level(Stub(), np.zeros((1500, 2048, 3), np.uint8), 512)
    assert level.boxes[0] == pytest.approx([-0.5, -0.5, 399.5, 399.5])
