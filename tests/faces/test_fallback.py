"""face-alignment behind our own result type: a stand-in for the library, and (slow) the library on random weights."""

import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facemotion.errors import WeightsError
from facemotion.faces.fallback import WEIGHT_NAMES, FallbackDetector
from facemotion.weights import registry as weights
from tests.faces.faces import frontal_landmarks


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Small files in the cache in place of the true weights, with their hashes in the table."""
    monkeypatch.setenv("FACEMOTION_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    for name in WEIGHT_NAMES:
        store(name, name.encode(), monkeypatch)
    return tmp_path / "cache"


def store(name: str, content: bytes, monkeypatch) -> Path:
    path = weights.cache_folder() / weights.WEIGHTS[name].file_name
    path.write_bytes(content)
    row = replace(weights.WEIGHTS[name], sha256=weights.file_sha256(path), size_bytes=len(content))
    monkeypatch.setitem(weights.WEIGHTS, name, row)
    return path


class Library:
    """Stands in for the module ``face_alignment``: notes how it is built, answers what it is told to."""

    LandmarksType = types.SimpleNamespace(TWO_D="2d")

    def __init__(self):
        self.built_with: dict = {}
        self.found_files: dict[str, bytes] = {}
        self.boxes: list = []
        self.landmarks_in_patch: np.ndarray | None = None
        self.seen: list = []
        self.face_detector = types.SimpleNamespace(detect_from_image=self.detect)

    def FaceAlignment(self, landmarks_type, **options):
        self.built_with = {"landmarks_type": landmarks_type, **options}
        folder = Path(torch.hub.get_dir(), "checkpoints")
        self.found_files = {path.name: path.read_bytes() for path in folder.iterdir()}
        return self

    def detect(self, image):
        self.seen.append(image)
        return self.boxes

    def get_landmarks_from_image(self, patch, detected_faces):
        self.seen.append((patch, detected_faces))
        return None if self.landmarks_in_patch is None else [self.landmarks_in_patch]


@pytest.fixture
def library(monkeypatch):
    stand_in = Library()
    monkeypatch.setitem(sys.modules, "face_alignment", stand_in)
    return stand_in


def test_the_library_finds_verified_files_where_it_looks_first(library, stored):
    before = torch.hub.get_dir()
    FallbackDetector.load()
    assert library.built_with["compile"] is False
    assert library.built_with["landmarks_type"] == "2d"
    assert library.found_files == {"s3fd-619a316812.pth": b"s3fd", "2DFAN4-11f355bf06.pth.tar": b"2dfan4"}
    assert torch.hub.get_dir() == before


def test_a_file_that_changes_or_vanishes_after_its_check_is_not_what_is_loaded(library, stored, monkeypatch):
    check, read = weights.verify_file, weights.read_verified

    def spoilt_after_the_check(path, file):
        check(path, file)
        path.write_bytes(b"something else")

    def gone_after_the_read(path, sha256):
        content = read(path, sha256)
        path.unlink()
        return content

    monkeypatch.setattr(weights, "read_verified", gone_after_the_read)
    FallbackDetector.load(offline=True)
    assert library.found_files == {"s3fd-619a316812.pth": b"s3fd", "2DFAN4-11f355bf06.pth.tar": b"2dfan4"}
    store("s3fd", b"s3fd", monkeypatch)
    monkeypatch.setattr(weights, "verify_file", spoilt_after_the_check)
    library.built_with = {}
    with pytest.raises(WeightsError, match="Hash mismatch"):
        FallbackDetector.load(offline=True)
    assert library.built_with == {}


def test_the_library_cannot_download_by_itself(library, stored, monkeypatch):
    """Neither through the name that it imports nor through torch's own; whatever becomes of its files."""
    from torch.hub import download_url_to_file

    def ask_for_a_file_that_is_gone(*_, **__):
        next(Path(torch.hub.get_dir(), "checkpoints").iterdir()).unlink()
        download_url_to_file("http://127.0.0.1:9/s3fd.pth", str(stored / "elsewhere.pth"))

    before = torch.hub.urlopen
    monkeypatch.setattr(library, "FaceAlignment", ask_for_a_file_that_is_gone)
    with pytest.raises(WeightsError, match=r"not laid out for it: http://127\.0\.0\.1:9/s3fd\.pth"):
        FallbackDetector.load(offline=True)
    assert not (stored / "elsewhere.pth").exists()
    assert torch.hub.urlopen is before


def test_a_damaged_file_never_reaches_the_library(library, stored):
    (stored / "2DFAN4-11f355bf06.pth.tar").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"(?i)hash mismatch"):
        FallbackDetector.load(offline=True)
    assert library.built_with == {}


def test_weights_that_cannot_be_had_are_one_clear_line(library, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEMOTION_CACHE", str(tmp_path / "empty"))
    with pytest.raises(WeightsError, match="s3fd") as caught:
        FallbackDetector.load(offline=True)
    assert "facemotion weights fetch s3fd" in caught.value.hint
    assert library.built_with == {}


def test_weights_that_do_not_fit_are_an_error_of_ours(library, stored, monkeypatch):
    before = torch.hub.get_dir()

    def refuse(*_, **__):
        raise RuntimeError("Error(s) in loading state_dict for FAN:\n\tMissing key(s)")

    monkeypatch.setattr(library, "FaceAlignment", refuse)
    with pytest.raises(WeightsError, match=r"do not fit face-alignment 1\.5\.0: Error\(s\) in loading"):
        FallbackDetector.load()
    assert torch.hub.get_dir() == before


def test_no_face_is_an_empty_list(library, stored):
    finder = FallbackDetector.load()
    assert finder.find(np.zeros((200, 300, 3), np.uint8)) == []
    library.boxes = [[10, 10, 90, 90, 0.9]]  # a box, but the landmark network answers None
    assert finder.find(np.zeros((200, 300, 3), np.uint8)) == []


def test_landmarks_come_back_to_the_photo(library, stored):
    """A small box in a large photo: shrunk for the detector, enlarged for the landmarks."""
    finder = FallbackDetector.load()
    library.boxes = [[320.0, 160, 340, 180, 0.8]]  # in the shrunk picture
    library.landmarks_in_patch = frontal_landmarks(centre=(383.5, 383.5), eye_distance_px=160)
    [face] = finder.find(np.zeros((1000, 2560, 3), np.uint8))
    assert library.seen[0].shape == (500, 1280, 3)
    patch, [box] = library.seen[1]
    assert patch.shape == (768, 768, 3)
    assert box == pytest.approx([223.5, 223.5, 543.5, 543.5, 0.8])
    assert face.landmarks == pytest.approx(frontal_landmarks(centre=(660, 340), eye_distance_px=20), abs=1e-3)
    assert face.source == "face-alignment" and face.score == 0.8
    assert face.box[0] == pytest.approx(face.landmarks[:, 0].min())
    assert face.pose == pytest.approx((0, 0, 0), abs=1)


@pytest.mark.parametrize("landmarks", [np.full((68, 2), 300.0), np.full((68, 2), np.nan)], ids=["a point", "nan"])
def test_landmarks_without_extent_are_no_face(library, stored, landmarks):
    finder = FallbackDetector.load()
    library.boxes = [[100.0, 100, 200, 200, 0.8], [5, 5, 5, 5, 0.9]]
    library.landmarks_in_patch = landmarks
    assert finder.find(np.zeros((400, 400, 3), np.uint8)) == []


def test_tiny_photos_are_padded_for_the_detector(library, stored):
    FallbackDetector.load().find(np.zeros((1, 1, 3), np.uint8))
    assert library.seen[0].shape == (128, 128, 3)


@pytest.mark.slow
def test_the_true_library_on_random_weights(tmp_path, monkeypatch):
    """Everything of the real library but the content of its weights: architecture, placing, loading, answers."""
    import warnings

    monkeypatch.setenv("FACEMOTION_CACHE", str(tmp_path))

    def refuse(*_, **__):
        raise AssertionError("the library went to the network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from face_alignment.detection.sfd.net_s3fd import s3fd
        from face_alignment.models import FAN

        monkeypatch.setattr("face_alignment.utils.download_url_to_file", refuse)
    torch.manual_seed(0)
    detector = s3fd()
    for name, parameter in detector.named_parameters():
        if name.endswith("mbox_conf.bias"):
            torch.nn.init.constant_(parameter[:-1], 9)  # all places are background
    for name, network in (("s3fd", detector), ("2dfan4", FAN(4))):
        path = tmp_path / "network.pth"
        torch.save(network.state_dict(), path)
        store(name, path.read_bytes(), monkeypatch)
    finder = FallbackDetector.load(offline=True)
    photo = np.random.default_rng(0).integers(0, 256, (150, 180, 3), dtype=np.uint8)
    assert finder.find(photo) == []
    face = finder._align(photo, np.array([40.0, 40, 120, 120, 0.9]))
    assert face is None or (face.landmarks.shape == (68, 2) and face.source == "face-alignment")
    # And the same library with the landmark network's weights in the detector's place.
    store("s3fd", (tmp_path / "network.pth").read_bytes(), monkeypatch)
    with pytest.raises(WeightsError, match="do not fit"):
        FallbackDetector.load(offline=True)
