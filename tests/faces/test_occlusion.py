"""What hides a face: drawn occluders on NASA's portrait of Eileen Collins, and no alarm where nothing does."""

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage.data import astronaut

from facemotion.errors import WeightsError
from facemotion.faces import geometry
from facemotion.faces.occlusion import Occlusion, OcclusionEstimator, find_occlusion, share_in_front
from facemotion.faces.occlusion_network import OcclusionConfig, OcclusionNetwork, load_occlusion, save_occlusion
from facemotion.faces.types import Face
from facemotion.faces.warnings import face_warnings
from tests.faces.faces import frontal_landmarks

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SIZE_PX = 1536
COLOURS = {"blue": (150, 190, 210), "white": (255, 255, 255), "black": (0, 0, 0), "skin": (224, 180, 150)}


@cache
def portrait() -> np.ndarray:
    return cv2.resize(astronaut(), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)


def face_in(photo: np.ndarray) -> Face:
    from facemotion.faces.find import find_faces

    return max(find_faces(photo, aligner="builtin"), key=lambda face: face.size_px)


@cache
def landmarks() -> np.ndarray:
    return face_in(portrait()).landmarks


def span() -> float:
    return float(np.linalg.norm(landmarks()[45] - landmarks()[36]))


def with_polygon(colour: tuple[int, int, int], corners: tuple[tuple[float, float], ...]) -> np.ndarray:
    photo = portrait().copy()
    around_mouth = landmarks()[48:60].mean(0) + span() * np.array(corners)
    cv2.fillPoly(photo, [np.rint(around_mouth).astype(np.int32)], colour)
    return photo


def with_ellipses(radii: tuple[float, float], eyes: tuple[int, ...] = (0, 1)) -> np.ndarray:
    photo = portrait().copy()
    for side in eyes:
        centre = landmarks()[36 + 6 * side : 42 + 6 * side].mean(0)
        axes = [round(span() * radius) for radius in radii]
        cv2.ellipse(photo, np.rint(centre).astype(int).tolist(), axes, 0, 0, 360, (0, 0, 0), -1)
    return photo


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize(
    "corners",
    [
        ((-0.45, -0.2), (0.4, -0.25), (0.5, 0.15), (0.0, 0.4), (-0.45, 0.2)),
        ((-0.35, -0.13), (0.35, -0.13), (0.35, 0.16), (-0.35, 0.16)),
    ],
    ids=["pentagon", "bar"],
)
def test_a_polygon_over_the_mouth_hides_it_and_nothing_else(colour, corners):
    photo = with_polygon(colour, corners)
    face = face_in(photo)
    occlusion = find_occlusion(photo, face.landmarks)
    assert occlusion.lips_hidden and occlusion.eyes_hidden == (False, False)
    [line] = [line for line in face_warnings(face, photo.shape, occlusion) if "hidden" in line]
    assert line.startswith("The mouth is hidden")


@pytest.mark.parametrize("radii", [(0.18, 0.1), (0.24, 0.16), (0.3, 0.25)])
def test_black_ellipses_hide_the_eyes_and_nothing_else(radii):
    photo = with_ellipses(radii)
    face = face_in(photo)
    occlusion = find_occlusion(photo, face.landmarks)
    assert occlusion.eyes_hidden == (True, True) and not occlusion.lips_hidden
    assert any(line.startswith("The eyes are hidden") for line in face_warnings(face, photo.shape, occlusion))


def test_one_covered_eye_leaves_the_other_one_seen():
    photo = with_ellipses((0.2, 0.13), eyes=(0,))
    occlusion = find_occlusion(photo, landmarks())
    assert occlusion.eyes_hidden == (True, False)
    [line] = [line for line in face_warnings(face_in(photo), photo.shape, occlusion) if "hidden" in line]
    assert line.startswith("One eye is hidden")


def with_rims(radii: tuple[float, float], colour: tuple[int, int, int]) -> np.ndarray:
    """Glasses drawn on the portrait: two rims and a bridge."""
    photo = portrait().copy()
    eyes = [landmarks()[36 + 6 * side : 42 + 6 * side].mean(0) for side in (0, 1)]
    axes, thick = [round(span() * radius) for radius in radii], max(2, round(0.025 * span()))
    for centre in eyes:
        place = np.rint(centre + np.array([0, 0.05 * span()])).astype(int).tolist()
        cv2.ellipse(photo, place, axes, 0, 0, 360, colour, thick, cv2.LINE_AA)
    towards = [np.array([sign * axes[0], 0.02 * span()]) for sign in (1, -1)]
    inner = [np.rint(eye + way).astype(int).tolist() for eye, way in zip(eyes, towards, strict=True)]
    cv2.line(photo, *inner, colour, thick, cv2.LINE_AA)
    return photo


@pytest.mark.parametrize("radii", [(0.25, 0.21), (0.27, 0.17)], ids=["round", "wide"])
@pytest.mark.parametrize("colour", [(20, 20, 25), (90, 50, 20)], ids=["black", "brown"])
def test_clear_glasses_are_recognised_and_hide_nothing(radii, colour):
    occlusion = find_occlusion(with_rims(radii, colour), landmarks())
    assert occlusion.glasses > 0.5
    assert occlusion.eyes_hidden == (False, False) and not occlusion.lips_hidden


def test_no_glasses_on_a_face_without():
    assert find_occlusion(portrait(), landmarks()).glasses == 0


def shadowed(photo: np.ndarray) -> np.ndarray:
    """The lower half of the face in a hard shadow."""
    dark = photo.copy()
    y = int(landmarks()[33, 1])
    dark[y:] = dark[y:] * 0.35
    return dark


@pytest.mark.parametrize(
    "change",
    [
        lambda photo: photo,
        lambda photo: cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
        lambda photo: (photo * 0.35).astype(np.uint8),
        lambda photo: np.clip(photo * 1.4, 0, 255).astype(np.uint8),
        lambda photo: (photo * np.array((0.6, 1, 0.6))).astype(np.uint8),
        lambda photo: np.round(photo / 255 * 5).astype(np.uint8) * 51,
        lambda photo: cv2.bilateralFilter(photo[::3, ::3].copy(), 9, 90, 5).repeat(3, 0).repeat(3, 1),
        shadowed,
    ],
    ids=["photo", "grey", "dark", "bright", "green", "posterised", "painted", "shadow"],
)
def test_light_tone_and_style_hide_nothing(change):
    photo = change(portrait())
    occlusion = find_occlusion(photo, landmarks())
    assert min(occlusion.lips, occlusion.left_eye, occlusion.right_eye) > 0.8
    assert not any("hidden" in line for line in face_warnings(face_in(portrait()), photo.shape, occlusion))


def test_shares_are_those_of_lips_and_eyes():
    points = frontal_landmarks(centre=(64, 64), eye_distance_px=30)
    front = np.zeros((128, 128), np.float32)
    assert share_in_front(front, points) == (0, 0, 0)
    front[int(points[30, 1]) :] = 1  # all below the tip of the nose
    assert share_in_front(front, points) == (1, 0, 0)
    front[:] = 0
    front[:, :64] = 1
    lips, left, right = share_in_front(front, points)
    assert left == 1 and right == 0 and 0.4 < lips < 0.6


def test_glasses_are_dark_on_both_sides():
    front = np.zeros((8, 8), np.float32)
    assert Occlusion(front, 1.0, 0.2, 0.7).eyes_hidden == (True, True)
    assert Occlusion(front, 1.0, 0.2, 0.9).eyes_hidden == (True, False)
    assert Occlusion(front, 1.0, 0.6, 0.7).eyes_hidden == (False, False)
    assert not Occlusion(front, 0.6).lips_hidden and Occlusion(front, 0.4).lips_hidden


def test_of_what_is_hidden_nothing_else_is_said():
    points = frontal_landmarks(centre=(200, 200), eye_distance_px=70).copy()
    points[65:68, 1] += 25
    face = Face(points, (120.0, 110.0, 280.0, 290.0), 0.9, (0.0, 0.0, 0.0))
    assert len(face_warnings(face, (400, 400, 3))) == 1  # an open mouth
    [line] = face_warnings(face, (400, 400, 3), Occlusion(np.ones((8, 8), np.float32), 0.0, 0.1, 0.1))
    assert line.startswith("The mouth and the eyes are hidden")


def test_a_network_comes_back_from_its_file(tmp_path):
    network = OcclusionNetwork(OcclusionConfig(input_px=32, widths=(8, 8, 8, 8))).eval()
    save_occlusion(tmp_path / "net.safetensors", network, record={"steps": 1})
    crops = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(
        load_occlusion(tmp_path / "net.safetensors")(crops), network(crops), atol=1e-2, rtol=1e-2
    )
    estimator = OcclusionEstimator.load(tmp_path / "net.safetensors")
    occlusion = estimator.estimate(portrait(), landmarks())
    assert occlusion.front.shape == (32, 32) and 0 <= occlusion.lips <= 1


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    network = OcclusionNetwork(OcclusionConfig(input_px=32, widths=(8, 8, 8, 8)))
    save_occlusion(path, network, record={})
    tensors = load_file(path)
    header = {"format": "facemotion-occlusion", "version": "2", "record": "{}"}
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError):
        load_occlusion(path)
    for changes in ({"format": "other"}, {"config": json.dumps({"widths": [8, 8, 8, 9]})}, {"config": "{}"}, {}):
        save_file(tensors, path, metadata=header | changes)
        with pytest.raises(WeightsError):
            load_occlusion(path)


def test_the_face_may_lie_anywhere():
    """Half outside of the photo, far too small: numbers, and no error."""
    photo = np.zeros((40, 60, 3), np.uint8)
    for points in (frontal_landmarks(centre=(0, 0), eye_distance_px=40), frontal_landmarks(centre=(30, 20)) * 0.01):
        occlusion = find_occlusion(photo, points)
        assert np.isfinite(occlusion.front).all() and 0 <= occlusion.lips <= 1


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")
def test_faces_of_the_data_that_hide_nothing_are_seen():
    """At most one alarm in a hundred people, validation people and others; masks and most dark glasses are found."""
    from facemotion.training.occlusion.photos import read_photos
    from facemotion.training.occlusion.scenes import listed_occluders

    listed = listed_occluders()
    photos = read_photos(DATA, validation=False) + read_photos(DATA, validation=True)
    verdicts: dict[str, list[bool]] = {"clear": [], "lips": [], "eyes": []}
    for photo in photos:
        occlusion = find_occlusion(photo.image, photo.landmarks)
        kind = listed.get(photo.person, "clear")
        if kind == "clear":
            verdicts["clear"].append(occlusion.lips_hidden or any(occlusion.eyes_hidden))
        elif kind == "lips":
            verdicts["lips"].append(occlusion.lips_hidden)
        elif kind == "eyes":
            verdicts["eyes"].append(all(occlusion.eyes_hidden))
    assert len(verdicts["clear"]) > 1200 and np.mean(verdicts["clear"]) <= 0.015
    assert all(verdicts["lips"]) and len(verdicts["lips"]) == 3
    assert np.mean(verdicts["eyes"]) > 0.75


def test_a_crop_is_all_that_is_looked_at():
    """The same face in a larger photo gives the same answer."""
    photo = with_polygon(COLOURS["blue"], ((-0.35, -0.13), (0.35, -0.13), (0.35, 0.16), (-0.35, 0.16)))
    x0, y0, x1, y1 = geometry.square_in_photo(geometry.photo_to_crop(landmarks(), 128), 128, photo.shape)
    alone = find_occlusion(np.ascontiguousarray(photo[y0:y1, x0:x1]), landmarks() - (x0, y0))
    whole = find_occlusion(photo, landmarks())
    np.testing.assert_allclose(alone.front, whole.front, atol=0.05)
