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
from facemotion.evaluation.render import CaseRenderer, Rendered, control_vectors, motion_maps

if TYPE_CHECKING:
    from facemotion.evaluation.cases import Case, CasePixels
    from facemotion.models.generator import Generator

TrackLandmarks = Callable[[np.ndarray], np.ndarray]
"""Frames uint8 (T, N, N, 3) -> landmarks (T, 68, 2) px, not-a-number where no face was found."""

SWEEP_FRAMES = 17
BEYOND = (1.25, 1.5)
"""Controls past the natural peak, shown in plots and pictures, never part of the numbers up to the peak."""

MOVED = 0.01
"""A unit that moves less, in IOD, is taken as still: its monotonicity would be that of the finder's noise."""

ALLOWED_VIOLATION = 0.05
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
class SweepClip:
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
    case: Case, pixels: CasePixels, *, generator: Generator, track: TrackLandmarks, sweep_frames: int = SWEEP_FRAMES
) -> tuple[Measurement, SweepClip]:
    """Run the generator through the case and measure everything that needs no learned metric."""
    names = generator.config.expressions
    renderer = CaseRenderer(generator, pixels.source, pixels.landmarks)
    controls = sweep_controls(sweep_frames)
    sweep = renderer.render(control_vectors(case.expression, controls, names))
    found = np.asarray(track(sweep.frames))
    upto = sweep_frames
    values = _picture_values(sweep.frames[:upto], pixels)
    values |= _composite_values(pixels, renderer, control_vectors(case.expression, [0.0, 1.0], names))
    values["faces_found"] = float(np.isfinite(found[:upto]).all((1, 2)).mean())
    values |= _landmark_values(case.expression, controls[:upto], found[:upto])
    if generator.config.preset != "paper":
        values |= _additivity(case, renderer, names)
        values |= _advected_values(case.expression, renderer.in_crop(pixels.landmarks), sweep.flow[:upto])
    rows, truth_frames = [], []
    if pixels.truth:
        truth_controls = [control for control, _ in pixels.truth]
        answers = renderer.render(control_vectors(case.expression, truth_controls, names), warped=True)
        truths = np.stack([frame for _, frame in pixels.truth])
        marks = np.asarray(track(truths))
        rows = _truth_rows(case, pixels, truths, marks, answers, track)
        truth_frames = [TruthFrame(*row) for row in zip(truth_controls, truths, answers.frames, marks, strict=True)]
    units = motion.unit_motion(torch.from_numpy(found).double()) if np.isfinite(found[0]).all() else {}
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    sweep_clip = SweepClip(controls, sweep.frames, found, truth_frames)
    return Measurement(case, finite, rows, controls, {name: unit.numpy() for name, unit in units.items()}), sweep_clip


def _picture_values(frames: np.ndarray, pixels: CasePixels) -> dict[str, float]:
    size = len(pixels.source)
    face = torch.from_numpy(pixel_region("face", [pixels.landmarks], size))
    clip, source = images.to_unit(frames), images.to_unit(pixels.source)
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
    background = ~torch.from_numpy(pixel_region("face", [_widened(pixels.landmarks)], size))
    if background.any():
        values["background_change"] = images.mean_difference(clip[-1], source, background)
    return values


def _widened(landmarks: np.ndarray) -> np.ndarray:
    """The face's outline half as wide again: hair, ears and forehead lie within it, the background outside."""
    centre = landmarks.mean(0)
    return centre + 1.5 * (landmarks - centre)


def _composite_values(pixels: CasePixels, renderer: CaseRenderer, controls: Tensor) -> dict[str, float]:
    """What happens to the whole photo: bits at control 0, and pixels outside the crop's square at control 1."""
    from facemotion.compositing.composite import Composite
    from facemotion.faces.geometry import square_in_photo

    if pixels.photo is None or pixels.photo_landmarks is None:
        return {}
    composite = Composite(pixels.photo, pixels.photo_landmarks, len(pixels.source))
    with torch.inference_mode():
        maps = motion_maps(renderer.generator.decode(renderer.encoding, controls.to(renderer.device)))
    frames = [composite.frame(*each) for each in maps]
    outside = torch.ones(pixels.photo.shape[:2], dtype=torch.bool)
    x0, y0, x1, y1 = square_in_photo(composite.photo_to_crop, len(pixels.source), pixels.photo.shape)
    outside[y0:y1, x0:x1] = False
    photo = images.to_unit(pixels.photo)
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
        values["monotonicity_violation"] = max(motion.monotonicity_violation(unit) for unit in moving)
        values["monotone"] = float(values["monotonicity_violation"] <= ALLOWED_VIOLATION)
        values["linearity"] = float(np.mean([motion.linearity(control, unit) for unit in moving]))
    values["landmark_step_ratio"] = motion.step_ratio(motion.steps(landmarks))
    values["head_jitter"] = motion.displacement_percent(landmarks, RIGID)
    if still := still_points(expression):
        values["cross_talk"] = motion.displacement_percent(landmarks, still)
    if not ONE_SIDED & {name for name, weight in expression.items() if weight > 0}:
        values["symmetry_error"] = motion.symmetry_error_percent(landmarks)
    return values


def _advected_values(expression: dict[str, float], landmarks: np.ndarray, flow: Tensor) -> dict[str, float]:
    """Whether the photo's own pixels at the landmarks (68, 2), in crop widths, move
    monotonically: exact, where a detector is not.

    Left out is the opening of the mouth: no pixel of the photo follows it; the jaw tells how far it opens.
    """
    units = motion.unit_motion(motion.advected(torch.from_numpy(landmarks).double(), flow.double()))
    followed = [units[name] for name in leading_units(expression) if name != "mouth_open"]
    moving = [unit for unit in followed if unit.abs().max() >= MOVED]
    return (
        {"monotone_pixels": float(max(map(motion.monotonicity_violation, moving)) <= ALLOWED_VIOLATION)}
        if moving
        else {}
    )


def _additivity(case: Case, renderer: CaseRenderer, names: Sequence[str]) -> dict[str, float]:
    """Flow of half the expression mixed with half the next one of the model, against the two alone."""
    first = names.index(max(case.expression, key=case.expression.__getitem__))
    half = torch.zeros(3, len(names))
    half[(0, 1), first] = 0.5
    half[(0, 2), (first + 1) % len(names)] = 0.5
    flow = renderer.render(half).flow
    return {"additivity_error": motion.additivity_error(flow[0], [flow[1], flow[2]])}


def _truth_rows(
    case: Case,
    pixels: CasePixels,
    truths: np.ndarray,
    true_marks: np.ndarray,
    rendered: Rendered,
    track: TrackLandmarks,
) -> list[TruthRow]:
    repeated = np.broadcast_to(pixels.source, truths.shape)
    assert rendered.warped is not None
    pictures = {"model": rendered.frames, "warp": rendered.warped, "repeat": repeated}
    marks = {"repeat": np.repeat(track(pixels.source[None]), len(truths), 0)}
    marks |= {name: np.asarray(track(pictures[name])) for name in ("model", "warp")}
    rows = []
    for k, (control, _) in enumerate(pixels.truth):
        outlines = [pixels.landmarks]
        if np.isfinite(true_marks[k]).all():
            outlines.append(true_marks[k])
        masks = {name: pixel_region(name, outlines, len(pixels.source)) for name in PIXEL_REGIONS}
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
