"""How many teacher frames a core renders, how that grows with workers, and how well the head fits neutral photos.

    python tests/benchmarks/teacher_throughput.py [DATA]

DATA (default ../shared/data) holds ict-facekit/ict_facekit.npz, london/neutral, canada and landmarks.npz. Rates are
given per second of processor time, fit and mouth included, JPEG files not, so that other programs disturb them little;
the aim is 8 frames a second and core at 256 px. Takes some minutes.
"""

import os
import sys
import time
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.synthetic.fit import fit_head
from facemotion.synthetic.head import HeadModel
from facemotion.synthetic.mouths import MouthLibrary
from facemotion.synthetic.recipes import Recipes
from facemotion.synthetic.renderer import TeacherSettings, teacher_clips

AIM_FRAMES_PER_S = 8.0
PEOPLE_PER_RUN = 3


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    data = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[3] / "shared" / "data")
    head = HeadModel.load(data / "ict-facekit" / "ict_facekit.npz")
    with np.load(data / "landmarks.npz") as stored:
        landmarks = {
            name: stored[name][list(FROM_FACE_MESH), :2].astype(np.float64)
            for name in stored.files
            if name.startswith(("london", "canada")) and not name.endswith(":189")
        }
    neutral = [name for name in landmarks if not name.startswith("london/smile")]
    people = [(_read(data / name), landmarks[name]) for name in neutral[:PEOPLE_PER_RUN]]
    smiles = [name for name in landmarks if name.startswith("london/smile")][:10]
    mouths = MouthLibrary.build((_read(data / name), landmarks[name]) for name in smiles)
    print("crop    workers   frames/s of processor time, per core   frames/s by the clock, all")
    for size in (256, 512):
        _render(people[:1], head, mouths, 64)  # compiles
        for workers in (1, 2):
            per_core, wall = _rate(people, head, mouths, size, workers)
            aim = (
                f"  aim {AIM_FRAMES_PER_S:.0f}: {'met' if per_core >= AIM_FRAMES_PER_S else 'MISSED'}"
                if size == 256
                else ""
            )
            print(f"{size} px  {workers:^7}   {per_core:^37.1f}   {wall:.1f}{aim}")
    errors = np.array([_fit_error(landmarks[name], head) for name in neutral])
    worst = neutral[int(errors.argmax())]
    print(f"\nfit, inner 51 landmarks, {len(errors)} neutral photos, % of the distance of the outer eye corners:")
    mean, median, largest = 100 * errors.mean(), 100 * np.median(errors), 100 * errors.max()
    print(f"mean {mean:.2f}, median {median:.2f}, worst {largest:.2f} ({worst})")


def _read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def _fit_error(landmarks: np.ndarray, head: HeadModel) -> float:
    return fit_head(geometry.apply(geometry.photo_to_crop(landmarks, 512), landmarks), head).inner_error


def _render(people, head: HeadModel, mouths: MouthLibrary, size: int) -> tuple[int, float]:
    """Frames rendered, and processor seconds spent."""
    started, frames = time.process_time(), 0
    for photo, landmarks in people:
        clips = teacher_clips(
            photo, landmarks, head=head, recipes=Recipes.load(), mouths=mouths, settings=TeacherSettings(crop_px=size)
        )
        frames += sum(len(clip.frames) for clip in clips)
    return frames, time.process_time() - started


def _rate(people, head: HeadModel, mouths: MouthLibrary, size: int, workers: int) -> tuple[float, float]:
    """Frames per processor second of one worker, and per second of the clock of all."""
    started = time.monotonic()
    if workers == 1:
        results = [_render(people, head, mouths, size)]
    else:
        with get_context("fork").Pool(workers) as pool:
            results = pool.starmap(_render, [(people, head, mouths, size)] * workers)
    frames = sum(count for count, _ in results)
    return frames / sum(seconds for _, seconds in results), frames / (time.monotonic() - started)


if __name__ == "__main__":
    main()
