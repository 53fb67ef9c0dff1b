"""What every test may use: a tiny generator as a real release file, a drawn face, and a finder that knows it.

No test reaches the network or the user's own cache.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facemotion.faces.types import Face
from tests.faces.faces import frontal_landmarks

PHOTO_SIZE_PX = (200, 240)
"""(width, height) of the drawn photo."""


SMOKE = (
    "cli/test_sample.py",
    "compositing/test_face_in_photo.py",
    "expressions/",
    "faces/test_geometry.py",
    "models/test_generator.py",
    "test_imports.py",
    "test_readme.py",
    "test_shipped_weights.py",
    "test_top_level.py",
)
"""Files and folders of tests that together say within a minute whether anything large is broken (marker ``smoke``)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name = item.path.relative_to(Path(__file__).parent).as_posix()
        if name.startswith(SMOKE):
            item.add_marker("smoke")


def pytest_configure(config: pytest.Config) -> None:
    """Commands that tests start can be interrupted, also where a shell ran the tests in the background; and they take
    what Numba compiled from this process and earlier runs."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(config.rootpath / ".pytest_cache" / "kernels"))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_process_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test that failed has started does not go on beside the others."""
    started: list[subprocess.Popen] = []
    create = subprocess.Popen.__init__

    def remember(process: subprocess.Popen, *words: object, **settings: object) -> None:
        create(process, *words, **settings)
        started.append(process)

    monkeypatch.setattr(subprocess.Popen, "__init__", remember)
    yield
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the user's reaches the tests, and nothing is downloaded."""
    for name in ("FACEMOTION_WEIGHTS", "FACEMOTION_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FACEMOTION_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("FACEMOTION_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release file of a small generator with random weights."""
    from facemotion.models.release import save_release
    from tests.models.test_generator import lively

    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_release(path, lively(), {"data": "none"})
    return path


def face_at(centre: tuple[float, float], *, eye_distance_px: float = 40.0) -> Face:
    """A frontal face with its box, as a finder would give it."""
    points = frontal_landmarks(centre=centre, eye_distance_px=eye_distance_px)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return Face(points, (float(x0), float(y0), float(x1), float(y1)), 0.99, (0.0, 0.0, 0.0))


def draw_photo(faces: list[Face], *, size_px: tuple[int, int] = PHOTO_SIZE_PX) -> np.ndarray:
    """Ovals with eyes and a mouth on a gradient, uint8 (H, W, 3): a photo that everybody may publish."""
    import cv2

    width, height = size_px
    photo = np.empty((height, width, 3), np.uint8)
    photo[..., 0] = np.linspace(40, 120, width)
    photo[..., 1] = np.linspace(90, 160, height)[:, None]
    photo[..., 2] = 130
    for face in faces:
        points = np.rint(face.landmarks).astype(int)
        cv2.fillConvexPoly(photo, cv2.convexHull(points), (224, 180, 150))
        for part in (slice(36, 42), slice(42, 48)):
            cv2.fillPoly(photo, [points[part]], (60, 40, 30))
        cv2.fillPoly(photo, [points[48:60]], (170, 80, 80))
    return photo


def measured_as(face: Face) -> Face:
    """What the landmarker would say of a drawn face: the canonical head, laid on its landmarks."""
    from safetensors.numpy import load_file

    from facemotion.faces.ibug68 import FROM_FACE_MESH
    from facemotion.weights.registry import ASSETS

    canonical = load_file(ASSETS / "landmarker.safetensors")["canonical.points"].astype(np.float64) * [1, -1, 1]
    ours = canonical[list(FROM_FACE_MESH), :2]
    (scale_x, scale_y), shift = (face.landmarks.std(0) / ours.std(0)), face.landmarks.mean(0)
    points = np.zeros((478, 3), np.float32)
    points[:468] = (canonical - [*ours.mean(0), 0]) * [scale_x, scale_y, scale_x] + [*shift, 0]
    for eye, (outer, inner) in ((468, (33, 133)), (473, (362, 263))):
        centre = (points[outer, :2] + points[inner, :2]) / 2
        radius = 0.2 * np.linalg.norm(points[inner, :2] - points[outer, :2])
        points[eye : eye + 5, :2] = centre + radius * np.array([(0, 0), (1, 0), (0, -1), (-1, 0), (0, 1)])
    return replace(face, points=points, scores=np.zeros(52, np.float32), presence=1.0)


@pytest.fixture
def known_faces(monkeypatch: pytest.MonkeyPatch) -> list[Face]:
    """The faces that the finder will find in every photo: one, until a test changes the list."""
    import facemotion.faces.find
    import facemotion.faces.mesh

    faces = [face_at((100.0, 110.0))]
    monkeypatch.setattr(facemotion.faces.find, "find_faces", lambda image, *, aligner="auto", on_note=None: list(faces))
    monkeypatch.setattr(facemotion.faces.mesh, "measure_face", lambda image, face: measured_as(face))
    return faces


@pytest.fixture
def photo(tmp_path: Path, known_faces: list[Face]) -> Path:
    """A drawn photo of the known face, 200 × 240 px, as png."""
    from PIL import Image

    path = tmp_path / "photo.png"
    Image.fromarray(draw_photo(known_faces)).save(path)
    return path
