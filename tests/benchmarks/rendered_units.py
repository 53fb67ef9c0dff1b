"""What the landmarker scores on faces whose units are known: rendered ones, for `landmarker.calibration` to fit to.

    python tests/benchmarks/rendered_units.py train FOLDER... --out TRAIN.npz --people 60
    python tests/benchmarks/rendered_units.py validation FOLDER... --out HELD.npz --people 30
    python -m facemotion.faces.landmarker.calibration TRAIN.npz facemotion/assets/unit_calibration.json \
        --held-out HELD.npz --table TABLE.md
    python tests/benchmarks/rendered_units.py lids FOLDER... --out PICTURES --people 60

FOLDER holds portraits, as for ``facemotion prepare``; people who do not look neutral into the camera are passed over.
Of each, every unit alone, at one of five strengths in turn, and random mixes are rendered into the photo as in a clip,
and measured as in a video, where the face was. The split is that of `datasets.splits`. Some 4 seconds a person on one
core. ``lids`` closes the eyes of validation people alone, and keeps the pictures in which that is not seen.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from facemotion.compositing.occluders import occluders_of
from facemotion.compositing.performer import Performer
from facemotion.datasets.layouts import PhotoItem, find_portraits
from facemotion.datasets.splits import Splits
from facemotion.errors import FacemotionError
from facemotion.expressions.units import UNIT_COUNT, UNIT_INDEX, UNIT_NAMES, UNITS, words_for
from facemotion.faces.find import find_faces
from facemotion.faces.landmarker.calibration import shipped_calibration
from facemotion.faces.mesh import landmarker, measure_face
from facemotion.faces.occlusion import find_occlusion
from facemotion.faces.types import Face
from facemotion.head.rig import HeadMotion
from facemotion.media.photos import read_photo

LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
MIXES = 24
LONGEST_PX = 512
"""Photos are shrunk to this."""

_MOST_AT_REST = {"mouthSmile": 0.15, "mouthUpperUp": 0.1, "jawOpen": 0.05, "eyeBlink": 0.35, "mouthPucker": 0.5}
"""Scores up to which a face counts as neutral."""
_MOST_TURN_DEG = 15.0
_TURNED = 0.4  # share of the mixes in which the head turns, too
_LOOKS = {
    "lookLeft": ("eyeLookOutLeft", "eyeLookInRight"),
    "lookRight": ("eyeLookInLeft", "eyeLookOutRight"),
    "lookUp": ("eyeLookUpLeft", "eyeLookUpRight"),
    "lookDown": ("eyeLookDownLeft", "eyeLookDownRight"),
}
"""Both eyes look the same way."""
_AGAINST = (
    ("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"), ("lookLeft", "lookRight"), ("lookUp", "lookDown"),
    ("eyeBlink", "eyeWide"), ("mouthSmile", "mouthFrown"), ("browDown", "browOuterUp"), ("eyeBlink", "lookUp"),
    ("mouthRollLower", "mouthPucker"),
)  # fmt: skip
"""No face does both."""
CLOSED = 0.5
"""What eyeBlink should read at least on closed lids."""
_LIDS = [UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]]


def words() -> dict[str, tuple[str, ...]]:
    """What is rendered, and the units that each word stands for; the head has no tongue."""
    names = {}
    for word in words_for(UNIT_NAMES):
        if word != "tongueOut" and not word.startswith("eyeLook"):
            names[word] = tuple(unit.name for unit in UNITS if word in (unit.name, unit.stem))
    return names | _LOOKS


def shown(strengths: dict[str, float], source: np.random.Generator | None = None) -> np.ndarray:
    """(52,) units of words at strengths; with a source, sides of half of the pairs differ."""
    units = np.zeros(UNIT_COUNT, np.float32)
    for word, strength in strengths.items():
        sides = words()[word]
        uneven = source is not None and len(sides) == 2 and word not in _LOOKS and source.random() < 0.5
        for name in sides:
            units[UNIT_INDEX[name]] = strength * (source.uniform(0, 1) if uneven and source is not None else 1)
    close, jaw = UNIT_INDEX["mouthClose"], UNIT_INDEX["jawOpen"]
    units[jaw] = max(units[jaw], units[close])  # lips are kept together while the jaw is open
    return units


def against_none(chosen: list[str]) -> list[str]:
    """The words without those that go against one before."""
    for one, other in _AGAINST:
        if one in chosen and other in chosen:
            chosen.remove(other)
    return chosen


def performances(number: int, seed: int) -> Iterator[tuple[np.ndarray, HeadMotion | None]]:
    """The units (52,) that a person shows, and turns of the head: rest, every word alone, and random mixes."""
    source = np.random.default_rng([seed, number])
    yield np.zeros(UNIT_COUNT, np.float32), None
    for place, word in enumerate(words()):
        yield shown({word: LEVELS[(place + number) % len(LEVELS)]}), None
    for _ in range(MIXES):
        chosen = against_none(source.choice(list(words()), source.integers(2, 7), replace=False).tolist())
        head = None
        if source.random() < _TURNED:
            yaw, pitch, roll = source.uniform(-1, 1, 3) * (10, 7, 8)
            head = HeadMotion(yaw=yaw, pitch=pitch, roll=roll)
        units = shown({word: source.uniform(0, 1) for word in chosen}, source)
        if "mouthClose" not in chosen:  # alone it is a habit of few
            yield units, head


def shrunk(photo: np.ndarray) -> np.ndarray:
    """A photo no larger than `LONGEST_PX`."""
    ratio = min(1, LONGEST_PX / max(photo.shape[:2]))
    size = (round(photo.shape[1] * ratio), round(photo.shape[0] * ratio))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def neutral_face(pixels: np.ndarray) -> Face | None:
    """The face of a photo, where it is one, at rest and towards the camera."""
    faces = find_faces(pixels, aligner="builtin")
    if len(faces) != 1:
        return None
    face = measure_face(pixels, faces[0])
    if max(map(abs, face.pose[:2])) > _MOST_TURN_DEG:
        return None
    scores = face.require_scores()
    for stem, most in _MOST_AT_REST.items():
        if max(scores[UNIT_INDEX[unit.name]] for unit in UNITS if stem in (unit.name, unit.stem)) > most:
            return None
    return face


class Subject:
    """A person at rest, in a photo of at most `LONGEST_PX`, who can perform."""

    def __init__(self, photo: np.ndarray, face: Face, *, seed: int):
        occlusion = find_occlusion(photo, face.landmarks)
        self.face, self.eyes_hidden = face, occlusion.eyes_hidden
        self.performer = Performer(
            photo,
            face.require_points(),
            face.landmarks,
            scores=face.scores,
            occluders=occluders_of(occlusion, photo, face.landmarks),
            seed=seed,
        )

    @classmethod
    def of(cls, item: PhotoItem, *, seed: int) -> "Subject | None":
        """None where they are passed over."""
        photo = shrunk(read_photo(item.path).pixels)
        face = neutral_face(photo)
        return None if face is None else cls(photo, face, seed=seed)

    def frame(self, units: np.ndarray, head: HeadMotion | None = None) -> np.ndarray:
        """The photo with the face showing units (52,)."""
        return self.performer.composite(self.performer.render(units - self.performer.own, head))

    def scores(self, frame: np.ndarray) -> np.ndarray | None:
        """(52,) what the landmarker says of a frame, None where it sees no face."""
        seen = landmarker().follow(frame, self.face.require_points())
        return None if seen is None else seen.require_scores()


def measured(item: PhotoItem, number: int, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Scores (N, 52) and strengths (N, 52) of the ``number``-th person; None where they are passed over."""
    subject = Subject.of(item, seed=number)
    if subject is None:
        return None
    scores, strengths = [], []
    for units, head in performances(number, seed):
        read = subject.scores(subject.frame(units, head))
        if read is not None:
            scores.append(read)
            strengths.append(units)
    return np.array(scores), np.array(strengths)


def measure_lids(items: Iterable[PhotoItem], *, people: int, pictures: Path) -> None:
    """Print how eyeBlink reads closed lids whose eyes are in sight; frames that fail go to a folder, at full size."""
    read, count = [], 0
    pictures.mkdir(parents=True, exist_ok=True)
    for item in items:
        subject = Subject.of(item, seed=0) if count < people else None
        if subject is None or any(subject.eyes_hidden):
            continue
        count += 1
        units = subject.performer.own.copy()
        units[_LIDS] = 1
        frame = subject.frame(units)
        scores = subject.scores(frame)
        scores = np.zeros(UNIT_COUNT, np.float32) if scores is None else scores
        strengths = np.stack([scores, shipped_calibration().strengths(scores)])[:, _LIDS]
        read.append(strengths)
        if strengths[1].min() < CLOSED:
            cv2.imwrite(str(pictures / f"{item.person}.png"), frame[..., ::-1])
            print(f"{item.person}: score {strengths[0].round(2)}, calibrated {strengths[1].round(2)}", flush=True)
    raw, fitted = (np.array(read)[:, kind] for kind in (0, 1))
    print(f"{raw.size} lids of {count} people: mean score of eyeBlink {raw.mean():.2f}")
    print(f"at least {CLOSED:g}: score {(raw >= CLOSED).mean():.1%}, calibrated {(fitted >= CLOSED).mean():.1%}")


def drawn(items: Sequence[PhotoItem], split: str, seed: int) -> list[PhotoItem]:
    """The people of a split in random order, the sets by turns."""
    source, splits = np.random.default_rng(seed), Splits()
    sets: dict[str, list[PhotoItem]] = {}
    for place in source.permutation(len(items)):
        item = items[place]
        if splits.split_of(item.person) == split:
            sets.setdefault(item.person.split("-")[0], []).append(item)
    return [item for several in zip_longest(*sets.values()) for item in several if item is not None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "validation", "lids"])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    portraits = find_portraits(options.folders)
    if options.what == "lids":
        measure_lids(drawn(portraits, "validation", options.seed), people=options.people, pictures=options.out)
        return 0
    scores, strengths, people = [], [], []
    for item in drawn(portraits, options.what, options.seed):
        if len(scores) == options.people:
            break
        try:
            found = measured(item, len(scores), options.seed)
        except FacemotionError as error:
            print(f"{item.person}: {error}", file=sys.stderr)
            continue
        if found is not None:
            scores.append(found[0])
            strengths.append(found[1])
            people += [item.person] * len(found[0])
            print(f"{len(scores)} of {options.people}: {item.person}", flush=True)
            np.savez(options.out, scores=np.concatenate(scores), strengths=np.concatenate(strengths), people=people)
    return 0


if __name__ == "__main__":
    sys.exit(main())
