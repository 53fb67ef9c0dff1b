"""What the eye of ``facemotion evaluate`` says of motion that is monotone by construction; prints a table.

    python tests/benchmarks/monotone_floor.py DATA HEAD.npz [PEOPLE]

The 3-D teacher performs every expression on photos of validation people at 17 even controls; every vertex goes straight
from its first place to its last one, so that any falling back is the face finder's. Beside it stands the model that
ships on the same photos, each once followed with one fixed frame (`Finder.follow`) and once searched frame by frame.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

CONTROLS = tuple(np.linspace(0, 1, 17).tolist())


def verdict(name: str, landmarks: np.ndarray) -> tuple[bool, float] | None:
    """Whether the leading units are monotone as `facemotion evaluate` counts it, and their mean motion in % IOD."""
    from facemotion.evaluation.measure import ALLOWED_VIOLATION, MOVED
    from facemotion.evaluation.motion import monotonicity_violation, unit_motion
    from facemotion.evaluation.regions import leading_units

    if not np.isfinite(landmarks).all():
        return None
    units = unit_motion(torch.from_numpy(landmarks).double())
    moving = [units[unit] for unit in leading_units({name: 1.0}) if units[unit].abs().max() >= MOVED]
    way = 100 * float(np.mean([abs(float(units[unit][-1])) for unit in leading_units({name: 1.0})]))
    return bool(moving) and max(map(monotonicity_violation, moving)) <= ALLOWED_VIOLATION, way


def found(frames: np.ndarray) -> dict[str, np.ndarray]:
    """Landmarks (T, 68, 2) px of a clip, by both ways of looking."""
    from facemotion.faces.find import find_faces, follow_face

    searched = np.full((len(frames), 68, 2), np.nan)
    for k, frame in enumerate(frames):
        for face in find_faces(np.ascontiguousarray(frame), aligner="builtin")[:1]:
            searched[k] = face.landmarks
    return {"followed": follow_face(frames), "searched": searched}


def clips(data: Path, head_file: Path, count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Expression, frames (17, 256, 256, 3) and first landmarks of the teacher; people evenly from the list."""
    from facemotion.datasets.clip_writer import Source
    from facemotion.datasets.landmark_files import find_landmark_file
    from facemotion.datasets.layouts import find_portraits
    from facemotion.datasets.splits import Splits
    from facemotion.errors import InputError
    from facemotion.media.photos import read_photo
    from facemotion.synthetic.head import HeadModel
    from facemotion.synthetic.recipes import Recipes
    from facemotion.synthetic.renderer import TeacherSettings, teacher_clips

    splits, recipes, head = Splits(), Recipes.load(None), HeadModel.load(head_file)
    items = find_portraits([data], own_source=Source("", ""), person_from="file")
    items = [item for item in items if splits.split_of(item.person) == "validation" and not item.problem]
    settings = TeacherSettings(crop_px=256, turned=0, relit=0, jitter=0, controls=CONTROLS)
    for item in items[:: max(1, len(items) // count)][:count]:
        photo, known = read_photo(item.path).pixels, find_landmark_file(item.path.parent)
        landmarks = known.get(item.path) if known else None
        if landmarks is None:
            print(f"{item.key}: no landmarks")
            continue
        try:
            for clip in teacher_clips(photo, landmarks, head=head, recipes=recipes, settings=settings):
                yield next(iter(clip.expression)), np.stack(clip.frames), clip.landmarks[0]
        except InputError as problem:
            print(f"{item.key}: {problem}")


def main() -> None:
    """Measure and print."""
    from facemotion.evaluation.render import CaseRenderer, control_vectors
    from facemotion.models.release import load_release
    from facemotion.weights.registry import weight_path

    torch.set_num_threads(1)
    generator, _ = load_release(sys.argv[4] if len(sys.argv) > 4 else weight_path("generator"))
    tally = defaultdict(lambda: defaultdict(list))
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    for name, frames, marks in clips(Path(sys.argv[1]), Path(sys.argv[2]), count):
        controls = control_vectors({name: 1.0}, CONTROLS, generator.config.expressions)
        made = CaseRenderer(generator, frames[0], marks).render(controls).frames
        for who, shown in (("teacher", frames), ("model", made)):
            for way, landmarks in found(shown).items():
                tally[name][who, way].append(verdict(name, landmarks))
    columns = [(who, way) for who in ("teacher", "model") for way in ("followed", "searched")]
    print("expression".ljust(11), *(f"{who}, {way}".ljust(30) for who, way in columns))
    for name, results in tally.items():
        cells = []
        for column in columns:
            seen = [result for result in results[column] if result]
            share, way = np.mean([result[0] for result in seen]), np.mean([result[1] for result in seen])
            cells.append(f"{share:4.0%} monotone, way {way:4.1f} %".ljust(30))
        print(name.ljust(11), *cells)


if __name__ == "__main__":
    main()
