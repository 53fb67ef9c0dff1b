"""A drawn face with known landmarks, data sets of it, and an eye that always knows where the landmarks are."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from facemotion.datasets.clips import Clip, ClipSetWriter
from facemotion.models.generator import tiny_generator
from facemotion.models.release import save_release


def face_points(size: float = 512.0) -> np.ndarray:
    """(68, 2) px: a symmetric face in a crop of ``size``; the centres of the eyes are 0.28 sizes apart."""
    points = np.zeros((68, 2))
    along = np.linspace(0, np.pi, 17)
    points[:17] = np.column_stack([-0.32 * np.cos(along), -0.1 + 0.45 * np.sin(along)])
    for first, centre in ((17, -0.14), (22, 0.14)):
        across = centre + np.linspace(-0.09, 0.09, 5)
        points[first : first + 5] = np.column_stack([across, [-0.22, -0.24, -0.25, -0.24, -0.22]])
    points[27:31] = np.column_stack([np.zeros(4), np.linspace(-0.15, 0.02, 4)])
    points[31:36] = np.column_stack([np.linspace(-0.06, 0.06, 5), [0.05, 0.06, 0.065, 0.06, 0.05]])
    eye = np.array([[-0.05, 0], [-0.02, -0.02], [0.02, -0.02], [0.05, 0], [0.02, 0.02], [-0.02, 0.02]])
    points[36:42], points[42:48] = np.add(eye, [-0.14, -0.15]), np.add(eye, [0.14, -0.15])
    for first, count, width, height in ((48, 12, 0.1, 0.04), (60, 8, 0.08, 0.01)):
        angle = np.linspace(np.pi, 3 * np.pi, count, endpoint=False)
        mouth = np.column_stack([width * np.cos(angle), 0.17 + height * np.sin(angle)])
        points[first : first + count] = mouth
    return (points + 0.5) * size


def face_picture(size: int = 512, *, seed: int = 0, smile: float = 0.0) -> np.ndarray:
    """The drawn face on a noisy background, RGB uint8; ``smile`` in [0, 1] widens the mouth."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 60, (size // 8, size // 8, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((size, size))
    draw = ImageDraw.Draw(image)
    points = face_points(size)
    points[48:68, 0] = 0.5 * size + (1 + 0.5 * smile) * (points[48:68, 0] - 0.5 * size)
    tone = tuple(int(v) for v in random.integers(120, 220, 3))
    draw.polygon([tuple(p) for p in [*points[:17], *points[26:21:-1], *points[21:16:-1]]], fill=tone)
    for first, end, colour in ((36, 42, "white"), (42, 48, "white"), (48, 60, "brown")):
        draw.polygon([tuple(p) for p in points[first:end]], fill=colour)
    return np.asarray(image).copy()


def known_landmarks(frames: np.ndarray) -> np.ndarray:
    """Finds the drawn face in every frame; the mouth's corners rise and part with the frame's brightness."""
    frames = np.asarray(frames)
    size = frames.shape[1]
    landmarks = np.repeat(face_points(size)[None], len(frames), 0)
    brightness = frames.reshape(len(frames), -1).mean(1) - frames[0].mean()
    landmarks[:, 48] -= brightness[:, None] * [0.004, 0.004] * size
    landmarks[:, 54] += brightness[:, None] * [0.004, -0.004] * size
    return landmarks


def write_clip_set(
    path: Path, *, people: int = 2, expressions=("smile", "blink"), size: int = 128, frames: int = 3, origin="clips"
) -> Path:
    """A clip set of drawn faces: ``people`` times ``expressions`` clips."""
    control = np.linspace(0, 1, frames)
    with ClipSetWriter(path, ["all"]) as writer:
        writer.add(
            0,
            [
                Clip(
                    id=f"p{person}-{name}",
                    person=f"p{person}",
                    source=f"p{person}.png",
                    licence="CC0-1.0",
                    origin=origin,
                    split="validation",
                    expression={name: 1.0},
                    control=control,
                    landmarks=np.repeat(face_points(size)[None], frames, 0),
                    pose=np.zeros((frames, 3)),
                    size_px=size,
                    frames=[face_picture(size, seed=person, smile=a) for a in control],
                )
                for person in range(people)
                for name in expressions
            ],
        )
    return path


def write_weights(path: Path, *, seed: int = 0, preset: str = "default") -> Path:
    """A real release file of a tiny generator."""
    save_release(path, tiny_generator(seed, preset=preset), {"data": "none"}, dtype=torch.float32)
    return path
