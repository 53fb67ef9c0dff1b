"""Recipes: the built-in file, a user's extension, and what is refused."""

import json

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.expressions.grammar import EXPRESSIONS
from facemotion.synthetic.recipes import FORMAT, Recipes
from tests.synthetic import made_up_head


def write(path, expressions, **changes):
    path.write_text(json.dumps({"format": FORMAT, "version": 1, "expressions": expressions} | changes))
    return path


def test_the_built_in_recipes_make_the_released_expressions():
    recipes = Recipes.load()
    assert recipes.expressions == EXPRESSIONS
    recipes.check(made_up_head.head())
    assert all(recipe.facs and recipe.source for recipe in recipes.recipes.values())


def test_a_users_file_extends_and_overrides(tmp_path):
    wink = {"variants": [{"units": {"eyeBlink_L": 1.0}}]}
    recipes = Recipes.load(write(tmp_path / "own.json", {"wink": wink, "blink": wink}))
    assert recipes.expressions == (*EXPRESSIONS, "wink")
    head = made_up_head.head()
    drawn = recipes.draw("blink", head, np.random.default_rng(0), jitter=0)
    assert drawn[head.unit_index["eyeBlink_L"]] == 1 and drawn[head.unit_index["eyeBlink_R"]] == 0


def test_jitter_spreads_around_the_recipe():
    head, recipes = made_up_head.head(), Recipes.load()
    plain = recipes.draw("smile", head, np.random.default_rng(0), jitter=0)
    assert np.array_equal(plain, recipes.draw("smile", head, np.random.default_rng(5), jitter=0))
    drawn = np.stack([recipes.draw("smile", head, np.random.default_rng(seed)) for seed in range(200)])
    left, right = (head.unit_index[f"mouthSmile_{side}"] for side in "LR")
    assert drawn[:, left].mean() == pytest.approx(plain[left], rel=0.05)
    assert 0.05 < drawn[:, left].std() / plain[left] < 0.3
    assert np.abs(drawn[:, left] - drawn[:, right]).max() > 0
    assert (drawn >= 0).all()


def test_the_likelier_variant_comes_more_often(tmp_path):
    variants = [{"probability": 3, "units": {"jawOpen": 1}}, {"probability": 1, "units": {"mouthSmile": 1}}]
    recipes = Recipes.load(write(tmp_path / "own.json", {"mixed": {"spread": 0, "asymmetry": 0, "variants": variants}}))
    head = made_up_head.head()
    jaw = [recipes.draw("mixed", head, np.random.default_rng(s))[head.unit_index["jawOpen"]] > 0 for s in range(200)]
    assert 0.6 < np.mean(jaw) < 0.9


@pytest.mark.parametrize(
    ("expressions", "changes", "reason"),
    [
        ({}, {"format": "other"}, "not a recipe file"),
        ({"x": {}}, {}, "damaged"),
        ({"x": {"variants": []}}, {}, "no variant"),
        ({"x": {"variants": [{"units": {"jawOpen": "much"}}]}}, {}, "damaged"),
    ],
)
def test_what_is_no_recipe_file_is_refused(tmp_path, expressions, changes, reason):
    with pytest.raises(InputError, match=reason):
        Recipes.load(write(tmp_path / "own.json", expressions, **changes))


def test_an_unreadable_file_and_an_unknown_unit_are_refused(tmp_path):
    with pytest.raises(InputError, match="Cannot read recipes"):
        Recipes.load(tmp_path / "missing.json")
    recipes = Recipes.load(write(tmp_path / "own.json", {"x": {"variants": [{"units": {"earWiggle": 1}}]}}))
    with pytest.raises(InputError, match="earWiggle"):
        recipes.check(made_up_head.head())
