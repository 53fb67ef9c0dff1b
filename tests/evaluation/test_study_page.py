"""The study's page in a real Chromium: keys, buttons, undo, a reload in the middle, the saved file."""

import json
import time

import pytest

from facemotion.evaluation import study
from facemotion.evaluation.answers import count_answers
from facemotion.evaluation.study import write_study
from tests.chromium import Browser, program
from tests.evaluation.test_study import flat, pairs_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(program() is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]


@pytest.fixture
def pairs(monkeypatch):
    monkeypatch.setattr(study, "real_and_generated", flat)
    return pairs_of(2)


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as browser:
        yield browser


def visible(browser) -> list[str]:
    return browser.evaluate("[...document.querySelectorAll('section')].filter(s => !s.hidden).map(s => s.id)")


def wait_for_question(browser, number: int) -> None:
    browser.wait(f"document.getElementById('question').textContent.startsWith('{number} of')")


def saved_answers(folder):
    end = time.monotonic() + 20
    while not (found := list(folder.glob("answers-*.json"))):
        assert time.monotonic() < end, "nothing was saved"
        time.sleep(0.05)
    return found[0]


def test_a_study_by_keyboard_alone_from_start_to_counted_answers(tmp_path, pairs, browser):
    key = write_study(pairs, tmp_path / "study", seed=2)
    (tmp_path / "saved").mkdir()
    browser.download_into(tmp_path / "saved")
    browser.open(tmp_path / "study/index.html")
    assert visible(browser) == ["intro"]
    browser.press("Tab")
    browser.type("Anna B.")
    browser.press("Enter")
    for number, trial in enumerate(key.trials, 1):
        wait_for_question(browser, number)
        assert browser.evaluate("document.querySelector('#pictures img').naturalWidth") == 64
        browser.press("ArrowLeft" if trial.truth == "generated" else "ArrowRight")
    browser.wait("!document.getElementById('done').hidden")
    browser.press("Tab")
    browser.press("Enter")
    path = saved_answers(tmp_path / "saved")
    assert path.name == f"answers-{key.study}-Anna_B_.json"
    record = json.loads(path.read_text())
    assert record["participant"] == "Anna B."
    assert [a["trial"] for a in record["answers"]] == [t.id for t in key.trials]
    assert all(0 <= a["ms"] < 60_000 for a in record["answers"])
    verdict = count_answers([path, tmp_path / "study/key.json"]).verdicts[0]
    assert (verdict.generated.mean, verdict.real.mean) == (1, 0)  # Left is "Real": every answer was wrong on purpose


def test_answers_survive_a_reload_can_be_undone_and_keys_that_repeat_count_once(tmp_path, pairs, browser):
    write_study(pairs, tmp_path / "study")
    browser.open(tmp_path / "study/index.html")
    browser.click("#start")
    wait_for_question(browser, 1)
    assert browser.evaluate("document.getElementById('undo').disabled")
    browser.click("#second")
    wait_for_question(browser, 2)
    browser.press("ArrowLeft", autoRepeat=True)
    assert browser.evaluate("state.answers.length") == 1
    browser.reload()
    wait_for_question(browser, 2)
    browser.press("Backspace")
    wait_for_question(browser, 1)
    assert browser.evaluate("state.answers.length") == 0


def test_pairs_stand_side_by_side_and_the_text_can_be_copied(tmp_path, pairs, browser):
    key = write_study(pairs, tmp_path / "study", ask="pair")
    browser.open(tmp_path / "study/index.html")
    browser.click("#start")
    for number, _ in enumerate(key.trials, 1):
        wait_for_question(browser, number)
        boxes = "[...document.querySelectorAll('#pictures img')].map(i => i.getBoundingClientRect())"
        left, right = browser.evaluate(f"{boxes}.map(box => [box.left, box.top, box.width])")
        assert left[1:] == right[1:]
        assert left[0] + left[2] <= right[0]
        browser.click("#first")
    browser.wait("!document.getElementById('done').hidden")
    record = json.loads(browser.evaluate("document.getElementById('answers').value"))
    assert [a["choice"] for a in record["answers"]] == ["left", "left"]


def test_everything_fits_a_small_screen(tmp_path, pairs):
    write_study(pairs, tmp_path / "study", ask="pair")
    with Browser(tmp_path / "phone", width=390, height=700) as browser:
        browser.open(tmp_path / "study/index.html")
        browser.click("#start")
        wait_for_question(browser, 1)
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.evaluate("document.getElementById('second').getBoundingClientRect().bottom <= innerHeight")
