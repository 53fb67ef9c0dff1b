"""One case -> its numbers: the generator is run through the control values and watched from outside.

The landmarks that are compared come from the project's face finder applied to the frames, never from the generator's
own landmark head, and to real frames alike, so that a bias of the finder cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from facemotion.evaluation import images, motion
from facemotion.evaluation.regions import (
    ONE_SIDED,
    PIXEL_REGIONS,
    POINTS,
    RIGID,
    leading_units,
    pixel_region,
    still_points,
)
from facemotion.evaluation.render import Performer, Rendered, control_vectors, motion_maps

if TYPE_CHECKING:
    from facemotion.evaluation.cases import Case, Material
    from facemotion.models.generator import Generator

Observe = Callable[[np.ndarray], np.ndarray]
"""Frames uint8 (T, N, N, 3) -> landmarks (T, 68, 2) px, not-a-number where no face was found."""

SWEEP_FRAMES = 17
BEYOND = (1.25, 1.5)
"""Controls past the natural peak, shown in plots and pictures, never part of the numbers up to the peak."""

MOVED = 0.01
"""A unit that moves less, in IOD, is taken as still: its monotonicity would be that of the finder's noise."""

RETREAT_ALLOWED = 0.05
"""A unit counts as monotone when it falls back by no more than this share of its whole way."""

MIN_FOUND = 5
"""Fewer sweep frames with a face than this give no numbers about landmarks."""

ANSWERS = ("model", "warp", "repeat")
"""The model's frame; the photo moved by its flow alone; the photo itself."""


@dataclass(frozen=True)
class TruthRow:
    """One real frame and one answer: ``metrics`` are psnr_REGION, ssim_REGION, landmarks_PART, sharpness."""

    case: str
    person: str
    expression: str
    control: float
    answer: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class TruthFrame:
    """A real frame beside the model's at the same control: uint8 (N, N, 3) each, and the real one's landmarks."""

    control: float
    real: np.ndarray
    model: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True)
class Measurement:
    """The numbers of one case. ``values`` leaves out what could not be measured."""

    case: Case
    values: dict[str, float]
    truth: list[TruthRow]
    controls: np.ndarray
    """(T,) control values of the sweep."""
    units: dict[str, np.ndarray]
    """Motion of each facial unit over the sweep, (T,) IOD; empty where no face was found in the photo."""


@dataclass(frozen=True)
class Footage:
    """The pictures that the numbers come from; too large to be kept for every case."""

    controls: np.ndarray
    """(T,)"""
    frames: np.ndarray
    """(T, N, N, 3) uint8, the sweep."""
    landmarks: np.ndarray
    """(T, 68, 2) px found in the sweep."""
    truth: list[TruthFrame]


def sweep_controls(frames: int = SWEEP_FRAMES) -> np.ndarray:
    """Control values of the sweep: evenly from 0 to 1, then those of ``BEYOND``."""
    return np.concatenate([np.linspace(0, 1, frames), BEYOND])


def measure(
    case: Case, material: Material, *, generator: Generator, observe: Observe, sweep_frames: int = SWEEP_FRAMES
) -> tuple[Measurement, Footage]:
    """Run the generator through the case and measure everything that needs no learned metric."""
    names = generator.config.expressions
    performer = Performer(generator, material.source, material.landmarks)
    controls = sweep_controls(sweep_frames)
    sweep = performer.render(control_vectors(case.expression, controls, names))
    found = np.asarray(observe(sweep.frames))
    upto = sweep_frames
    values = _picture_values(sweep.frames[:upto], material)
    values |= _composite_values(material, performer, control_vectors(case.expression, [0.0, 1.0], names))
    values["faces_found"] = float(np.isfinite(found[:upto]).all((1, 2)).mean())
    values |= _landmark_values(case.expression, controls[:upto], found[:upto])
    if generator.config.preset != "paper":
        values |= _additivity(case, performer, names)
        values |= _carried_values(case.expression, performer.in_crop(material.landmarks), sweep.flow[:upto])
    rows, truth_frames = [], []
    if material.truth:
        truth_controls = [control for control, _ in material.truth]
        answers = performer.render(control_vectors(case.expression, truth_controls, names), warped=True)
        truths = np.stack([frame for _, frame in material.truth])
        marks = np.asarray(observe(truths))
        rows = _truth_rows(case, material, truths, marks, answers, observe)
        truth_frames = [TruthFrame(*row) for row in zip(truth_controls, truths, answers.frames, marks, strict=True)]
    units = motion.unit_motion(torch.from_numpy(found).double()) if np.isfinite(found[0]).all() else {}
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    footage = Footage(controls, sweep.frames, found, truth_frames)
    return Measurement(case, finite, rows, controls, {name: unit.numpy() for name, unit in units.items()}), footage


def _picture_values(frames: np.ndarray, material: Material) -> dict[str, float]:
    size = len(material.source)
    face = torch.from_numpy(pixel_region("face", [material.landmarks], size))
    clip, source = images.to_unit(frames), images.to_unit(material.source)
    step = motion.steps(clip[:, :, face])
    kept = [images.sharpness_kept(frame, source, face) for frame in (clip[len(clip) // 2], clip[-1])]
    values = {
        "change_at_0": images.largest_difference(clip[0], source),
        "step_ratio": motion.step_ratio(step),
        "acceleration": motion.acceleration(clip[:, :, face]),
        "change_at_1": images.mean_difference(clip[-1], source, face),
        "sharpness_kept_at_half": kept[0],
        "sharpness_kept": kept[1],
    }
    background = ~torch.from_numpy(pixel_region("face", [_widened(material.landmarks)], size))
    if background.any():
        values["background_change"] = images.mean_difference(clip[-1], source, background)
    return values


def _widened(landmarks: np.ndarray) -> np.ndarray:
    """The face's outline half as wide again: hair, ears and forehead lie within it, the background outside."""
    centre = landmarks.mean(0)
    return centre + 1.5 * (landmarks - centre)


def _composite_values(material: Material, performer: Performer, controls: Tensor) -> dict[str, float]:
    """What happens to the whole photo: bits at control 0, and pixels outside the crop's square at control 1."""
    from facemotion.compositing.composite import Composite
    from facemotion.faces.geometry import square_in_photo

    if material.photo is None or material.photo_landmarks is None:
        return {}
    composite = Composite(material.photo, material.photo_landmarks, len(material.source))
    with torch.inference_mode():
        maps = motion_maps(performer.generator.decode(performer.encoding, controls.to(performer.device)))
    frames = [composite.frame(*each) for each in maps]
    outside = torch.ones(material.photo.shape[:2], dtype=torch.bool)
    x0, y0, x1, y1 = square_in_photo(composite.photo_to_crop, len(material.source), material.photo.shape)
    outside[y0:y1, x0:x1] = False
    photo = images.to_unit(material.photo)
    values = {"photo_change_at_0": images.largest_difference(images.to_unit(frames[0]), photo)}
    if outside.any():
        values["outside_change"] = images.largest_difference(images.to_unit(frames[1]), photo, outside)
    return values


def _landmark_values(expression: dict[str, float], controls: np.ndarray, found: np.ndarray) -> dict[str, float]:
    seen = np.isfinite(found).all((1, 2))
    if seen.sum() < MIN_FOUND or not (seen[0] and seen[-1]):
        return {}
    landmarks, control = torch.from_numpy(found[seen]).double(), torch.from_numpy(controls[seen])
    units = motion.unit_motion(landmarks)
    leading = [units[name] for name in leading_units(expression)]
    moving = [unit for unit in leading if unit.abs().max() >= MOVED]
    values = {f"motion_{name}": float(100 * unit[-1]) for name, unit in units.items()}
    values["leading_motion"] = float(100 * np.mean([abs(float(unit[-1])) for unit in leading]))
    values["moves"] = float(bool(moving))
    if moving:
        values["retreat"] = max(motion.retreat(unit) for unit in moving)
        values["monotone"] = float(values["retreat"] <= RETREAT_ALLOWED)
        values["linearity"] = float(np.mean([motion.linearity(control, unit) for unit in moving]))
    values["landmark_step_ratio"] = motion.step_ratio(motion.steps(landmarks))
    values["wobble"] = motion.displacement_percent(landmarks, RIGID)
    if still := still_points(expression):
        values["cross_talk"] = motion.displacement_percent(landmarks, still)
    if not ONE_SIDED & {name for name, weight in expression.items() if weight > 0}:
        values["symmetry_error"] = motion.symmetry_error_percent(landmarks)
    return values


def _carried_values(expression: dict[str, float], landmarks: np.ndarray, flow: Tensor) -> dict[str, float]:
    """Whether the photo's own pixels at the landmarks (68, 2), in crop widths, move monotonely: certain, where an eye
    is not.

    Left out is the opening of the mouth: no pixel of the photo follows it; the jaw tells how far it opens.
    """
    units = motion.unit_motion(motion.carried(torch.from_numpy(landmarks).double(), flow.double()))
    followed = [units[name] for name in leading_units(expression) if name != "mouth_open"]
    moving = [unit for unit in followed if unit.abs().max() >= MOVED]
    return {"monotone_pixels": float(max(map(motion.retreat, moving)) <= RETREAT_ALLOWED)} if moving else {}


def _additivity(case: Case, performer: Performer, names: Sequence[str]) -> dict[str, float]:
    """Flow of half the expression mixed with half the next one of the model, against the two alone."""
    first = names.index(max(case.expression, key=case.expression.__getitem__))
    half = torch.zeros(3, len(names))
    half[(0, 1), first] = 0.5
    half[(0, 2), (first + 1) % len(names)] = 0.5
    flow = performer.render(half).flow
    return {"additivity_error": motion.additivity_error(flow[0], [flow[1], flow[2]])}


def _truth_rows(
    case: Case,
    material: Material,
    truths: np.ndarray,
    true_marks: np.ndarray,
    rendered: Rendered,
    observe: Observe,
) -> list[TruthRow]:
    repeated = np.broadcast_to(material.source, truths.shape)
    assert rendered.warped is not None
    pictures = {"model": rendered.frames, "warp": rendered.warped, "repeat": repeated}
    marks = {"repeat": np.repeat(observe(material.source[None]), len(truths), 0)}
    marks |= {name: np.asarray(observe(pictures[name])) for name in ("model", "warp")}
    rows = []
    for k, (control, _) in enumerate(material.truth):
        outlines = [material.landmarks]
        if np.isfinite(true_marks[k]).all():
            outlines.append(true_marks[k])
        masks = {name: pixel_region(name, outlines, len(material.source)) for name in PIXEL_REGIONS}
        box = _bounds(masks["face"])
        regions = {name: torch.from_numpy(mask[box]) for name, mask in masks.items()}
        truth = images.to_unit(truths[k][box])
        answers = torch.stack([images.to_unit(pictures[name][k][box]) for name in ANSWERS])
        similarity = images.similarity_map(answers, truth.expand_as(answers))
        for j, answer in enumerate(ANSWERS):
            metrics = {f"psnr_{name}": images.psnr(answers[j], truth, mask) for name, mask in regions.items()}
            metrics |= {f"ssim_{name}": float(similarity[j][mask].mean()) for name, mask in regions.items()}
            metrics["sharpness"] = images.sharpness_kept(answers[j], truth, regions["face"])
            metrics |= _distances(marks[answer][k], true_marks[k])
            rows.append(TruthRow(case.id, case.person, case.group, control, answer, metrics))
    return rows


def _distances(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    if not (np.isfinite(found).all() and np.isfinite(truth).all()):
        return {}
    pair = torch.from_numpy(found).double(), torch.from_numpy(truth).double()
    return {f"landmarks_{part}": motion.landmark_distance_percent(*pair, points) for part, points in POINTS.items()}


def _bounds(mask: np.ndarray) -> tuple[slice, slice]:
    """The region's bounding box with the reach of SSIM's window around it."""
    reach = 6
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(0, rows[0] - reach), rows[-1] + reach + 1),
        slice(max(0, columns[0] - reach), columns[-1] + reach + 1),
    )
