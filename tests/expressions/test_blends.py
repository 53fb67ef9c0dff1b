import numpy as np
import pytest

from facemotion.errors import UsageError
from facemotion.expressions.blends import canonical, check_blend, parse_expressions, slug, unit_targets
from facemotion.expressions.recipes import Recipes
from facemotion.expressions.units import UNIT_INDEX


@pytest.mark.parametrize(
    ("text", "steps", "name"),
    [
        ("smile", ({"smile": 1.0},), "smile"),
        ("Happy", ({"smile": 1.0},), "smile"),
        ("smile:0.7+browInnerUp:0.5", ({"smile": 0.7, "browInnerUp": 0.5},), "smile0.7+browInnerUp0.5"),
        ("wink", ({"wink": 1.0},), "wink"),
        ("wink-left", ({"wink-left": 1.0},), "wink-left"),
        ("AU12L:0.6+AU6:0.4", ({"mouthSmileLeft": 0.6, "cheekSquint": 0.4},), "mouthSmileLeft0.6+cheekSquint0.4"),
        ("AU28", ({"mouthRollLower": 1.0, "mouthRollUpper": 1.0},), "mouthRollLower+mouthRollUpper"),
        ("mouthsmile_l : 1.5", ({"mouthSmileLeft": 1.5},), "mouthSmileLeft1.5"),
        ("smile, neutral ,surprise", ({"smile": 1.0}, {}, {"surprise": 1.0}), "smile-neutral-surprise"),
        ("smile,photo,surprise", ({"smile": 1.0}, {"photo": 1.0}, {"surprise": 1.0}), "smile-photo-surprise"),
        ("smile:0", ({},), "neutral"),
        ("rest", ({},), "neutral"),
    ],
)
def test_expressions_parse_to_steps_and_file_names(text, steps, name):
    assert parse_expressions(text) == steps
    assert slug(steps) == name


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("smlie", "Unknown expression or unit 'smlie'", "smile"),
        ("mouthSmilee", "Unknown expression or unit", "mouthSmile"),
        ("raisedbrow", "Unknown expression or unit", "raised-brows"),
        ("xyzzy", "Unknown expression or unit", "facemotion expressions"),
        ("AU23", "AU23 has no unit", "12"),
        ("", "empty", "smile"),
        ("smile,,anger", "empty", "smile"),
        ("smile+", "A name is missing", "smile"),
        ("smile:much", "'much' is no weight for smile", "smile:0.7"),
        ("smile:2", "weight of smile is 2", "0 to 1.5"),
        ("jawOpen:1.6", "weight of jawOpen is 1.6", "0 to 1.5"),
        ("smile:nan", "weight of smile is nan", "0 to 1.5"),
        ("smile:-1", "weight of smile is -1", "0 to 1.5"),
        ("smile+happy", "asked for twice", "once"),
        ("AU12+mouthSmile", "asked for twice", "once"),
        ("smile+photo", "photo is mixed", "alone"),
    ],
)
def test_unclear_expressions_say_what_and_suggest(text, message, hint):
    with pytest.raises(UsageError) as caught:
        parse_expressions(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_words_of_version_01_keep_their_meaning():
    for word, name in (
        ("happy", "smile"),
        ("joy", "smile"),
        ("grin", "smile"),
        ("amazed", "surprise"),
        ("furious", "anger"),
        ("sad", "sadness"),
        ("disgusted", "disgust"),
        ("scared", "fear"),
        ("smirk", "contempt"),
        ("eyes-closed", "blink"),
        ("gentle-smile", "closed-smile"),
        ("rest", "neutral"),
        ("photo", "photo"),
        ("laugh", "laugh"),
    ):
        assert canonical(word) == (name,)
        assert canonical(name) == (name,)


def test_units_of_a_blend_add_up_and_stay_in_range():
    smile = unit_targets({"smile": 1.0})
    assert smile.dtype == np.float32 and smile.shape == (52,)
    left, jaw = UNIT_INDEX["mouthSmileLeft"], UNIT_INDEX["jawOpen"]
    np.testing.assert_allclose(unit_targets({"smile": 0.5}), 0.5 * smile)
    mixed = unit_targets({"smile": 1.0, "mouthSmileLeft": 0.2, "jawOpen": 0.5})
    assert mixed[left] == pytest.approx(smile[left] + 0.2) and mixed[jaw] == pytest.approx(smile[jaw] + 0.5)
    assert unit_targets({"mouthSmile": 1.5, "smile": 1.5}).max() == 1.5
    assert not unit_targets({}).any()


def test_intensity_scales_all_and_stays_in_range():
    np.testing.assert_allclose(unit_targets({"smile": 1.0}, intensity=0.5), unit_targets({"smile": 0.5}))
    for blend, intensity in (({"smile": 1.2}, 1.4), ({"smile": 1}, -0.1), ({"smile": 1}, float("nan")), ({}, 1.6)):
        with pytest.raises(UsageError, match="out of range"):
            unit_targets(blend, intensity=intensity)


def test_a_seed_draws_the_persons_own():
    assert (unit_targets({"smile": 1.0}, seed=1) != unit_targets({"smile": 1.0}, seed=2)).any()
    np.testing.assert_allclose(
        unit_targets({"smile": 1.0, "jawOpen": 0.2}, seed=1),
        unit_targets({"smile": 1.0}, seed=1) + unit_targets({"jawOpen": 0.2}),
    )


def test_the_photos_own_expression_has_no_units_here():
    with pytest.raises(UsageError, match="not known here"):
        unit_targets({"photo": 1.0})


def test_a_users_recipes_are_words_of_the_language(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"expressions": {"proud": {"units": {"AU12": 0.3}}}}')
    recipes = Recipes.load(path)
    assert parse_expressions("proud:0.5+smile", recipes=recipes) == ({"proud": 0.5, "smile": 1.0},)
    assert check_blend({"PROUD": 1}, recipes=recipes) == {"proud": 1.0}
    with pytest.raises(UsageError):
        parse_expressions("proud")
