"""Whether leaks of units are drawn: where the renderer's own flow takes the landmarks, read as frames are.

    python -m tests.benchmarks.drawn_units FOLDER... [--people 4] [--seed 1]

FOLDER holds portraits, as for ``facemotion evaluate units``, whose order of people this follows. Each unit is asked at
0.8, and read twice by the head fitted to landmarks: of landmarks that move as the head says, and of landmarks that
move as the pixels of the skin do. No landmarker looks at anything. Irises and the inner edges of parted lips, which
layers draw over the skin, do not move with it. Prints Markdown; some 10 seconds a person on one core.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from facemotion.evaluation.actor import Actor
from facemotion.evaluation.landmark_units import LandmarkReader
from facemotion.evaluation.markdown import table
from facemotion.evaluation.unit_readings import COMPANIONS
from facemotion.evaluation.unit_scores import LEVELS, WORDS, excess, indices, target
from facemotion.evaluation.units import LONGEST_PX, find_subjects
from facemotion.faces import geometry

STRENGTH = LEVELS[-1]
_ROUNDS, _STEP = 30, 0.7
"""Of the search for the place whose pixel came from a landmark."""


class Drawn:
    """A person whose frames are known by the flow that draws them."""

    def __init__(self, photo: Path):
        self.actor = Actor.of(photo, longest_px=LONGEST_PX)
        self.reader = LandmarkReader.on(self.actor.seen)
        points = self.actor.seen.require_points()
        self.size_px, self.to_photo = 1024, geometry.invert(geometry.photo_to_crop(self.actor.landmarks, 1024))
        self.at = geometry.apply(geometry.invert(self.to_photo), points[:468, :2].astype(np.float64))

    def moved(self, units: np.ndarray) -> np.ndarray:
        """(478, 3) photo px of the landmarks, moved as the skin is at the units (52,)."""
        flow = self.actor.performer.render(self.actor.control(units)).flow
        start = (self.at + 0.5) / self.size_px
        place = start.copy()
        for _ in range(_ROUNDS):
            at = (place * len(flow) - 0.5).astype(np.float32)
            came = cv2.remap(flow, at[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
            place += _STEP * (start - (place + came))
        points = self.actor.seen.require_points().astype(np.float64)
        points[:468, :2] = geometry.apply(self.to_photo, place * self.size_px - 0.5)
        return points

    def changes(self, word: str) -> tuple[np.ndarray, np.ndarray]:
        """(52,) what a word changes as it is drawn, and as the head says."""
        beside = {COMPANIONS[word]: STRENGTH} if word in COMPANIONS else {}
        asked, without = target(**beside, **{word: STRENGTH}), target(**beside)
        drawn, said = (self.reader.read(move(asked), move(without)) for move in (self.moved, self.reader.moved))
        return drawn, said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    subjects = find_subjects(options.folders, seed=options.seed)[: options.people]
    people = [Drawn(subject.photo) for subject in subjects]
    rows = []
    for word in WORDS:
        drawn, said = np.array([person.changes(word) for person in people]).transpose(1, 0, 2)
        own = indices(word)
        beyond = excess(word, *(np.repeat(each[:, None], len(LEVELS), axis=1) for each in (drawn, said)))
        rows.append([word, f"{drawn[:, own].mean():.2f}", f"{said[:, own].mean():.2f}"])
        rows[-1] += [f"{beyond.other} {beyond.change:+.2f}"]
        print(word, file=sys.stderr, flush=True)
    print(table(["unit", "drawn", "as the head says", "moved beyond what the head says"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
