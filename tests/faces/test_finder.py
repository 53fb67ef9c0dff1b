"""The built-in finder: plumbing with tiny random networks, behaviour with the weights of the package."""

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from facemotion.errors import WeightsError
from facemotion.faces import finder as finder_module
from facemotion.faces.finder import Finder
from facemotion.faces.finder_crop import MIRROR_68, crop_of_points, five_points, tight_crop
from facemotion.faces.finder_detect import Candidate, merge
from facemotion.faces.finder_networks import (
    Detector,
    DetectorConfig,
    LandmarkConfig,
    LandmarkNetwork,
    fuse,
    load_finder,
    save_finder,
)
from facemotion.faces.geometry import apply
from facemotion.weights.registry import WEIGHTS
from tests.faces.faces import frontal_landmarks

TINY_DETECTOR = DetectorConfig(widths=(4, 8, 8), blocks=1)
TINY_LANDMARKS = LandmarkConfig(input_px=64, widths=(4, 8, 8, 8))

shipped = pytest.mark.skipif(WEIGHTS["finder"].sha256 is None, reason="the finder's weights are not released yet")


def tiny_networks(seed: int = 0) -> tuple[Detector, LandmarkNetwork]:
    torch.manual_seed(seed)
    return Detector(TINY_DETECTOR).eval(), LandmarkNetwork(TINY_LANDMARKS).eval()


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "finder.safetensors"
    save_finder(path, *tiny_networks(), record={"people": 3})
    return path


@pytest.fixture(scope="module")
def finder():
    return Finder.load()


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


def test_weights_read_back_with_their_configuration(weights):
    detector, landmarks, record = load_finder(weights)
    assert (detector.config, landmarks.config, record) == (TINY_DETECTOR, TINY_LANDMARKS, {"people": 3})
    assert not detector.training and not landmarks.training
    picture = torch.rand(1, 3, 64, 64)
    original = tiny_networks()
    torch.testing.assert_close(detector(picture), original[0](picture), atol=0.02, rtol=0.02)
    torch.testing.assert_close(landmarks(picture)[0], original[1](picture)[0], atol=0.1, rtol=0.02)


def test_fusing_keeps_the_function():
    networks = tiny_networks()
    for network in networks:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    picture = torch.rand(2, 3, 64, 64)
    before = networks[0](picture), networks[1](picture)[0]
    after = fuse(networks[0])(picture), fuse(networks[1])(picture)[0]
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_damaged_and_foreign_weights_are_refused(weights, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(WeightsError):
        Finder.load(damaged)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, foreign)
    with pytest.raises(WeightsError, match="no face finder"):
        Finder.load(foreign)
    with pytest.raises(WeightsError):
        Finder.load(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (64, 64), (1000, 2100)])
def test_any_size_of_photo_goes_through(weights, shape):
    assert isinstance(Finder.load(weights).find(np.zeros((*shape, 3), np.uint8)), list)


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))])
def test_other_arrays_than_rgb_photos_are_refused(weights, image):
    with pytest.raises(ValueError, match="uint8"):
        Finder.load(weights).find(image)


def test_random_networks_find_faces_well_formed(weights, monkeypatch):
    monkeypatch.setattr(finder_module, "CANDIDATE_SCORE", 0.0)
    monkeypatch.setattr(finder_module, "FACE_SCORE", 0.0)
    monkeypatch.setattr(finder_module, "MOST_FACES", 3)
    loaded = Finder.load(weights)
    loaded._landmarks.verdict.bias.data[0] = 9.0  # everything is a face
    loaded._landmarks.heat.weight.data *= 200
    loaded._detector.head[1].bias.data[4:] = torch.tensor([-0.5, -0.5, 0.5, -0.5, 0.0, 0.0, -0.4, 0.5, 0.4, 0.5])
    faces = loaded.find(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    assert faces
    for face in faces:
        assert face.landmarks.shape == (68, 2) and face.landmarks.dtype == np.float32
        assert np.isfinite(face.landmarks).all()
        assert 0 <= face.score <= 1
        assert face.source == "builtin"
    assert [face.size_px for face in faces] == sorted((face.size_px for face in faces), reverse=True)


def test_score_grows_with_the_evidence_and_stays_a_chance():
    plain = finder_module.face_score(0.5, 0.5, 0.5, 2.0)
    assert 0 < plain < 1
    assert plain < finder_module.face_score(0.9, 0.5, 0.5, 2.0)
    assert plain < finder_module.face_score(0.5, 0.9, 0.9, 2.0)
    assert plain > finder_module.face_score(0.5, 0.5, 0.5, 5.0)
    assert finder_module.face_score(1.0, 1.0, 1.0, 0.1) <= 1
    assert finder_module.face_score(0.0, 0.0, 0.0, 60.0) >= 0


def test_candidates_of_one_face_become_their_mean():
    points = np.zeros((5, 2))
    near = [Candidate(score, np.array([x, 50.0]), 40.0, points + x) for score, x in ((0.9, 50.0), (0.3, 54.0))]
    far = Candidate(0.5, np.array([150.0, 50.0]), 40.0, points)
    merged = merge([near[1], far, near[0]])
    assert [round(candidate.score, 3) for candidate in merged] == [0.9, 0.5]
    np.testing.assert_allclose(merged[0].centre, [51, 50])
    np.testing.assert_allclose(merged[0].points, 51)


def test_tight_crop_holds_the_face_upright_in_the_middle():
    landmarks = frontal_landmarks(centre=(400.0, 300.0), eye_distance_px=120.0, turn_deg=(0, 0, 30))
    seen = apply(tight_crop(landmarks, 128), landmarks)
    left, right = seen[36:42].mean(0), seen[42:48].mean(0)
    assert abs(left[1] - right[1]) < 1e-6 and left[0] < right[0]
    assert seen.min() > 8 and seen.max() < 119
    np.testing.assert_allclose((seen.min(0) + seen.max(0)) / 2, 63.5, atol=6)


def test_five_points_give_nearly_the_same_crop():
    landmarks = frontal_landmarks()
    corners = np.array([[0.0, 0], [100, 300]])
    one, other = tight_crop(landmarks, 128), crop_of_points(five_points(landmarks), 128)
    np.testing.assert_allclose(apply(one, corners), apply(other, corners), atol=4)


def test_mirror_order_is_its_own_inverse_and_mirrors_a_face():
    np.testing.assert_array_equal(MIRROR_68[MIRROR_68], np.arange(68))
    landmarks = frontal_landmarks(centre=(0.0, 0.0))
    np.testing.assert_allclose(landmarks[MIRROR_68][:48] * [-1, 1], landmarks[:48], atol=1.5)


def on_grey(picture: np.ndarray, size: tuple[int, int], scale: float, at: tuple[int, int]) -> np.ndarray:
    """A grey photo (height, width) with the picture, scaled, at (x, y)."""
    photo = np.full((*size, 3), 120, np.uint8)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    photo[at[1] : at[1] + len(small), at[0] : at[0] + small.shape[1]] = small
    return photo


@shipped
def test_astronaut_is_found_once_with_eyes_and_mouth_in_place(finder, astronaut):
    (face,) = finder.find(astronaut)
    assert face.score > finder_module.UNSURE_SCORE
    for part, place in ((slice(36, 42), (204, 102)), (slice(42, 48), (246, 104)), (slice(48, 68), (223, 145))):
        assert np.linalg.norm(face.landmarks[part].mean(0) - place) < 5
    assert abs(face.pose[2]) < 12


@shipped
@pytest.mark.parametrize("degrees", [-40, 40])
def test_a_tilted_grey_face_is_found(finder, astronaut, degrees):
    turn = cv2.getRotationMatrix2D((224, 115), degrees, 1.0)
    tilted = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    grey = np.repeat(tilted.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    faces = finder.find(grey)
    assert faces and np.linalg.norm(faces[0].landmarks[36:48].mean(0) - apply(turn, [225, 103])) < 8


@shipped
def test_a_face_of_60_px_in_a_photo_of_4000_px(finder, astronaut):
    photo = on_grey(astronaut, (3000, 4000), 0.66, (2500, 1700))
    (face,) = finder.find(photo)
    assert np.linalg.norm(face.landmarks[36:48].mean(0) - (2500 + 0.66 * 225, 1700 + 0.66 * 103)) < 5


@shipped
def test_landmarks_follow_the_photo_when_it_is_shifted(finder, astronaut):
    one = finder.find(astronaut)[0].landmarks
    other = finder.find(np.ascontiguousarray(astronaut[7:, 5:]))[0].landmarks
    assert np.linalg.norm(one - other - (5, 7), axis=1).mean() < 1.5


@shipped
def test_a_face_that_stays_is_followed_without_trembling(finder, astronaut):
    head = np.ascontiguousarray(astronaut[0:280, 90:370])
    noise = np.random.default_rng(0).normal(0, 4, (6, *head.shape))
    clip = np.clip(head + noise, 0, 255).astype(np.uint8)
    followed = finder.follow(clip)
    searched = np.stack([finder.find(frame)[0].landmarks for frame in clip])
    assert np.linalg.norm(followed - searched, axis=2).mean() < 2
    assert followed.std(0).mean() < 0.95 * searched.std(0).mean()


@shipped
def test_frames_without_the_face_are_not_followed(finder, astronaut):
    head = np.ascontiguousarray(astronaut[0:280, 90:370])
    followed = finder.follow(np.stack([np.zeros_like(head), head, np.full_like(head, 90)]))
    assert np.isfinite(followed).all((1, 2)).tolist() == [False, True, False]
    assert np.isnan(finder.follow(np.zeros((2, 64, 64, 3), np.uint8))).all()


@shipped
@pytest.mark.parametrize("name", ["coffee", "rocket", "gravel", "chelsea"])
def test_nothing_is_found_where_nobody_is(finder, name):
    import skimage.data

    picture = getattr(skimage.data, name)()
    assert finder.find(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)) == []
