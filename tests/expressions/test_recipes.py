import json
from pathlib import Path

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.expressions.recipes import Recipes, check_recipes, seed_from_bytes
from facemotion.expressions.units import UNIT_INDEX, find_unit

LEFT, RIGHT = UNIT_INDEX["mouthSmileLeft"], UNIT_INDEX["mouthSmileRight"]


@pytest.fixture(scope="module")
def recipes() -> Recipes:
    return Recipes.load()


def written(folder: Path, content: object) -> Path:
    path = folder / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_built_in_file_has_todays_expressions_and_the_new_ones(recipes):
    today = "smile surprise anger sadness disgust fear contempt blink closed-smile"
    new = "wink laugh kiss frown raised-brows closed-anger open-fear squint jaw-drop pout"
    assert set(recipes.names) == set(f"{today} {new}".split())
    for recipe in recipes.by_name.values():
        assert recipe.looks and recipe.facs and recipe.source
        assert all(variant.components for variant in recipe.variants)
        assert find_unit(recipe.name) is None
    assert len(set(recipes.aliases)) == len([a for recipe in recipes.by_name.values() for a in recipe.aliases])


def test_disgust_wrinkles_the_nose_and_raises_the_lip_and_a_smile_lifts_it_too(recipes):
    disgust = recipes.by_name["disgust"].variant().strengths
    assert disgust["noseSneerLeft"] == disgust["noseSneerRight"] == max(disgust.values())
    assert disgust["mouthUpperUpLeft"] > 0.3 < disgust["mouthUpperUpRight"]
    smile = recipes.by_name["smile"].variant().strengths
    assert smile["mouthUpperUpLeft"] > 0.2 < smile["mouthUpperUpRight"]
    assert "browTogether" not in json.dumps(recipes.by_name["anger"].units)


def test_anger_and_disgust_differ_in_brows_and_nose(recipes):
    anger, disgust = (recipes.by_name[name].variant().strengths for name in ("anger", "disgust"))
    assert anger["browDownLeft"] > 3 * disgust["browDownLeft"]
    assert disgust["noseSneerLeft"] > 2 * anger["noseSneerLeft"]


def test_names_aliases_and_variants_are_found(recipes):
    assert recipes.find("Happy") == "smile"
    assert recipes.find("Closed_Smile") == "closed-smile"
    assert recipes.find("wink-left") == "wink-left"
    assert recipes.find("smirk right") == "contempt-right"
    assert recipes.find("wink-up") is None
    assert recipes.find("mouthSmile") is None


def test_without_a_seed_it_is_the_first_variant_as_written(recipes):
    for name, recipe in recipes.by_name.items():
        units = recipes.draw(name, None)
        assert units.dtype == np.float32 and units.shape == (52,)
        expected = np.zeros(52, np.float32)
        for unit, strength in recipe.variant().strengths.items():
            expected[UNIT_INDEX[unit]] = strength
        np.testing.assert_array_equal(units, expected)
        np.testing.assert_array_equal(recipes.draw(name, 5, variation=0), expected)


def test_the_same_seed_is_the_same_performance_and_another_seed_another(recipes):
    np.testing.assert_array_equal(recipes.draw("smile", 7), recipes.draw("smile", 7))
    assert np.abs(recipes.draw("smile", 7) - recipes.draw("smile", 8)).max() > 0.02


def test_people_differ_as_much_as_the_file_says(recipes):
    smiles = np.stack([recipes.draw("smile-teeth", seed) for seed in range(400)])
    mean, deviation = smiles.mean(axis=0), smiles.std(axis=0)
    assert mean[LEFT] == pytest.approx(0.7, abs=0.02)
    assert deviation[LEFT] / mean[LEFT] == pytest.approx(np.hypot(np.hypot(0.08, 0.1), 0.08), rel=0.25)
    opening = UNIT_INDEX["mouthUpperUpLeft"]
    assert deviation[opening] / mean[opening] > 1.5 * deviation[LEFT] / mean[LEFT]
    assert smiles.min() >= 0 and smiles.max() <= 1.5
    never = [index for index in range(52) if index not in np.flatnonzero(recipes.draw("smile-teeth", None))]
    assert not smiles[:, never].any()


def test_a_persons_stronger_side_is_the_same_in_all_expressions(recipes):
    def tilt(name: str, unit: str, seed: int) -> float:
        units = recipes.draw(name, seed)
        left, right = units[UNIT_INDEX[f"{unit}Left"]], units[UNIT_INDEX[f"{unit}Right"]]
        return float(left - right) / float(left + right)

    smiles = [tilt("smile", "mouthSmile", seed) for seed in range(200)]
    laughs = [tilt("laugh", "mouthSmile", seed) for seed in range(200)]
    assert np.corrcoef(smiles, laughs)[0, 1] > 0.3
    assert abs(np.mean(smiles)) < 0.02


def test_both_sides_of_one_sided_expressions_occur_and_can_be_asked_for(recipes):
    left = UNIT_INDEX["eyeBlinkLeft"]
    sides = [bool(recipes.draw("wink", seed)[left]) for seed in range(40)]
    assert 8 < sum(sides) < 32
    assert all(recipes.draw("wink-left", seed)[left] == 1 for seed in range(10))
    assert not any(recipes.draw("wink-right", seed)[left] for seed in range(10))
    assert recipes.draw("wink-right", None)[UNIT_INDEX["eyeBlinkRight"]] == 1


def test_a_photo_has_one_seed():
    assert seed_from_bytes(b"photo") == seed_from_bytes(b"photo") != seed_from_bytes(b"other")
    assert 0 <= seed_from_bytes(b"") < 2**48


def test_a_users_file_adds_and_overrides(tmp_path):
    path = written(
        tmp_path,
        {
            "expressions": {
                "Proud_Look": {"units": {"AU12": 0.3, "chin": 0}, "aliases": ["proud"]},
                "smile": {"units": {"mouthSmile_L": 0.5, "mouthSmile_R": {"strength": 0.6, "spread": 0}}},
            }
        },
    )
    problems = check_recipes(path)
    assert len(problems) == 1 and "unknown unit 'chin'" in problems[0]
    content = json.loads(path.read_text())
    del content["expressions"]["Proud_Look"]["units"]["chin"]
    recipes = Recipes.load(written(tmp_path, content))
    assert recipes.find("proud") == "proud-look"
    assert recipes.draw("proud-look", None)[LEFT] == np.float32(0.3)
    assert recipes.draw("smile", None)[[LEFT, RIGHT]] == pytest.approx([0.5, 0.6])
    assert recipes.find("happy") is None, "aliases of an overridden recipe go with it"
    assert recipes.find("angry") == "anger"


def test_a_users_name_may_be_a_built_in_alias(tmp_path):
    recipes = Recipes.load(written(tmp_path, {"expressions": {"joy": {"units": {"mouthSmile": 1}}}}))
    assert recipes.find("joy") == "joy"
    assert recipes.find("happy") == "smile"


GOOD = {"units": {"jawOpen": 0.5}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no JSON"),
        ('{"expressions": {', "no JSON"),
        ('{"expressions": ' + "[" * 100_000, "nested too deeply"),
        ("[]", "the outermost is no object"),
        ({}, "no expressions"),
        ({"expressions": {}}, "no expressions"),
        ({"expressions": []}, "no expressions"),
        ({"format": "other", "expressions": {"x": GOOD}}, "format is 'other'"),
        ({"version": 1, "expressions": {"x": GOOD}}, "version is 1"),
        ({"expresions": {}, "expressions": {"x": GOOD}}, "unknown field 'expresions'"),
        ('{"expressions": {"x": {"units": {"jawOpen": 1, "jawOpen": 0}}}}', "'jawOpen' is there twice"),
        ({"expressions": {"x": 5}}, "x: not an object"),
        ({"expressions": {"x": {}}}, "either 'units' or 'variants'"),
        ({"expressions": {"x": {**GOOD, "variants": []}}}, "either 'units' or 'variants'"),
        ({"expressions": {"x": {"units": {}}}}, "no units"),
        ({"expressions": {"x": {"units": {"mouthSmlie": 1}}}}, "mouthSmile"),
        ({"expressions": {"x": {"units": {"browTogether": 1}}}}, "unknown unit 'browTogether'"),
        ({"expressions": {"x": {"units": {"AU23": 1}}}}, "AU23 has no unit"),
        ({"expressions": {"x": {"units": {"jawOpen": 2}}}}, "x: units.jawOpen: 2 is not between 0 and 1.5"),
        ({"expressions": {"x": {"units": {"jawOpen": -0.1}}}}, "not between"),
        ({"expressions": {"x": {"units": {"jawOpen": "much"}}}}, "'much' is no number"),
        ({"expressions": {"x": {"units": {"jawOpen": True}}}}, "True is no number"),
        ('{"expressions": {"x": {"units": {"jawOpen": NaN}}}}', "nan is no number"),
        ({"expressions": {"x": {"units": {"jawOpen": {"strength": 1, "sprad": 0}}}}}, "unknown field 'sprad'"),
        ({"expressions": {"x": {**GOOD, "assymetry": 1}}}, "unknown field 'assymetry'"),
        ({"expressions": {"x": {**GOOD, "asymmetry": 3}}}, "asymmetry: 3 is not between"),
        ({"expressions": {"x": {**GOOD, "spread": {"all": 1}}}}, "unknown field 'all'"),
        ({"expressions": {"x": {**GOOD, "delays": {"ears": 1}}}}, "unknown field 'ears'"),
        ({"expressions": {"x": {**GOOD, "timing": {"onset_s": 0}}}}, "timing.onset_s: 0 is not between 0.03 and 5"),
        ({"expressions": {"x": {**GOOD, "looks": 5}}}, "looks: not a text"),
        ({"expressions": {"x": {**GOOD, "aliases": "y"}}}, "aliases: not a list"),
        ({"expressions": {"x": {**GOOD, "aliases": ["jawOpen"]}}}, "cannot be an alias"),
        ({"expressions": {"x": {**GOOD, "aliases": ["smile"]}}}, "'smile' is the name of a built-in"),
        ({"expressions": {"x": {**GOOD, "aliases": ["y"]}, "y": GOOD}}, "already an expression"),
        ({"expressions": {"neutral": GOOD}}, "reserved"),
        ({"expressions": {"mouthSmile": GOOD}}, "the name of a unit"),
        ({"expressions": {"AU12": GOOD}}, "the name of a unit"),
        ({"expressions": {"so:what": GOOD}}, "letters, digits and hyphens"),
        ({"expressions": {"x": {"variants": []}}}, "at least one variant"),
        ({"expressions": {"x": {"variants": [{"probability": 0, **GOOD}]}}}, "all 0"),
        ({"expressions": {"x": {"variants": [{"name": "a", **GOOD}, {"name": "a", **GOOD}]}}}, "two of one name"),
        ({"expressions": {"x": {"variants": [{"name": "Not One", **GOOD}]}}}, "not one word"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, content, problem):
    path = written(tmp_path, content)
    problems = check_recipes(path)
    assert any(problem in line for line in problems), problems
    with pytest.raises(InputError) as caught:
        Recipes.load(path)
    assert str(path) in caught.value.message
    assert "--check" in caught.value.hint


def test_a_file_that_cannot_be_read_is_a_clear_error(tmp_path):
    with pytest.raises(InputError, match="Cannot read the recipes"):
        Recipes.load(tmp_path / "missing.json")
    (tmp_path / "picture.json").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="no text in UTF-8"):
        check_recipes(tmp_path / "picture.json")


def test_a_byte_order_mark_is_no_matter(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"expressions": {"x": GOOD}}), encoding="utf-8-sig")
    assert check_recipes(path) == []
