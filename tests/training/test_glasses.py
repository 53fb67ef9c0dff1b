"""How glasses are learnt."""

from types import SimpleNamespace

import pytest
import torch

from facemotion.datasets.splits import built_in_validation
from facemotion.models.generator import tiny_generator
from facemotion.training import glasses
from facemotion.training.dataset import ClipPool


def test_the_regression_tells_people_that_it_did_not_see():
    random = torch.Generator().manual_seed(0)
    direction = torch.randn(300, generator=random)
    worn = torch.rand(200, generator=random) < 0.2
    features = torch.randn(200, 300, generator=random) + 5 + 0.4 * direction * worn[:, None]
    weight, bias = glasses.fitted(features[:150], worn[:150])
    score = features[150:] @ weight + bias
    assert ((score > 0.375) == worn[150:]).float().mean() > 0.95


def test_glasses_are_fitted_on_the_features_of_the_people_who_wear_them(monkeypatch):
    generator = tiny_generator()
    names = [f"person-{k}" for k in range(40)]
    pool = SimpleNamespace(facts=[SimpleNamespace(person=name) for name in names])
    features = torch.randn(40, len(generator.glasses.weight), generator=torch.Generator().manual_seed(0))
    features[:10] += 1
    monkeypatch.setattr(glasses, "seen", lambda generator, pool, people: (features, names))
    assert glasses.fit_glasses(generator, pool, names[:10]) == 10
    score = features @ generator.glasses.weight + generator.glasses.bias
    assert score[:10].min() > score[10:].max()


def test_each_person_is_looked_at_once_and_too_few_change_nothing(clip_folder):
    generator = tiny_generator()
    pool = ClipPool.open([clip_folder], split="train", expressions=generator.config.expressions)
    wanted = sorted({fact.person for fact in pool.facts})[:3]
    features, people = glasses.seen(generator, pool, wanted)
    assert sorted(people) == wanted
    assert features.shape == (3, len(generator.glasses.weight))
    assert glasses.fit_glasses(generator, pool, people[:2]) == 0
    assert generator.glasses.weight.abs().max() == 0


def test_people_of_whom_nobody_said_whether_they_wear_glasses_count_for_nothing(monkeypatch):
    names = [f"portrait-{k}" for k in range(20)]
    pool = SimpleNamespace(facts=[SimpleNamespace(person=name) for name in [*names, "family-anna"]])
    monkeypatch.setattr(glasses, "people_with_glasses", lambda: frozenset(names[:10]))
    asked = []

    def seen(generator, pool, people):
        asked.extend(people)
        return torch.randn(20, len(generator.glasses.weight)), names

    monkeypatch.setattr(glasses, "seen", seen)
    assert glasses.fit_glasses(tiny_generator(), pool) == 10
    assert sorted(asked) == sorted(names)


def test_people_with_glasses_are_of_a_known_set_and_some_are_kept_for_validation():
    people = glasses.people_with_glasses()
    assert len(people) > 100 and all(name.startswith("portrait-") for name in people)
    assert 0 < len(people & built_in_validation()) < len(people)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_features_that_never_differ_are_no_division_by_zero(ridge):
    features = torch.ones(20, 5)
    features[:, 0] = torch.arange(20) % 2
    weight, bias = glasses.fitted(features, torch.arange(20) % 2, ridge=ridge)
    assert torch.isfinite(weight).all() and torch.isfinite(bias)
