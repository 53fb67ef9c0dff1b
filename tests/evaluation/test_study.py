"""The study with people: what the page holds, and how answers are counted."""

import base64
import json
import re
from io import BytesIO

import pytest
from PIL import Image

from facemotion.errors import InputError, OutputError
from facemotion.evaluation.answers import count_answers
from facemotion.evaluation.cases import find_cases
from facemotion.evaluation.study import usable, write_study
from facemotion.evaluation.tracking import frame_tracker
from facemotion.expressions.grammar import EXPRESSIONS
from facemotion.models.generator import tiny_generator
from tests.evaluation.faces import known_landmarks, write_clip_set


def cases_of(path):
    return find_cases([path], known=EXPRESSIONS, locate=frame_tracker(known_landmarks).locate)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return cases_of(write_clip_set(tmp_path_factory.mktemp("data") / "set", people=3, expressions=("smile",)))


def page_study(folder):
    page = (folder / "index.html").read_text()
    return json.loads(re.search(r'<script id="study"[^>]*>(.*?)</script>', page, re.DOTALL)[1])


def test_each_case_is_shown_twice_once_real_once_generated(tmp_path, cases):
    key = write_study(cases, tiny_generator(), tmp_path / "study", seed=1)
    assert sorted((t.case, t.truth) for t in key.trials) == sorted(
        (c.id, truth) for c in cases for truth in ("real", "generated")
    )
    shown = page_study(tmp_path / "study")
    assert [t["id"] for t in shown["trials"]] == [t.id for t in key.trials]
    assert {p.name for p in (tmp_path / "study").iterdir()} == {"index.html", "key.json"}


def test_the_page_gives_nothing_away_and_needs_nothing_from_outside(tmp_path, cases):
    write_study(cases, tiny_generator(), tmp_path / "study")
    shown = page_study(tmp_path / "study")
    assert all(set(trial) == {"id", "pictures"} for trial in shown["trials"])
    page = (tmp_path / "study/index.html").read_text()
    text = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]+", "", page)
    assert "://" not in text
    assert "p0-smile" not in text


def test_real_and_generated_pictures_are_encoded_alike(tmp_path, cases):
    key = write_study(cases, tiny_generator(), tmp_path / "study")
    kinds = set()
    for trial, shown in zip(key.trials, page_study(tmp_path / "study")["trials"], strict=True):
        with Image.open(BytesIO(base64.b64decode(shown["pictures"][0].partition(",")[2]))) as picture:
            kinds.add((trial.truth, picture.format, picture.size, picture.n_frames, tuple(sorted(picture.info))))
    assert len({kind[1:] for kind in kinds}) == 1
    assert {kind[0] for kind in kinds} == {"real", "generated"}


def test_recordings_are_shown_as_clips_and_a_loop_has_no_seam(tmp_path):
    cases = cases_of(write_clip_set(tmp_path / "set", people=1, expressions=("smile",), frames=8))
    write_study(cases, tiny_generator(), tmp_path / "study")
    data = page_study(tmp_path / "study")["trials"][0]["pictures"][0].partition(",")[2]
    with Image.open(BytesIO(base64.b64decode(data))) as clip:
        assert clip.n_frames == 14  # eight there, six back
        assert clip.info["loop"] == 0


def test_pairs_put_the_real_one_on_a_random_side(tmp_path):
    cases = cases_of(write_clip_set(tmp_path / "set", people=8, expressions=("smile",), frames=2))
    key = write_study(cases, tiny_generator(), tmp_path / "study", ask="pair", seed=0)
    assert {t.truth for t in key.trials} == {"left", "right"}
    shown = {t["id"]: t["pictures"] for t in page_study(tmp_path / "study")["trials"]}
    assert all(len(pictures) == 2 for pictures in shown.values())


def test_the_order_comes_from_the_seed(tmp_path, cases):
    keys = [write_study(cases, tiny_generator(), tmp_path / f"s{i}", seed=seed) for i, seed in enumerate((4, 4, 5))]
    assert keys[0] == keys[1]
    assert keys[0].trials != keys[2].trials
    assert (tmp_path / "s0/index.html").read_bytes() == (tmp_path / "s1/index.html").read_bytes()


def test_rendered_clips_are_no_real_pictures(tmp_path):
    for origin, count in (("teacher", 0), ("pairs", 0), ("ckplus", 1)):
        path = write_clip_set(tmp_path / origin, people=1, expressions=("smile",), origin=origin)
        assert len(usable(cases_of(path))) == count
    with pytest.raises(InputError, match="from a camera"):
        write_study([], tiny_generator(), tmp_path / "study")


def test_a_study_is_not_overwritten_unasked(tmp_path, cases):
    write_study(cases[:1], tiny_generator(), tmp_path / "study")
    with pytest.raises(OutputError, match="exists already"):
        write_study(cases[:1], tiny_generator(), tmp_path / "study")
    write_study(cases, tiny_generator(), tmp_path / "study", overwrite=True)


def write_key(path, truths, *, ask="one", expressions=None):
    expressions = expressions or ["smile"] * len(truths)
    trials = [
        {"id": f"t{i}", "case": f"c{i}", "person": "p", "expression": e, "truth": t}
        for i, (t, e) in enumerate(zip(truths, expressions, strict=True))
    ]
    key = {"format": "facemotion-study-key", "version": 1, "study": "abc", "ask": ask, "seed": 0, "trials": trials}
    path.write_text(json.dumps(key))
    return path


def write_answers(path, choices, *, who="anna", study="abc"):
    answers = [{"trial": f"t{i}", "choice": choice, "ms": 900} for i, choice in enumerate(choices)]
    record = {"format": "facemotion-study-answers", "version": 1, "study": study, "participant": who}
    path.write_text(json.dumps(record | {"started": "2026-01-01T00:00:00.000Z", "answers": answers}))
    return path


def test_called_real_is_counted_with_wilsons_interval(tmp_path):
    key = write_key(tmp_path / "key.json", ["real", "generated", "generated", "real"])
    a = write_answers(tmp_path / "a.json", ["real", "real", "generated", "generated"])
    b = write_answers(tmp_path / "b.json", ["real", "real", "real"], who="bert")
    outcome = count_answers([a, key, b])
    assert (outcome.participants, outcome.answers) == (2, 7)
    (verdict,) = outcome.verdicts
    assert (verdict.generated.mean, verdict.generated.n) == (0.75, 4)
    assert (verdict.generated.low, verdict.generated.high) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert (verdict.real.mean, verdict.real.n) == (pytest.approx(2 / 3), 3)


def test_of_pairs_it_is_counted_how_often_the_generated_one_was_chosen(tmp_path):
    key = write_key(tmp_path / "key.json", ["left", "right"], ask="pair", expressions=["smile", "blink"])
    outcome = count_answers([key, write_answers(tmp_path / "a.json", ["right", "right"])])
    shares = {v.expression: v.generated.mean for v in outcome.verdicts}
    assert shares == {"all": 0.5, "blink": 0.0, "smile": 1.0}
    assert outcome.verdicts[0].real is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: [write_answers(p / "a.json", ["real"])], "There are 0 keys"),
        (lambda p: [write_key(p / "k.json", ["real"])], "No answers"),
        (
            lambda p: [write_key(p / "k.json", ["real"]), write_answers(p / "a.json", ["real"], study="x")],
            "another study",
        ),
        (lambda p: [write_key(p / "k.json", ["real"]), write_answers(p / "a.json", ["left"])], "no valid answer"),
        (lambda p: [write_key(p / "k.json", ["real"]), write_answers(p / "a.json", ["real"] * 2)], "no valid answer"),
        (
            lambda p: [
                write_key(p / "k.json", ["real"]),
                write_answers(p / "a.json", ["real"]),
                write_answers(p / "b.json", ["real"]),
            ],
            "the same answers as in",
        ),
        (lambda p: [p / "missing.json"], "cannot be read"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, make, message):
    with pytest.raises(InputError, match=message):
        count_answers(make(tmp_path))


@pytest.mark.parametrize("text", ["no json", "[]", '{"format": "facemotion-study-answers", "version": 2}'])
def test_foreign_files_are_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        count_answers([path])


def test_damaged_answers_are_refused(tmp_path):
    key = write_key(tmp_path / "key.json", ["real"])
    (tmp_path / "a.json").write_text('{"format": "facemotion-study-answers", "version": 1, "study": "abc"}')
    with pytest.raises(InputError, match="Damaged key or answers"):
        count_answers([key, tmp_path / "a.json"])
