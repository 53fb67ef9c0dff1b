"""From folders of photographs to samples for the generator: measured once, rendered by person, resumable by shard.

``python -m facemotion.datasets.prepare_units DATA OUT`` reads ``DATA/london/{neutral,smile}``, ``DATA/canada`` and
``DATA/portraits`` (see docs/data.md) and writes ``OUT/train`` and ``OUT/validation``. A run that was stopped goes on
with the first shard that is missing; the same data give the same samples.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facemotion.datasets.splits import Splits
from facemotion.datasets.unit_pairs import MeasuredPhoto, back_sample, pair_sample, random_control, still_sample
from facemotion.datasets.unit_samples import SIZE_PX, UnitSample, write_shard
from facemotion.errors import InputError
from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH

PEOPLE_PER_SHARD = 8
_STRONG = 1.2
"""Sum of a face's units, gaze left out, from which its photo shows an expression."""
_HALFWAY = 0.35, 0.75
"""Where between both photos of a pair the frame part of the way lies."""


@dataclass(frozen=True)
class MeasuredFile:
    """What the landmarker says of one photo."""

    path: Path
    landmarks: np.ndarray
    """(478, 2) photo px."""
    scores: np.ndarray
    """(52,) in [0, 1]."""

    @property
    def group(self) -> str:
        """The set it belongs to."""
        return next(part for part in ("london", "canada", "portraits") if part in self.path.parts)

    @property
    def person(self) -> str:
        """Its person's id, as in the list of validation people."""
        return f"{self.group.removesuffix('s')}-{self.path.stem}"

    def crop(self, size_px: int) -> MeasuredPhoto:
        """Its upright crop."""
        image = cv2.cvtColor(cv2.imread(str(self.path)), cv2.COLOR_BGR2RGB)
        to_crop = geometry.photo_to_crop(self.landmarks[list(FROM_FACE_MESH)], size_px)
        crop = geometry.warp_crop(image, to_crop, size_px)
        return MeasuredPhoto(self.person, crop, geometry.apply(to_crop, self.landmarks), self.scores)


def measure(data: Path, cache: Path) -> list[MeasuredFile]:
    """All photos of the data folder in which the landmarker sees a face; remembered in ``cache`` (npz)."""
    if not cache.exists():
        from facemotion.faces.landmarker.landmarker import Landmarker

        landmarker = Landmarker.load()
        found: dict[str, list[np.ndarray]] = {"paths": [], "landmarks": [], "scores": []}
        folders = ("london/neutral", "london/smile", "canada", "portraits")
        for path in (p for folder in folders for p in sorted((data / folder).glob("*.jpg"))):
            faces = landmarker.measure(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
            if faces and faces[0].scores is not None:
                found["paths"].append(np.array(path.relative_to(data).as_posix()))
                found["landmarks"].append(faces[0].require_points()[:, :2])
                found["scores"].append(faces[0].scores)
        np.savez(cache, **{name: np.stack(values) for name, values in found.items()})
    with np.load(cache) as arrays:
        rows = zip(arrays["paths"], arrays["landmarks"], arrays["scores"], strict=True)
        return [MeasuredFile(data / str(path), landmarks, scores) for path, landmarks, scores in rows]


def prepare(data: Path, out: Path, *, splits: Splits | None = None, size_px: int = SIZE_PX) -> None:
    """Write the samples of every person; says what it does on stdout."""
    splits = splits or Splits()
    out.mkdir(parents=True, exist_ok=True)
    measured = measure(data, out / "measured.npz")
    people: dict[str, list[MeasuredFile]] = {}
    for each in measured:
        people.setdefault(each.person, []).append(each)
    expressive = np.stack([m.scores for m in measured if _shown(m.scores) > _STRONG])
    # pairs first and strong expressions before faint ones: a training may start on what is there
    order = sorted(people, key=lambda p: (len(people[p]) < 2, -_shown(people[p][0].scores), p))
    for split in ("validation", "train"):
        (out / split).mkdir(exist_ok=True)
        chosen = [person for person in order if splits.split_of(person) == split]
        for number, start in enumerate(range(0, len(chosen), PEOPLE_PER_SHARD)):
            path = out / split / f"{number:04d}.safetensors"
            if path.exists():
                continue
            members = chosen[start : start + PEOPLE_PER_SHARD]
            samples = [s for p in members for s in samples_of(people[p], expressive, size_px=size_px)]
            if samples:
                write_shard(path, samples)
            print(f"{path}: {len(samples)} samples of {len(members)} people", flush=True)


def samples_of(photos: list[MeasuredFile], expressive: np.ndarray, *, size_px: int) -> Iterator[UnitSample]:
    """The samples of one person's photos; ``expressive`` (n, 52) are scores of faces that show something."""
    generator = np.random.default_rng(list(photos[0].person.encode()))
    crops = [photo.crop(size_px) for photo in photos]
    seeds = generator.integers(1 << 30, size=len(crops) + 1).tolist()
    renderers = []
    with suppress(InputError):  # a head that does not fit makes no sample
        renderers = [crop.renderer(seed) for crop, seed in zip(crops, seeds, strict=False)]
    if len(renderers) == 2:
        for first, second in ((0, 1), (1, 0)):
            for share in (1.0, float(generator.uniform(*_HALFWAY))):
                with suppress(InputError):
                    yield pair_sample(crops[first], crops[second], share=share, renderer=renderers[first])
    for crop, renderer in zip(crops, renderers, strict=False):
        own = renderer.rig.fit.units.astype(np.float32)
        names = renderer.rig.head.unit_names
        gaze = np.array([name.startswith(("eyeLook", "tongue")) for name in names])
        if _shown(crop.scores) > _STRONG:
            away = np.where(gaze, 0, -own)
        else:
            shown = expressive[generator.integers(len(expressive))]
            away = np.where(gaze, 0, np.clip(generator.uniform(0.7, 1.3) * shown, 0, 1) - own)
        with suppress(InputError):
            yield back_sample(crop, away.astype(np.float32), seed=seeds[-1], renderer=renderer)
        if generator.random() < 0.3:
            yield still_sample(crop, random_control(own, names, generator), renderer=renderer)


def _shown(scores: np.ndarray) -> float:
    from facemotion.faces.landmarker.units import UNIT_NAMES

    return float(sum(s for s, name in zip(scores, UNIT_NAMES, strict=True) if not name.startswith("eyeLook")))


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), Path(sys.argv[2]))
