"""Rendered faces whose units are known, and the same faces at rest, for `facemotion.training.unit_reader`.

    python -m tests.benchmarks.rendered_changes FOLDER... --out CHANGES.npz [--people 115]
    python -m facemotion.training.unit_reader CHANGES.npz facemotion/assets/unit_reader.safetensors
    python -m facemotion.weights.registry

FOLDER holds portraits, as for ``facemotion prepare``. Of people who are trained on and look neutral into the camera,
every unit alone at four strengths, mixes, named expressions and frames of speech are rendered as in a clip, of every
second person with the generator; most of it with a turned head, smaller, and compressed. Some 25 seconds a person on
one core.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from facemotion.api import generator_path, load_network
from facemotion.datasets.layouts import find_portraits
from facemotion.errors import FacemotionError
from facemotion.evaluation.actor import Actor
from facemotion.evaluation.performances import speech
from facemotion.evaluation.unit_scores import LEVELS, WORDS, target
from facemotion.expressions.recipes import Recipes
from facemotion.faces.mesh import landmarker
from facemotion.head.rig import HeadMotion
from facemotion.media.photos import read_photo
from facemotion.models.inference import CorrectionNetwork
from tests.benchmarks.rendered_units import against_none, drawn, neutral_face, shown, shrunk, words

LONGEST_PX = 640
RESTS, MIXES, SPOKEN = 6, 64, 48
SPEECH_S, SPEECH_FPS = 20, 30
_TURNED = 0.6  # share of the pictures in which the head turns
_MOST_TURN_DEG = (12.0, 8.0, 8.0)
_SMALLEST, _QUALITY = 0.5, (60, 95)

Shot = tuple[str, np.ndarray, HeadMotion | None]
"""A kind, units (52,) and a turn; "rest", "mix" and "speech" with losses of a video, "alone" and "first" without."""


def shots(source: np.random.Generator, seed: int, recipes: Recipes) -> Iterator[Shot]:
    """What a person shows."""
    yield "first", target(), None
    for word in WORDS:
        for level in LEVELS:
            yield "alone", target(**{"jawOpen": level, word: level} if word == "mouthClose" else {word: level}), None
    for _ in range(RESTS):
        yield "rest", target(), turn(source)
    for number in range(MIXES):
        if number % 4 == 3:
            name = str(source.choice(list(recipes.by_name)))
            units = np.clip(recipes.draw(name, None) * source.uniform(0.2, 1.1), 0, 1)
        else:
            chosen = source.choice(list(words()), source.integers(1, 8), replace=False).tolist()
            mixed = {word: source.uniform(0, 1) ** 0.8 for word in against_none(chosen) if word != "mouthClose"}
            units = shown(mixed, source)
        yield "mix", units.astype(np.float32), turn(source)
    spoken = speech(seconds=SPEECH_S, fps=SPEECH_FPS, seed=seed).performance.units
    for frame in np.sort(source.choice(len(spoken), SPOKEN, replace=False)):
        yield "speech", np.clip(spoken[frame] * source.uniform(0.6, 1.4), 0, 1), turn(source)


def turn(source: np.random.Generator) -> HeadMotion | None:
    """A random turn of the head, or none."""
    if source.random() >= _TURNED:
        return None
    yaw, pitch, roll = source.uniform(-1, 1, 3) * _MOST_TURN_DEG
    return HeadMotion(yaw=yaw, pitch=pitch, roll=roll)


def filmed(frame: np.ndarray, source: np.random.Generator) -> tuple[np.ndarray, float]:
    """A frame as a video may have it, smaller and compressed, and how much smaller."""
    ratio = source.uniform(_SMALLEST, 1)
    size = (round(frame.shape[1] * ratio), round(frame.shape[0] * ratio))
    small = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    quality = int(source.integers(*_QUALITY, endpoint=True))
    encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), size[0] / frame.shape[1]


def measured(
    path: Path, number: int, recipes: Recipes, network: CorrectionNetwork | None
) -> dict[str, list[np.ndarray | str]]:
    """Points, scores, strengths and kinds of the ``number``-th person's pictures."""
    source = np.random.default_rng([7, number])
    actor = Actor.of(path, longest_px=LONGEST_PX, network=network)
    found: dict[str, list[np.ndarray | str]] = {"points": [], "scores": [], "strengths": [], "kinds": []}
    for kind, units, head in shots(source, number, recipes):
        frame, ratio = actor.performer.composite(actor.performer.render(actor.control(units), head)), 1.0
        if kind in ("rest", "mix", "speech"):
            frame, ratio = filmed(frame, source)
        seen = landmarker().follow(frame, actor.seen.require_points() * ratio)
        if seen is not None:
            found["points"].append(seen.require_points() / np.float32(ratio))
            found["scores"].append(seen.require_scores())
            found["strengths"].append(units)
            found["kinds"].append("rest" if kind == "first" else kind)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=115)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    recipes, network = Recipes.load(), load_network(generator_path(None), "cpu", "auto")
    arrays: dict[str, list[np.ndarray | str]] = {}
    names: list[str] = []
    for item in drawn(find_portraits(options.folders), "train", options.seed):
        number = len(set(names))
        if number == options.people:
            break
        try:
            if neutral_face(shrunk(read_photo(item.path).pixels)) is None:
                continue
            found = measured(item.path, number, recipes, network if number % 2 == 0 else None)
        except FacemotionError as error:
            print(f"{item.person}: {error}", file=sys.stderr)
            continue
        for name, values in found.items():
            arrays.setdefault(name, []).extend(values)
        names += [item.person] * len(found["kinds"])
        print(f"{number + 1} of {options.people}: {item.person}", flush=True)
        np.savez(options.out, people=names, **{name: np.array(values) for name, values in arrays.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
