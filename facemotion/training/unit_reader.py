"""Training of the network that reads units off how a face changes (`facemotion.faces.unit_reader`).

    python -m facemotion.training.unit_reader MEASURED.npz [MORE.npz ...] OUT.safetensors [--seed N]

Each npz holds N pictures of people whose units are known, as ``tests/benchmarks/rendered_changes.py`` makes them:
``points`` (N, 478, 3) px and ``scores`` (N, 52) of the landmarker, ``strengths`` (N, 52) of the units shown,
``people`` (N,) and ``kinds`` (N,): "rest", "alone" (one unit), "mix" or "speech". Some minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn.functional import smooth_l1_loss

from facemotion.expressions.units import MIRROR, UNIT_COUNT, UNIT_INDEX
from facemotion.faces.landmarker.calibration import shipped_calibration
from facemotion.faces.landmarker.head_pose import canonical_face
from facemotion.faces.unit_reader import FORMAT, FORMAT_VERSION, UnitReader, face_shape, mirrored_places

SHAPES = 100
"""Directions in which landmarks move, of 956: the noise of the landmarker lies in the others."""
WIDTH = 256
EPOCHS, BATCH = 15, 256
_ALONE = 0.6
"""Weight of the pictures that show one unit alone: nobody moves so."""
_RESTS = 3  # pictures at rest whose mean a change is measured against
_NOISE = 0.05  # of the inputs, in standard deviations
_BETA = 0.15  # strength at which the loss turns from square to absolute: what is not shown is to be read as 0
_AT_REST = 0.98  # quantile of neutral faces' readings up to which nothing counts as shown


@dataclass(frozen=True, eq=False)
class Changes:
    """Faces against themselves at rest: landmarks (N, 956) cm, scores (N, 52), units shown (N, 52), weights (N,)."""

    shapes: np.ndarray
    scores: np.ndarray
    strengths: np.ndarray
    weights: np.ndarray
    middle: np.ndarray
    """(956,) the mean face at rest."""
    at_rest: np.ndarray
    """(52,) calibrated units up to which faces at rest read."""


def changes_of(paths: Sequence[Path], seed: int = 0) -> Changes:
    """The pictures of npz files, and their mirror images, each against the mean of some of the same person at rest."""
    source, canonical = np.random.default_rng(seed), canonical_face()
    shapes, scores, strengths, weights, rests, at_rest = [], [], [], [], [], []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            people, kinds = arrays["people"], arrays["kinds"]
            placed = np.stack([face_shape(points, canonical) for points in arrays["points"]]).astype(np.float32)
            scored, shown = arrays["scores"], arrays["strengths"]
        for person in dict.fromkeys(people.tolist()):
            rows, still = np.flatnonzero(people == person), np.flatnonzero((people == person) & (kinds == "rest"))
            if not len(still):
                continue
            against = np.array([source.choice(still, _RESTS) for _ in rows])
            shapes.append(placed[rows] - placed[against].mean(1))
            scores.append(scored[rows] - scored[against].mean(1))
            strengths.append(shown[rows])
            weights.append(np.where(kinds[rows] == "alone", _ALONE, 1.0))
            rests.append(placed[still].mean(0))
            at_rest.append(shipped_calibration().strengths(scored[still]))
    shape, mirror = np.concatenate(shapes), list(MIRROR)
    other = shape.reshape(len(shape), -1, 2)[:, mirrored_places(canonical)] * np.array([-1, 1], np.float32)
    read, units, weight = (np.concatenate(each) for each in (scores, strengths, weights))
    highest = np.quantile(np.concatenate(at_rest), _AT_REST, axis=0)
    return Changes(
        np.concatenate([shape, other.reshape(shape.shape)]),
        np.concatenate([read, read[:, mirror]]).astype(np.float32),
        np.concatenate([units, units[:, mirror]]).astype(np.float32),
        np.concatenate([weight, weight]).astype(np.float32),
        np.mean(rests, axis=0),
        np.maximum(highest, highest[mirror]).astype(np.float32),
    )


def fitted_reader(changes: Changes, *, seed: int = 0) -> UnitReader:
    """A reader that tells the units of changes."""
    torch.manual_seed(seed)
    weighed = changes.shapes[: len(changes.shapes) // 2] * np.sqrt(changes.weights[: len(changes.shapes) // 2, None])
    _, directions = np.linalg.eigh(weighed.T.astype(np.float64) @ weighed)
    basis = np.ascontiguousarray(directions[:, : -SHAPES - 1 : -1], np.float32)
    scores = np.delete(changes.scores, UNIT_INDEX["tongueOut"], axis=1)
    inputs = np.hstack([changes.shapes @ basis, scores])
    spread = inputs.std(0)
    least = np.r_[np.full(SHAPES, 0.02 * spread[:SHAPES].max()), np.full(scores.shape[1], 0.02)]
    scale = np.maximum(spread, least).astype(np.float32)
    values, wanted = torch.from_numpy(inputs / scale), torch.from_numpy(changes.strengths)
    weights = torch.from_numpy(changes.weights)[:, None]
    network = nn.Sequential(
        nn.Linear(values.shape[1], WIDTH), nn.SiLU(), nn.Dropout(0.2),
        nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Dropout(0.1),
        nn.Linear(WIDTH, UNIT_COUNT),
    )  # fmt: skip
    steps = max(1, EPOCHS * len(values) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(values), (BATCH,))
        seen = values[chosen] + _NOISE * torch.randn(BATCH, values.shape[1])
        loss = 5 * smooth_l1_loss(network(seen), wanted[chosen], beta=_BETA, reduction="none")
        optimiser.zero_grad()
        (weights[chosen] * loss).mean().backward()
        optimiser.step()
        schedule.step()
    layers = tuple(
        (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
        for layer in network
        if isinstance(layer, nn.Linear)
    )
    return UnitReader(basis, changes.middle.astype(np.float32), scale, layers, changes.at_rest)


def write_reader(reader: UnitReader, path: Path) -> None:
    """A safetensors file, in half precision where that is enough."""
    half = np.float16
    arrays = {"basis": reader.basis.astype(half), "middle": reader.middle, "at_rest": reader.at_rest}
    for number, (weight, bias) in enumerate(reader.layers):
        arrays |= {f"weight{number}": weight.astype(half), f"bias{number}": bias}
    save_file(arrays | {"scale": reader.scale}, path, {"format": FORMAT, "version": str(FORMAT_VERSION)})


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, nargs="+", help="npz files of rendered faces")
    parser.add_argument("out", type=Path, help="where to write the reader (.safetensors)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    write_reader(fitted_reader(changes_of(options.measured, options.seed), seed=options.seed), options.out)


if __name__ == "__main__":
    main()
