"""Importers of photographs: the 3-D teacher for single portraits, photo pairs for real expressions."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from facemotion.datasets.clip_writer import Source
from facemotion.datasets.importer import Importer, ItemType, fingerprint
from facemotion.datasets.landmark_files import LandmarkFile
from facemotion.datasets.layouts import PairItem, PhotoItem, find_pairs
from facemotion.datasets.single_face import FindFaces, find_faces, one_face, read_pixels
from facemotion.datasets.splits import Splits
from facemotion.errors import InputError
from facemotion.synthetic.clip import RenderedClip
from facemotion.synthetic.head import HeadModel
from facemotion.synthetic.mouths import MouthLibrary
from facemotion.synthetic.pairs import PairSettings, pair_clips
from facemotion.synthetic.recipes import Recipes
from facemotion.synthetic.renderer import TeacherSettings, teacher_clips

MOUTHS_FILE = "mouths.npz"

_load_head = cache(HeadModel.load)
_load_recipes = cache(Recipes.load)
_load_mouths = cache(MouthLibrary.load)


@dataclass(frozen=True, kw_only=True)
class PortraitImporter(Importer[ItemType]):
    """What both kinds of photographs need: the head model and landmarks."""

    head: Path
    """ICT-FaceKit: the author's folder or an npz."""
    landmarks: tuple[LandmarkFile, ...] = ()
    """Landmarks that come with the photos; a photo that none of them knows goes to the face finder."""
    find_faces: FindFaces = find_faces

    def load(self) -> None:
        _load_head(self.head)

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """A photo, RGB uint8 (H, W, 3), and the landmarks (68, 2) of its face."""
        pixels = read_pixels(path)
        for file in self.landmarks:
            known = file.get(path)
            if known is not None:
                return pixels, known
        return pixels, one_face(pixels, self.find_faces)

    def _shared_settings(self) -> dict:
        return {
            "head": fingerprint(self.head),
            "landmarks": [fingerprint(file.path) for file in self.landmarks],
        }


@dataclass(frozen=True, kw_only=True)
class PairImporter(PortraitImporter[PairItem]):
    """``prepare pairs``."""

    origin: str = "pairs"
    pairs: PairSettings = field(default_factory=PairSettings)

    def settings(self) -> dict:
        return self._shared_settings() | {"pairs": asdict(self.pairs)}

    def render(self, item: PairItem, *, seed: int) -> Iterator[RenderedClip]:
        neutral, neutral_landmarks = self.read(item.neutral)
        peak, peak_landmarks = self.read(item.peak)
        yield from pair_clips(
            neutral,
            neutral_landmarks,
            peak,
            peak_landmarks,
            head=_load_head(self.head),
            expression=item.expression,
            settings=self.pairs,
            seed=seed,
        )


@dataclass(frozen=True, kw_only=True)
class TeacherImporter(PortraitImporter[PhotoItem]):
    """``prepare teacher``."""

    origin: str = "teacher"
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    choose: int | None = None
    """How many of the expressions each photo gets, drawn at random; all when None."""
    recipes: Path | None = None
    """A file that extends the built-in recipes."""
    smiles: tuple[Path, ...] = ()
    """Photos of smiling people whose teeth others are given; where none shows any, the head
    model's own teeth are used."""
    mouths: Path | None = None
    """The library made of ``smiles``, where one of them shows teeth."""

    def settings(self) -> dict:
        return self._shared_settings() | {
            "teacher": asdict(self.teacher),
            "choose": self.choose,
            "recipes": fingerprint(self.recipes) if self.recipes else "built-in",
            "smiles": [fingerprint(path) for path in self.smiles],
        }

    def shared(self, folder: Path) -> "TeacherImporter":
        target = folder / MOUTHS_FILE
        if self.smiles and not target.exists():
            library = MouthLibrary.build(self._readable_smiles())
            if not library.mouths:
                return self
            library.save(target)
        return replace(self, mouths=target) if self.smiles else self

    def load(self) -> None:
        super().load()
        _load_recipes(self.recipes)

    def render(self, item: PhotoItem, *, seed: int) -> Iterator[RenderedClip]:
        photo, landmarks = self.read(item.path)
        recipes = _load_recipes(self.recipes)
        yield from teacher_clips(
            photo,
            landmarks,
            head=_load_head(self.head),
            recipes=recipes,
            mouths=_load_mouths(self.mouths) if self.mouths else None,
            settings=self._chosen(recipes, seed),
            seed=seed,
        )

    def _chosen(self, recipes: Recipes, seed: int) -> TeacherSettings:
        """The settings for one photo, with the expressions drawn for it."""
        names = self.teacher.expressions or recipes.expressions
        if self.choose is None or self.choose >= len(names):
            return self.teacher
        drawn = np.random.default_rng([seed, 1]).choice(len(names), self.choose, replace=False)
        return replace(self.teacher, expressions=tuple(names[k] for k in sorted(drawn)))

    def _readable_smiles(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for path in self.smiles:
            try:
                yield self.read(path)
            except InputError:
                continue  # one smile less to borrow; as a source it is reported by its own command


def lendable_smiles(
    folders: Iterable[Path], splits: Splits, *, required: bool, lenders: Collection[str] = ()
) -> tuple[Path, ...]:
    """The smiling photos of the photo pairs in ``folders``, without people who are kept for validation.

    Folders that hold no pairs are passed over, unless ``required``: then they raise InputError. ``lenders`` are the
    only people whose smiles are taken, when there are any; one who is missing or kept for validation raises
    InputError.
    """
    smiles = []
    for folder in folders:
        try:
            found = find_pairs([folder], own_source=Source("", ""))
        except InputError:
            if required:
                raise
            continue
        smiles += [pair for pair in found if pair.expression == "smile" and not pair.problem]
    smiles = [pair for pair in smiles if splits.split_of(pair.person) == "train"]
    if missing := set(lenders) - {pair.person for pair in smiles}:
        raise InputError(
            f"nobody called {', '.join(sorted(missing))} can lend teeth",
            "Lenders are people of the training split who smile in a photo pair, such as london-002.",
        )
    return tuple(pair.peak for pair in smiles if not lenders or pair.person in lenders)
