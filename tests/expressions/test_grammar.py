import pytest

from facemotion.errors import UsageError
from facemotion.expressions.grammar import (
    ALIASES,
    DESCRIPTIONS,
    EXPRESSIONS,
    canonical,
    check_blend,
    control_vector,
    parse_expressions,
    slug,
)


@pytest.mark.parametrize(
    ("text", "steps", "name"),
    [
        ("smile", ({"smile": 1.0},), "smile"),
        ("Happy", ({"smile": 1.0},), "smile"),
        ("smile:0.7+surprise:0.3", ({"smile": 0.7, "surprise": 0.3},), "smile0.7+surprise0.3"),
        ("surprise : .3 + smile:0.7", ({"smile": 0.7, "surprise": 0.3},), "smile0.7+surprise0.3"),
        ("smile, neutral ,surprise", ({"smile": 1.0}, {}, {"surprise": 1.0}), "smile-neutral-surprise"),
        ("anger:1.5", ({"anger": 1.5},), "anger1.5"),
        ("smile:0", ({},), "neutral"),
    ],
)
def test_expressions_parse_to_steps_and_file_names(text, steps, name):
    assert parse_expressions(text) == steps
    assert slug(steps) == name


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("smlie", "Unknown expression 'smlie'", "smile"),
        ("surprize", "Unknown expression", "surprise"),
        ("xyzzy", "Unknown expression", "smile, surprise, anger"),
        ("", "empty", "smile"),
        ("smile,,anger", "empty", "smile"),
        ("smile+", "A name is missing", "smile"),
        ("smile:much", "'much' is no weight for smile", "smile:0.7"),
        ("smile:2", "weight of smile is 2", "0 to 1.5"),
        ("smile:nan", "weight of smile is nan", "0 to 1.5"),
        ("smile:-1", "weight of smile is -1", "0 to 1.5"),
        ("smile+happy", "asked for twice", "once"),
    ],
)
def test_unclear_expressions_say_what_and_suggest(text, message, hint):
    with pytest.raises(UsageError) as caught:
        parse_expressions(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_every_expression_is_described_and_no_alias_is_ambiguous():
    assert set(DESCRIPTIONS) == set(EXPRESSIONS)
    aliases = [alias for others in ALIASES.values() for alias in others]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & set(EXPRESSIONS)
    assert all(canonical(alias) == name for name, others in ALIASES.items() for alias in others)


def test_a_model_of_other_expressions_knows_only_its_own():
    assert parse_expressions("wow+yawn", known=("yawn", "surprise")) == ({"yawn": 1.0, "surprise": 1.0},)
    with pytest.raises(UsageError, match="smile"):
        parse_expressions("smile", known=("yawn",))


def test_control_vectors_follow_the_models_order():
    vector = control_vector(check_blend({"blink": 0.5, "happy": 1}))
    assert dict(zip(EXPRESSIONS, vector, strict=True)) == dict.fromkeys(EXPRESSIONS, 0.0) | {"smile": 1, "blink": 0.5}
