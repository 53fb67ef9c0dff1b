"""The small languages of the command line under any text: a value of the right kind, or a UsageError."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemotion.batch.plan import Shard
from facemotion.errors import UsageError
from facemotion.expressions.blends import MAX_WEIGHT, builtin_recipes, parse_expressions, slug
from facemotion.faces.selection import check_face_choice
from facemotion.training.duration import parse_duration

settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=200)
settings.load_profile("fixed")

EXPRESSIONS = builtin_recipes().names

_OTHERS = (
    "largest all 0 01 1 / 4 s m h . 90 k M x 0:128/256x16 ² ٣ : + , 0.5 1.6 -1 nan 1e400 neutral happy browInnerUp"
)
WORDS = st.sampled_from([*EXPRESSIONS, *_OTHERS.split(), " ", "9" * 5000])
TEXT = st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=8).map("".join))


@given(TEXT)
def test_expressions(text):
    try:
        steps = parse_expressions(text)
    except UsageError as error:
        assert error.message and error.hint
        return
    for blend in steps:
        assert all(0 < weight <= MAX_WEIGHT for weight in blend.values())
    assert slug(steps)


@given(st.dictionaries(st.sampled_from(EXPRESSIONS), st.floats(0.01, MAX_WEIGHT), min_size=1, max_size=4))
def test_what_is_written_as_the_guide_says_is_read_back(blend):
    text = "+".join(f"{name}:{weight!r}" for name, weight in blend.items())
    assert parse_expressions(text) == (blend,)


@given(TEXT)
def test_durations(text):
    try:
        seconds = parse_duration(text)
    except UsageError:
        return
    assert seconds > 0 and math.isfinite(seconds)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 59))
def test_durations_add_up(hours, minutes, seconds):
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == 3600 * hours + 60 * minutes + seconds
    assert parse_duration(f"{hours}h {minutes}.5m") == 3600 * hours + 60 * minutes + 30
    assert parse_duration(str(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", ".", "1.2.3s", "5x", "s", "-5m", "inf", "nan", "1e5", "9" * 400, "٣s", "1h30mm"]
)
def test_what_is_no_duration(text):
    with pytest.raises(UsageError, match="cannot read the duration"):
        parse_duration(text)


@given(TEXT)
def test_shards(text):
    try:
        shard = Shard.parse(text)
    except UsageError as error:
        assert len(error.message) < 200
        return
    assert 1 <= shard.index <= shard.count


@given(st.integers(1, 500), st.integers(1, 500))
def test_shards_are_read_back_and_take_every_task_once(index, count):
    if index > count:
        with pytest.raises(UsageError):
            Shard.parse(f"{index}/{count}")
    else:
        assert Shard.parse(f"{index}/{count}") == Shard(index, count)
    parts = [Shard(i, 7).of(list(range(count))) for i in range(1, 8)]
    assert sorted(itertools.chain(*parts)) == list(range(count))


@given(TEXT)
def test_face_choices(text):
    try:
        check_face_choice(text)
    except UsageError as error:
        assert len(error.message) < 200
        return
    assert text in ("largest", "all") or all(float(number) >= 0 for number in text.split(","))
