"""A clip set of drawn faces and a training small enough to run in a second."""

import cv2
import numpy as np
import pytest

from facemotion.datasets.clips import Clip, ClipSetWriter, Source
from facemotion.training.config import TrainConfig, override
from facemotion.training.distributed import World
from facemotion.training.run import open_training

SIZE = 64
TINY = [
    "phases=0:32/64x2",
    "generator.input_px=32",
    "generator.paint_px=64",
    "generator.widths=8,8,16",
    "generator.decoder_widths=8,8,16",
    "generator.embedding=8",
    "adversary.face_px=32",
    "images=16",
    "log_images=4",
    "sample_images=1M",
    "optimiser.warmup_images=4",
]


def landmarks_at(opening: float) -> np.ndarray:
    """68 points of a drawn face whose mouth is ``opening`` px high."""
    angle = np.linspace(0.1 * np.pi, 0.9 * np.pi, 17)
    jaw = np.stack([32 - 22 * np.cos(angle), 30 + 24 * np.sin(angle)], 1)
    brows = np.stack([np.r_[np.linspace(16, 27, 5), np.linspace(37, 48, 5)], np.full(10, 20.0)], 1)
    bridge = np.stack([np.full(4, 32.0), np.linspace(25, 36, 4)], 1)
    nostrils = np.stack([np.linspace(28, 36, 5), np.full(5, 38.0)], 1)
    turn = np.linspace(np.pi, -np.pi, 7)[:6]
    eyes = [np.stack([x + 4 * np.cos(turn), 26 - 2 * np.sin(turn)], 1) for x in (22, 42)]
    turn = np.linspace(np.pi, -np.pi, 13)[:12]
    outer = np.stack([32 + 9 * np.cos(turn), 46 - (2 + opening / 2) * np.sin(turn)], 1)
    turn = np.linspace(np.pi, -np.pi, 9)[:8]
    inner = np.stack([32 + 7 * np.cos(turn), 46 - opening / 2 * np.sin(turn)], 1)
    return np.concatenate([jaw, brows, bridge, nostrils, *eyes, outer, inner])


def teeth_at(opening: float) -> np.ndarray:
    """Five points on the edge of each row of teeth: the upper one in the middle of the mouth, the lower one below."""
    x = 32 + np.linspace(-4, 4, 5)
    return np.concatenate([np.column_stack([x, np.full(5, y)]) for y in (46.0, 46 + opening / 2)])


def draw(points: np.ndarray, skin: tuple[int, int, int]) -> np.ndarray:
    """A face with these landmarks, RGB (64, 64, 3)."""
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    cv2.ellipse(image, (32, 34), (22, 27), 0, 0, 360, skin, -1)
    white, lips, dark = (250, 250, 250), (150, 40, 40), (30, 0, 0)
    for first, last, colour in ((36, 42, white), (42, 48, white), (48, 60, lips), (60, 68, dark)):
        cv2.fillPoly(image, [points[first:last].round().astype(np.int32)], colour)
    return image


def drawn_clip(person: str, expression: str, *, origin: str, split: str, skin: tuple[int, int, int]) -> Clip:
    control = np.array([0.0, 0.3, 0.6, 1.0], np.float32)
    points = np.stack([landmarks_at(10 * c if expression != "blink" else 0.0) for c in control])
    frames = [draw(p, skin) for p in points]
    return Clip(
        id=f"{person}-{expression}",
        person=person,
        source=f"{person}.png",
        licence="CC0-1.0",
        origin=origin,
        split=split,
        expression={expression: 1.0},
        control=control,
        landmarks=points,
        pose=np.zeros((4, 3)),
        teeth=np.stack([teeth_at(10 * c) for c in control]) if origin == "teacher" else None,
        size_px=SIZE,
        frames=frames,
    )


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """A finished clip set: four people to train on and one to validate, smile and surprise each."""
    folder = tmp_path_factory.mktemp("train") / "clips"
    people = [f"drawn-{i}" for i in range(5)]
    with ClipSetWriter(folder, people, sources=[Source("Drawn faces", "CC0-1.0", "these tests")]) as writer:
        for number, person in enumerate(people):
            split = "validation" if number == 4 else "train"
            skin = (230 - 25 * number, 180 - 20 * number, 150 - 20 * number)
            smile = drawn_clip(person, "smile", origin="pairs", split=split, skin=skin)
            surprise = drawn_clip(person, "surprise", origin="teacher", split=split, skin=skin)
            writer.add(number, [smile, surprise])
    return folder


@pytest.fixture
def tiny():
    """The configuration of a tiny training, with further assignments."""
    return lambda *changes: override(TrainConfig(), [*TINY, *changes])


@pytest.fixture
def training(clip_folder, tiny, tmp_path):
    """Open the tiny training in a folder of its own (``folder=`` for another), with further assignments."""

    def open_it(*changes, folder=None, init=None):
        world = World.init("cpu")
        return open_training([clip_folder], tiny(*changes), folder=folder or tmp_path / "run", world=world, init=init)

    return open_it
