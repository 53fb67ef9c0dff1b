"""Metrics of motion: landmarks, flows and frames over a clip -> numbers. Pure functions of tensors.

A clip's landmarks are (T, 68, 2) px of an upright crop, y downwards, frame 0 the photo. Lengths are in inter-ocular
distances (IOD: between the centres of the eyes) of frame 0, and percentages of it where the name says ``percent``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from facemotion.evaluation.regions import ANCHORS
from facemotion.faces.ibug68 import MIRROR, inter_ocular

_ADVECTION_STEPS = 60


def landmark_distance_percent(predicted: Tensor, truth: Tensor, points: Sequence[int]) -> float:
    """Mean distance of the landmarks ``points`` of two faces (68, 2), percent of the IOD of ``truth``."""
    distance = (predicted - truth)[list(points)].norm(dim=-1).mean()
    return float(100 * distance / inter_ocular(truth))


def unit_motion(landmarks: Tensor) -> dict[str, Tensor]:
    """Motion of each facial unit against frame 0: (T, 68, 2) px -> (T,) IOD each; the keys are ``regions.UNITS``.

    Heights are measured against the corners of the eyes, upwards positive, the jaw's downwards:
    ``brow_inner``, ``brow_outer`` height of the brows' halves; ``brow_gap`` between the brows' inner ends; ``lids``
    opening of both eyes; ``upper_lip`` its height; ``corner_up`` height of the mouth's corners; ``corner_out`` width of
    the mouth; ``corner_skew`` left corner (in the picture) above the right one; ``mouth_open`` between the lips' inner
    edges; ``jaw`` how far the chin goes down.
    """
    up = landmarks[:, ANCHORS, 1].mean(1, keepdim=True) - landmarks[..., 1]

    def height(*points: int) -> Tensor:
        return up[:, points].mean(1)

    def gap(*pairs: tuple[int, int]) -> Tensor:
        return torch.stack([(landmarks[:, a] - landmarks[:, b]).norm(dim=-1) for a, b in pairs]).mean(0)

    values = {
        "brow_inner": height(20, 21, 22, 23),
        "brow_outer": height(17, 18, 25, 26),
        "brow_gap": gap((21, 22)),
        "lids": gap((37, 41), (38, 40), (43, 47), (44, 46)),
        "upper_lip": height(50, 51, 52),
        "corner_up": height(48, 54),
        "corner_out": landmarks[:, 54, 0] - landmarks[:, 48, 0],
        "corner_skew": height(48) - height(54),
        "mouth_open": gap((61, 67), (62, 66), (63, 65)),
        "jaw": -height(7, 8, 9),
    }
    scale = inter_ocular(landmarks[0])
    return {name: (value - value[0]) / scale for name, value in values.items()}


def advected(landmarks: Tensor, flow: Tensor) -> Tensor:
    """Where the pixels under a photo's landmarks go: (68, 2) -> (T, 68, 2) crop widths.

    flow (T, 2, h, w) is the backward displacement ``frame(p) = photo(p + flow(p))`` in
    widths. Solves ``p + flow(p) = landmark`` by damped steps from the landmark on. Needs no landmark detector
    and has no noise, but knows nothing of what is synthesised, and where pixels
    part, as between closed lips that open, it follows one side.
    """
    places = landmarks.to(flow.dtype).expand(len(flow), -1, -1)
    for _ in range(_ADVECTION_STEPS):
        grid = (2 * places - 1)[:, :, None]
        moved = F.grid_sample(flow, grid, padding_mode="border", align_corners=False)[..., 0].transpose(1, 2)
        places = places + 0.5 * (landmarks - moved - places)
    return places


def displacement_percent(landmarks: Tensor, points: Sequence[int]) -> float:
    """Mean distance of ``points`` between first and last frame, percent of IOD: cross-talk, or jitter of the head."""
    moved = (landmarks[-1] - landmarks[0])[list(points)].norm(dim=-1).mean()
    return float(100 * moved / inter_ocular(landmarks[0]))


def symmetry_error_percent(landmarks: Tensor) -> float:
    """Difference between the motion of the left and the mirrored right half, first to last frame, percent of IOD."""
    motion = landmarks[-1] - landmarks[0]
    mirrored = motion[list(MIRROR)] * motion.new_tensor([-1.0, 1.0])
    return float(100 * (motion - mirrored).norm(dim=-1).mean() / inter_ocular(landmarks[0]))


def monotonicity_violation(values: Tensor) -> float:
    """Largest fall back of a series from its direction, as a share of its whole way; 0 for a monotone one.

    values (T,). Infinite where it ends where it began but moved in between; 0 where it never moved.
    """
    net = values[-1] - values[0]
    going = values if net >= 0 else -values
    fallen = float((going.cummax(0).values - going).max())
    return fallen / abs(float(net)) if net else (float("inf") if fallen else 0.0)


def linearity(control: Tensor, values: Tensor) -> float:
    """R² of the best straight line of ``values`` against ``control``, both (T,); 1 is a straight line."""
    x, y = control.double() - control.double().mean(), values.double() - values.double().mean()
    variance = (y * y).sum()
    if variance == 0:
        return 1.0
    residual = y - x * (x * y).sum() / (x * x).sum()
    return float(1 - (residual * residual).sum() / variance)


def steps(clip: Tensor) -> Tensor:
    """Mean absolute difference between neighbouring frames: (T, ...) -> (T - 1,)."""
    return clip.diff(dim=0).abs().flatten(1).mean(1)


def step_ratio(step: Tensor) -> float:
    """Largest step against the mean step (T - 1,); 1 is perfectly even, T - 1 one single jump."""
    mean = step.mean()
    return float(step.max() / mean) if mean > 0 else 1.0


def acceleration(clip: Tensor) -> float:
    """Mean second difference against the mean first difference of a clip (T, ...); 0 for a steady motion."""
    speed = clip.diff(dim=0).abs().mean()
    return float(clip.diff(n=2, dim=0).abs().mean() / speed) if speed > 0 else 0.0


def additivity_error(mixed: Tensor, parts: Sequence[Tensor]) -> float:
    """How far the motion of a mix is from the sum of the motions of its parts: ``Σ|m − Σ mᵢ| / Σ|Σ mᵢ|``.

    Tensors of one shape, displacements along their second-to-last or any common axis (flows, landmark motion).
    """
    total = torch.stack(list(parts)).sum(0)
    size = total.abs().sum()
    return float((mixed - total).abs().sum() / size) if size > 0 else float((mixed - total).abs().sum() > 0)
