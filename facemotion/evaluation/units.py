"""Units asked against units read: what the face in a photo shows when it is animated, as the landmarker sees it.

Frames are composed as in a clip, of photos of at most `LONGEST_PX`, and read by the instruments of `unit_readings`.
Every reading is a change against a reading of the same face at rest, so that how it is seen at rest cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facemotion.datasets.layouts import find_pairs, find_portraits
from facemotion.datasets.splits import KNOWN_SETS, built_in_validation
from facemotion.errors import FacemotionError, InputError, UsageError
from facemotion.evaluation.actor import Actor
from facemotion.evaluation.images import ssim
from facemotion.evaluation.regions import STILL, forehead_region, laid_on, pixel_region
from facemotion.evaluation.unit_readings import Shown, UnitReadings, random_track
from facemotion.evaluation.unit_scores import Instrument, indices, target
from facemotion.expressions.recipes import Recipes
from facemotion.expressions.units import UNIT_COUNT
from facemotion.faces import geometry
from facemotion.faces.geometry import fitted_similarity
from facemotion.faces.ibug68 import FROM_FACE_MESH, inter_ocular
from facemotion.head.rig import HeadMotion

if TYPE_CHECKING:
    from facemotion.faces.types import Face
    from facemotion.models.inference import CorrectionNetwork

ANGLES_DEG = (-6.0, -3.0, 3.0, 6.0)
AXES = ("yaw", "pitch", "roll")
LONGEST_PX = 640
CHANGED_LEVELS = 2
"""By how much of 255 a background pixel may change and still count as unchanged."""
_OUTLINE_MARGIN = 0.25  # inter-ocular distances beyond the face's outline at which the background begins
_CROP_PX = 256

Watch = Callable[[int, int, str], None]
"""Called with the number of people done, of all, and the last one's name."""


@dataclass(frozen=True)
class Subject:
    """A person to animate, and, where there is one, a photo of the same person smiling."""

    name: str
    photo: Path
    smile: Path | None = None


@dataclass(frozen=True)
class Similarity:
    """Structural similarity of a frame to another photo of the person."""

    face: float
    mouth: float
    forehead: float
    """Where no smile reaches: how similar two photos of the same skin are."""


@dataclass(frozen=True)
class Neutralised:
    """A real smile rendered to neutral, beside the same person's real neutral photo."""

    person: str
    smile_before: float
    smile_after: float
    smile_real: float
    """Mean score of mouthSmileLeft and -Right in the smile, in the rendering, and in the neutral photo."""
    before: Similarity
    after: Similarity
    """Structural similarity to the neutral photo, of the untouched smile and of the rendering."""


@dataclass(frozen=True)
class HeadScore:
    """How one axis of the head came out, over people and `ANGLES_DEG`; degrees."""

    axis: str
    gain: float
    mean_error: float
    """Mean absolute difference of asked and read."""
    largest_error: float
    other_axes: float
    """Mean absolute turn about the two other axes."""
    people: int


@dataclass(frozen=True)
class BackgroundScore:
    """Share of the background's pixels that an expression changes, over people."""

    expression: str
    mean: float
    largest: float


@dataclass(frozen=True)
class UnitsReport:
    """All that was measured."""

    people: tuple[str, ...]
    instruments: dict[str, Instrument]
    """By the names of `INSTRUMENTS`; empty where only smiles were measured."""
    neutralised: tuple[Neutralised, ...]
    head: tuple[HeadScore, ...]
    background: tuple[BackgroundScore, ...]
    frames: int
    unread: int
    """Of the frames, those in which the landmarker saw no face."""
    left_out: tuple[tuple[str, str], ...]
    """People who could not be animated, and why."""
    seed: int
    command: str = ""
    weights: str = ""
    """Of the network that corrected the frames; empty for the renderer alone."""


def find_subjects(paths: Sequence[Path], *, seed: int) -> list[Subject]:
    """The people of photos and folders of photos, in an order drawn by ``seed``, those with a smile every other one.

    Of the sets this project knows only people held out for validation count, of other folders everybody. Raises
    MissingFileError and InputError, as `layouts.find_portraits`, and InputError where nobody is left.
    """
    validation = built_in_validation()
    subjects = {}
    for path in paths:
        if path.is_file():
            subjects[path.stem] = Subject(path.stem, path)
            continue
        photos = find_portraits([path])
        smiles = _smiles(path)
        for item in photos:
            if item.person.split("-")[0] not in KNOWN_SETS or item.person in validation:
                subjects[item.person] = Subject(item.person, item.path, smiles.get(item.person))
    if not subjects:
        raise InputError("No validation people in this data.", "Name their photos, or a folder of your own.")
    names = sorted(subjects)
    drawn = [subjects[names[place]] for place in np.random.default_rng(seed).permutation(len(names))]
    pairs, singles = ([s for s in drawn if (s.smile is not None) == paired] for paired in (True, False))
    taken = min(len(pairs), len(singles))
    mixed = [subject for both in zip(pairs, singles, strict=False) for subject in both]
    return mixed + pairs[taken:] + singles[taken:]


def _smiles(folder: Path) -> dict[str, Path]:
    """Photos of people smiling, by person; empty for a folder that holds no pairs."""
    try:
        pairs = find_pairs([folder])
    except InputError:
        return {}
    return {pair.person: pair.peak for pair in pairs if pair.expression == "smile" and not pair.problem}


def evaluate_units(
    paths: Sequence[Path],
    *,
    people: int | None = None,
    seed: int = 0,
    command: str = "",
    network: CorrectionNetwork | None = None,
    weights: str = "",
    watch: Watch | None = None,
) -> UnitsReport:
    """Measure ``people`` people (all by default), and as many real smiles.

    Raises what `find_subjects` raises, UsageError for fewer people than one, InputError where nobody can be animated.
    """
    if people is not None and people < 1:
        raise UsageError(f"{people} people cannot be measured.", "Give --people a number from 1 up.")
    subjects = find_subjects(paths, seed=seed)
    smiling = [subject for subject in subjects if subject.smile is not None][:people]
    chosen = subjects[:people]
    total = len(chosen) + len(smiling)
    session = _Session(seed, network)
    for done, subject in enumerate(chosen, 1):
        session.measure(subject, number=done)
        if watch is not None:
            watch(done, total, subject.name)
    for done, subject in enumerate(smiling, len(chosen) + 1):
        session.neutralise(subject)
        if watch is not None:
            watch(done, total, subject.name)
    return session.report(command, weights)


@dataclass
class _Session:
    """Readings of the people measured so far."""

    seed: int
    network: CorrectionNetwork | None = None
    recipes: Recipes = field(default_factory=Recipes.load)
    people: list[str] = field(default_factory=list)
    readings: UnitReadings = field(default_factory=UnitReadings)
    turns: dict[str, list[np.ndarray]] = field(default_factory=lambda: {axis: [] for axis in AXES})
    spilled: dict[str, list[float]] = field(default_factory=dict)
    neutralised: list[Neutralised] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    frames: int = 0
    unread: int = 0

    def measure(self, subject: Subject, *, number: int) -> None:
        """All but smiles of one person; ``number`` draws the track."""
        try:
            actor = Actor.of(subject.photo, longest_px=LONGEST_PX, network=self.network)
        except FacemotionError as error:
            self.left_out.append((subject.name, error.message))
            return
        self.people.append(subject.name)
        self.readings.add(actor.seen, actor.photo, partial(self._shown, actor), random_track([self.seed, number]))
        for axis in AXES:
            turned = [self._pose(actor, HeadMotion(**{axis: angle})) for angle in ANGLES_DEG]
            self.turns[axis].append(np.stack(turned) - actor.seen.pose)
        for name in self.recipes.by_name:
            control = actor.control(self.recipes.draw(name, None))
            frame = actor.performer.composite(actor.performer.render(control))
            moved = actor.performer.landmarks_at(control)
            self.spilled.setdefault(name, []).append(
                changed_share(frame, actor.photo, outlines=[actor.seen.require_points()[:, :2], moved])
            )

    def neutralise(self, subject: Subject) -> None:
        """The smile of a person, made neutral."""
        assert subject.smile is not None
        try:
            actor, real = (
                Actor.of(path, longest_px=LONGEST_PX, network=self.network) for path in (subject.smile, subject.photo)
            )
        except FacemotionError as error:
            self.left_out.append((f"{subject.name}, smiling", error.message))
            return
        frame = actor.performer.composite(actor.performer.render(actor.control(target())))
        seen = self._seen(actor, frame)
        if seen is None:
            return
        smile = indices("mouthSmile")
        before, after, truth = (float(face.require_scores()[smile].mean()) for face in (actor.seen, seen, real.seen))
        points, real_points = (each.seen.require_points()[:, :2].astype(np.float64) for each in (actor, real))
        similar = face_similarities([actor.photo, frame], points, real.photo, real_points)
        self.neutralised.append(Neutralised(subject.name, before, after, truth, *similar))

    def report(self, command: str, weights: str) -> UnitsReport:
        if not self.people and not self.neutralised:
            name, reason = self.left_out[0]
            raise InputError(f"None of the people can be animated; {name}: {reason}", "Try other photos.")
        measured = bool(self.people)
        return UnitsReport(
            people=tuple(self.people),
            instruments=self.readings.instruments() if measured else {},
            neutralised=tuple(self.neutralised),
            head=tuple(head_score(axis, np.stack(self.turns[axis])) for axis in AXES if measured),
            background=tuple(
                BackgroundScore(name, float(np.mean(shares)), max(shares)) for name, shares in self.spilled.items()
            ),
            frames=self.frames,
            unread=self.unread,
            left_out=tuple(self.left_out),
            seed=self.seed,
            command=command,
            weights=weights,
        )

    def _shown(self, actor: Actor, units: np.ndarray) -> Shown:
        """A frame of the face at the units (52,), and how it is read."""
        frame = actor.performer.composite(actor.performer.render(actor.control(units)))
        return Shown(frame, self._seen(actor, frame))

    def _pose(self, actor: Actor, head: HeadMotion) -> np.ndarray:
        """(3,) degrees of the photo's face with its head turned; nan where it is not seen."""
        rendering = actor.performer.render(np.zeros(UNIT_COUNT, np.float32), head)
        seen = self._seen(actor, actor.performer.composite(rendering))
        return np.full(3, np.nan) if seen is None else np.array(seen.pose)

    def _seen(self, actor: Actor, frame: np.ndarray) -> Face | None:
        from facemotion.faces.mesh import landmarker

        seen = landmarker().follow(frame, actor.seen.require_points())
        self.frames += 1
        self.unread += seen is None
        return seen


def head_score(axis: str, turns: np.ndarray) -> HeadScore:
    """From turns read (people, len(ANGLES_DEG), 3) in degrees against the photo, nan where a frame was not read."""
    place = AXES.index(axis)
    known = turns[np.isfinite(turns).all((1, 2))]
    asked = np.broadcast_to(ANGLES_DEG, known.shape[:2])
    if not len(known):
        return HeadScore(axis, math.nan, math.nan, math.nan, math.nan, 0)
    error = np.abs(known[..., place] - asked)
    return HeadScore(
        axis=axis,
        gain=float((asked * known[..., place]).sum() / (asked**2).sum()),
        mean_error=float(error.mean()),
        largest_error=float(error.max()),
        other_axes=float(np.abs(np.delete(known, place, axis=2)).mean()),
        people=len(known),
    )


def changed_share(frame: np.ndarray, photo: np.ndarray, *, outlines: Sequence[np.ndarray]) -> float:
    """Share in [0, 1] of the background's pixels that differ by more than `CHANGED_LEVELS`; 0 without background.

    frame, photo: (H, W, 3) uint8. outlines: points (n, 2) px of the face in either, the first with all 478 of the
    landmarker; the background begins a quarter of the inter-ocular distance beyond their hulls.
    """
    free = np.ones(photo.shape[:2], np.uint8)
    for points in outlines:
        hull = cv2.convexHull(np.round(points).astype(np.int32))
        cv2.fillConvexPoly(free, hull, 0)
    margin = _OUTLINE_MARGIN * float(inter_ocular(outlines[0][list(FROM_FACE_MESH)]))
    background = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > margin
    if not background.any():
        return 0.0
    changed = np.abs(frame.astype(np.int16) - photo).max(2) > CHANGED_LEVELS
    return float(changed[background].mean())


def face_similarities(
    frames: Sequence[np.ndarray], points: np.ndarray, truth: np.ndarray, truth_points: np.ndarray
) -> list[Similarity]:
    """How similar each frame is to another photo whose head is laid on theirs by `regions.laid_on`.

    frames: (H, W, 3) uint8 of one photo, with landmarks (478, 2) px. truth: (H, W, 3) uint8 with its own.
    """
    to_crop = geometry.photo_to_crop(_ibug(points), _CROP_PX)
    ours = geometry.apply(to_crop, points)
    near = geometry.photo_to_crop(_ibug(truth_points), _CROP_PX)  # not shrunk by the spline, which does not filter
    theirs = geometry.apply(near, truth_points)
    goal = laid_on(geometry.warp_crop(truth, near, _CROP_PX), theirs, ours, _CROP_PX)
    laid = fitted_similarity(theirs[list(STILL)], ours[list(STILL)])
    outlines = [_ibug(ours), geometry.apply(laid, _ibug(theirs))]
    face, mouth = (pixel_region(name, outlines, _CROP_PX) for name in ("face", "mouth"))
    forehead = forehead_region(ours, _CROP_PX)
    crops = [geometry.warp_crop(frame, to_crop, _CROP_PX) for frame in frames]
    return [Similarity(*(ssim(crop, goal, region) for region in (face, mouth, forehead))) for crop in crops]


def _ibug(points: np.ndarray) -> np.ndarray:
    return points[list(FROM_FACE_MESH)]
