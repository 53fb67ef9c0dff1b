"""How the occlusion network comes to know glasses: a ridge regression on its own features.

``python -m facemotion.training.occlusion.glasses DATA FILE`` fits it anew in a weight file.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facemotion.faces.geometry import photo_to_crop
from facemotion.faces.occlusion_network import OcclusionNetwork, load_occlusion, occlusion_input, save_occlusion
from facemotion.training.occlusion.photos import TrainingPhoto, people_with_glasses, read_photos

_RIDGE = 0.1
"""Share of the mean squared length of a person's standardised features that is added to each."""
_FEWEST = 8
"""With fewer people with glasses, or without, nothing is learnt."""
_BATCH = 32
_FOUND = 0.44
"""Score from which on glasses are rather there than not."""


@torch.inference_mode()
def seen(network: OcclusionNetwork, photos: Iterable[TrainingPhoto]) -> Tensor:
    """(n, m) what the network's `look` tells of glasses in every photo."""
    size, photos, rows = network.config.input_px, list(photos), []
    for start in range(0, len(photos), _BATCH):
        some = photos[start : start + _BATCH]
        crops = np.stack([photo.warp(photo_to_crop(photo.landmarks, size), (size, size)) for photo in some])
        rows.append(network.look(occlusion_input(crops))[1])
    return torch.cat(rows)


def fitted(features: Tensor, worn: Tensor, *, ridge: float = _RIDGE) -> tuple[Tensor, Tensor]:
    """Weight (m,) and bias of the ridge regression of ``worn`` (n,), 0 or 1, on standardised features (n, m)."""
    features, worn = features.double(), worn.double()
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    rows, share = (features - mean) / deviation, worn.mean()
    products = rows @ rows.T  # fewer people than features: the dual problem is the smaller one
    products += ridge * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)
    weight = rows.T @ torch.linalg.solve(products, worn - share) / deviation
    return weight.float(), (share - weight @ mean).float()


@torch.no_grad()
def fit_glasses(
    network: OcclusionNetwork, photos: list[TrainingPhoto], *, occluded: Mapping[str, str], wearers: Collection[str]
) -> int:
    """Set the network's score of glasses by photos of people with and without; returns how many wear some, 0 where
    there are too few of either. occluded: what hides faces, by person; where that is not glasses, they are left out."""
    chosen = _clear(photos, occluded)
    worn = [photo.person in wearers for photo in chosen]
    if min(sum(worn), len(worn) - sum(worn)) < _FEWEST:
        return 0
    weight, bias = fitted(seen(network.eval(), chosen), torch.tensor(worn))
    network.glasses_weight.copy_(weight)
    network.glasses_bias.copy_(bias)
    return sum(worn)


def _clear(photos: Iterable[TrainingPhoto], occluded: Mapping[str, str]) -> list[TrainingPhoto]:
    return [photo for photo in photos if occluded.get(photo.person, "eyes") == "eyes"]


def main(arguments: list[str]) -> None:
    """Fit the score of a weight file, and say how well it tells validation people."""
    from facemotion.training.occlusion.scenes import listed_occluders

    data, path = map(Path, arguments)
    network, record = load_occlusion(path), _record(path)
    wearers, occluded = people_with_glasses(), listed_occluders()
    count = fit_glasses(network, read_photos(data, validation=False), occluded=occluded, wearers=wearers)
    held_out = _clear(read_photos(data, validation=True), occluded)
    scores = network.glasses(seen(network, held_out)).numpy()
    worn = np.array([photo.person in wearers for photo in held_out])
    save_occlusion(path, network, record=record)
    found, alarms = (scores[worn] > _FOUND).sum(), (scores[~worn] > _FOUND).sum()
    print(f"{count} with glasses; of {worn.sum()} held out {found} found, of {(~worn).sum()} without {alarms}")


def _record(path: Path) -> dict:
    import json

    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["record"])


if __name__ == "__main__":
    main(sys.argv[1:])
