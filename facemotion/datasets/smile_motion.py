"""How photographed smiles go beyond the head's: ``python -m facemotion.datasets.smile_motion DATA CACHE NPZ``.

The mean over photo pairs of where landmarks really go, less where the head's units put them when fitted, per strength
of `mouthSmile`: corners of the mouth rise and part further. Written into the npz that `facemotion.head.build` reads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from facemotion.datasets.layouts import find_people
from facemotion.datasets.people import MeasuredPerson, measure, measured_people, trained_pairs
from facemotion.datasets.photo_samples import control_between, pair_landmarks
from facemotion.datasets.samples import SIZE_PX
from facemotion.datasets.splits import Splits
from facemotion.errors import InputError
from facemotion.head.mirror import mirrored_landmarks
from facemotion.head.model import load_head

_FAINTEST = 0.1
"""Smiles fainter than this tell nothing."""


def smile_motion(people: Sequence[MeasuredPerson], splits: Splits) -> np.ndarray:
    """(468, 2) cm (x to the person's left, y up) per strength, of the pairs of people who are trained on."""
    head, mirror = load_head(), mirrored_landmarks()
    strengths, residuals = [], []
    for crops in trained_pairs(people, splits, size_px=SIZE_PX):
        with suppress(InputError):
            rig, wanted, prior = pair_landmarks(*crops)
            control = control_between(rig, wanted, prior)
            strength = control[[head.unit_index[f"mouthSmile{side}"] for side in ("Left", "Right")]].mean()
            if strength > _FAINTEST:
                missing = wanted - rig.landmarks_at(rig.moved(control))
                missing = missing / rig.fit.scale * [1, -1]
                residuals.append((missing + missing[mirror] * [-1, 1]) / 2)
                strengths.append(strength)
    return np.tensordot(strengths, residuals, 1) / np.square(strengths).sum()


def main(arguments: list[str]) -> None:
    """Add the motion to that in the npz, which was made with the head in the package."""
    data, cache, path = map(Path, arguments)
    people = find_people([data])
    arrays = dict(np.load(path))
    more = smile_motion(measured_people(people, measure(people, cache)), Splits())
    arrays["smile_motion"] = arrays.get("smile_motion", 0) + more
    np.savez(path, **arrays)
    print(f"{np.linalg.norm(more, axis=1).max():.3f} cm at most")


if __name__ == "__main__":
    main(sys.argv[1:])
