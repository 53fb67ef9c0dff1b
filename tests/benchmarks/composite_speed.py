"""Time and memory of putting one frame back into its photo, network not included.

Run from the project's root:  python -m tests.benchmarks.composite_speed
The face moves, is relit and painted as a laughing mouth would be. Times are the median of some frames; CPU time is
that of all threads together. Two cores are assumed (OMP_NUM_THREADS and the like are left as they are).
"""

import resource
import time

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from facemotion.compositing.composite import Composite
from tests.faces.faces import frontal_landmarks

FRAMES = 9
CASES = (
    # name, photo (width, height) px, distance of the eyes px
    ("small face in a 12 MP photo", (4000, 3000), 25),
    ("portrait of 1000 px", (800, 1000), 170),
    ("12 MP portrait", (3000, 4000), 570),
)


def laughing() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Flow, shade, mask and colour as a generator gives them: a dropped jaw, raised brows, a painted mouth."""
    y, x = (np.mgrid[0:128, 0:128] + 0.5) / 128
    flow = np.zeros((128, 128, 2), np.float32)
    flow[..., 1] -= 0.06 * np.exp(-((x - 0.5) ** 2 / 0.03 + (y - 0.78) ** 2 / 0.01))
    flow[..., 1] += 0.02 * np.exp(-((x - 0.5) ** 2 / 0.04 + (y - 0.33) ** 2 / 0.004))
    shade = 0.1 * np.exp(-((x - 0.35) ** 2 + (y - 0.6) ** 2) / 0.002).astype(np.float32)
    y, x = (np.mgrid[0:512, 0:512] + 0.5) / 512
    mask = np.clip(4 - 4 * (((x - 0.5) / 0.12) ** 2 + ((y - 0.72) / 0.07) ** 2), 0, 1).astype(np.float32)
    colour = np.where(np.abs(y - 0.7)[..., None] < 0.02, 0.8, -0.8).repeat(3, axis=2).astype(np.float32)
    return flow, shade, mask, colour


def textured(width: int, height: int) -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def peak_mb() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    table = Table(title="one frame of facemotion.compositing.composite")
    for title in ("case", "region px", "prepare ms", "frame ms", "CPU ms", "in one buffer ms", "memory MB"):
        table.add_column(title, justify="left" if title == "case" else "right")
    motion = laughing()
    for name, (width, height), eye_distance_px in CASES:
        photo = textured(width, height)
        landmarks = frontal_landmarks(centre=(width / 2, height / 2), eye_distance_px=eye_distance_px)
        before_mb = peak_mb()
        started = time.perf_counter()
        composite = Composite(photo, landmarks)
        prepared_s = time.perf_counter() - started
        walls, cpus, buffered = [], [], []
        buffer = composite.frame(*motion)
        for _ in range(FRAMES):
            wall, cpu = time.perf_counter(), time.process_time()
            composite.frame(*motion)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
            wall = time.perf_counter()
            composite.frame(*motion, onto=buffer)
            buffered.append(time.perf_counter() - wall)
        x0, y0, x1, y1 = composite.region
        times = [prepared_s, np.median(walls), np.median(cpus), np.median(buffered)]
        table.add_row(
            name,
            f"{x1 - x0}×{y1 - y0}",
            *(f"{1000 * float(seconds):.1f}" for seconds in times),
            f"+{peak_mb() - before_mb:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
