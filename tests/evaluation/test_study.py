"""The study with people: what the page holds, and how answers are counted."""

import base64
import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.datasets.layouts import PairItem
from facemotion.errors import InputError, OutputError
from facemotion.evaluation import study
from facemotion.evaluation.answers import count_answers
from facemotion.evaluation.study import draw_pairs, real_and_generated, write_study


def pairs_of(count: int) -> list[PairItem]:
    return [PairItem(f"k{n}", f"p{n}", Path(f"n{n}.jpg"), Path(f"s{n}.jpg"), "smile") for n in range(count)]


def flat(pair: PairItem, network=None) -> tuple[np.ndarray, np.ndarray]:
    tone = 20 * int(pair.person[1:])
    return np.full((64, 64, 3), 100 + tone, np.uint8), np.full((64, 64, 3), 90 + tone, np.uint8)


@pytest.fixture
def pairs(monkeypatch):
    monkeypatch.setattr(study, "real_and_generated", flat)
    return pairs_of(3)


def page_study(folder):
    page = (folder / "index.html").read_text()
    return json.loads(re.search(r'<script id="study"[^>]*>(.*?)</script>', page, re.DOTALL)[1])


def test_each_pair_is_shown_twice_once_real_once_generated(tmp_path, pairs):
    key = write_study(pairs, tmp_path / "study", seed=1)
    assert sorted((t.person, t.truth) for t in key.trials) == sorted(
        (pair.person, truth) for pair in pairs for truth in ("real", "generated")
    )
    shown = page_study(tmp_path / "study")
    assert [t["id"] for t in shown["trials"]] == [t.id for t in key.trials]
    assert {p.name for p in (tmp_path / "study").iterdir()} == {"index.html", "key.json"}


def test_the_page_gives_nothing_away_and_needs_nothing_from_outside(tmp_path, pairs):
    write_study(pairs, tmp_path / "study")
    shown = page_study(tmp_path / "study")
    assert all(set(trial) == {"id", "pictures"} for trial in shown["trials"])
    page = (tmp_path / "study/index.html").read_text()
    text = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]+", "", page)
    assert "://" not in text
    assert "p0-smile" not in text


def test_real_and_generated_pictures_are_encoded_alike(tmp_path, pairs):
    key = write_study(pairs, tmp_path / "study")
    kinds = set()
    for trial, shown in zip(key.trials, page_study(tmp_path / "study")["trials"], strict=True):
        with Image.open(BytesIO(base64.b64decode(shown["pictures"][0].partition(",")[2]))) as picture:
            kinds.add((trial.truth, picture.format, picture.size, tuple(sorted(picture.info))))
    assert len({kind[1:] for kind in kinds}) == 1
    assert {kind[0] for kind in kinds} == {"real", "generated"}


def test_pairs_put_the_real_one_on_a_random_side(tmp_path, pairs):
    key = write_study(pairs_of(6), tmp_path / "study", ask="pair", seed=0)
    assert {t.truth for t in key.trials} == {"left", "right"}
    assert all(len(trial["pictures"]) == 2 for trial in page_study(tmp_path / "study")["trials"])


def test_the_order_comes_from_the_seed(tmp_path, pairs):
    keys = [write_study(pairs, tmp_path / f"s{i}", seed=seed) for i, seed in enumerate((4, 4, 5))]
    assert keys[0] == keys[1]
    assert keys[0].trials != keys[2].trials
    assert (tmp_path / "s0/index.html").read_bytes() == (tmp_path / "s1/index.html").read_bytes()


def test_pairs_that_cannot_be_used_are_left_out(tmp_path, monkeypatch):
    def some(pair, network):
        if pair.person == "p0":
            raise InputError("no face")
        return flat(pair)

    monkeypatch.setattr(study, "real_and_generated", some)
    key = write_study(pairs_of(2), tmp_path / "study")
    assert {trial.person for trial in key.trials} == {"p1"}
    with pytest.raises(InputError, match="No pair"):
        write_study(pairs_of(1), tmp_path / "other")


def test_a_study_is_not_overwritten_unasked(tmp_path, pairs):
    write_study(pairs[:1], tmp_path / "study")
    with pytest.raises(OutputError, match="exists already"):
        write_study(pairs[:1], tmp_path / "study")
    write_study(pairs, tmp_path / "study", overwrite=True)


@pytest.fixture(scope="module")
def pair_folder(tmp_path_factory) -> Path:
    """The astronaut, whose other photo is another expression."""
    from skimage.data import astronaut

    from facemotion import animate

    root = tmp_path_factory.mktemp("pairs")
    photo = astronaut()[:320, 60:380]
    for folder, picture in (("neutral", photo), ("surprise", animate(photo, "surprise", frames=1)[0])):
        (root / folder).mkdir()
        Image.fromarray(picture).save(root / folder / "eileen.png")
    return root


def test_the_neutral_photo_is_brought_to_what_the_other_one_shows(pair_folder):
    (pair,) = draw_pairs([pair_folder], limit=None, seed=0)
    real, generated = real_and_generated(pair)
    assert real.shape == generated.shape == (512, 512, 3)
    with Image.open(pair.neutral) as neutral:
        assert neutral.size == (320, 320)
    mouth = np.s_[330:430, 200:312]
    assert np.abs(generated[mouth].astype(int) - real[mouth]).mean() < 25


def test_the_command_writes_a_page_and_counts_its_answers(pair_folder, tmp_path):
    out = tmp_path / "study"
    result = CliRunner().invoke(app, ["evaluate", "study", str(pair_folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "2 questions" in result.stdout
    trials = json.loads((out / "key.json").read_text())
    sheet = {
        "format": "facemotion-study-answers",
        "version": 1,
        "study": trials["study"],
        "participant": "anna",
        "started": "now",
        "answers": [{"trial": trial["id"], "choice": "real"} for trial in trials["trials"]],
    }
    (tmp_path / "a.json").write_text(json.dumps(sheet))
    result = CliRunner().invoke(app, ["evaluate", "answers", str(out / "key.json"), str(tmp_path / "a.json")])
    assert result.exit_code == 0, result.output
    assert (
        "surprise" not in result.stdout.partition("\n")[0] and "all: generated called real 100 % of 1" in result.stdout
    )


def test_only_people_held_out_are_drawn(tmp_path):
    for folder in ("neutral_front", "smiling_front"):
        (tmp_path / folder).mkdir()
    for person in ("001", "012"):
        for folder, pose in (("neutral_front", "03"), ("smiling_front", "08")):
            (tmp_path / folder / f"{person}_{pose}.jpg").write_bytes(b"")
    assert [pair.person for pair in draw_pairs([tmp_path], limit=None, seed=0)] == ["london-012"]


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
