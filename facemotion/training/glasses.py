"""How the generator comes to know glasses: a ridge regression on its own features, fitted once."""

from collections.abc import Collection
from importlib.resources import files

import torch
from torch import Tensor

from facemotion.datasets.splits import KNOWN_SETS, listed_people
from facemotion.models.generator import Generator
from facemotion.models.glasses import GLASSES_LEVEL, Glasses
from facemotion.training.dataset import ClipPool

_RIDGE = 0.1
"""Share of the mean squared length of a person's standardised features that is added to each."""


def people_with_glasses() -> frozenset[str]:
    """Those people of the known sets who wear glasses or sunglasses, by eye."""
    return listed_people((files("facemotion") / "assets" / "glasses.txt").read_text())


@torch.inference_mode()
def seen(generator: Generator, pool: ClipPool, people: Collection[str]) -> tuple[Tensor, list[str]]:
    """Features (n, m) of `Glasses.looked_at` for one photo each of these people of the clips, and who they are."""
    size = generator.config.input_px
    first: dict[str, int] = {}
    for index, fact in enumerate(pool.facts):
        if fact.person in people:
            first.setdefault(fact.person, index)
    rows = []
    for index in first.values():
        photo = torch.from_numpy(pool.frame(index, pool.clips[index], 0, size=size)).permute(2, 0, 1)[None]
        rows.append(Glasses.looked_at(generator.base_encoder(photo.float() / 127.5 - 1)[GLASSES_LEVEL]))
    return torch.cat(rows), list(first)


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
def fit_glasses(generator: Generator, pool: ClipPool, people: Collection[str] | None = None) -> int:
    """Set the generator's ``glasses`` by the people of the clips; returns how many of them wear some, 0 where it was
    left as it is.

    Nothing can be learnt where fewer than eight wear glasses, or fewer than eight do not. people: who does; by default
    `people_with_glasses`, and people of sets that are not known count for nothing.
    """
    wearers = people_with_glasses() if people is None else people
    present = {fact.person for fact in pool.facts}
    if people is None:
        present = {person for person in present if person.split("-")[0] in KNOWN_SETS}
    count = len(present & set(wearers))
    if generator.glasses is None or min(count, len(present) - count) < 8:
        return 0
    features, names = seen(generator, pool, present)
    weight, bias = fitted(features, torch.tensor([name in wearers for name in names]))
    generator.glasses.weight.copy_(weight)
    generator.glasses.bias.copy_(bias)
    return count
