import io
import json
import logging
import re

import pytest

from facemotion.cli import console


@pytest.fixture(autouse=True)
def _usual_loudness():
    console.reset()
    yield
    console.reset()


def steps(count: int) -> None:
    with console.progress("Animating", count, unit="photos") as step:
        for _ in range(count):
            step()


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch, capsys):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    steps(20)
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert 2 <= len(lines) < 20
    assert lines[0].startswith("Animating: ")
    assert lines[0].endswith("/20 photos")


def test_short_work_says_nothing(capsys):
    steps(3)
    assert capsys.readouterr() == ("", "")


def test_errors_are_one_line_each_whatever_they_say(capsys):
    console.fail("Two\nlines [red]and markup[/red].", "Do\nthis.")
    assert capsys.readouterr().err.splitlines() == ["Error: Two lines [red]and markup[/red].", "Do this."]


EVIL = "a\x1b[31mred\x07\r\n\x9b2J\u202egpj\x7f[bold]"
SHOWN = "a\\x1b[31mred\\x07\\r\\n\\x9b2J\\u202egpj\\x7f[bold]"


def test_control_characters_are_written_out(capsys):
    console.say(EVIL)
    console.warn(EVIL)
    console.say_table(("name",), [(EVIL,)])
    console.fail("Error in " + EVIL.replace("\r\n", ""))
    logging.getLogger("facemotion.anything").warning("Cannot read %s", EVIL.replace("\n", ""))
    out, err = capsys.readouterr()
    assert [line.rstrip() for line in out.splitlines()] == [SHOWN, "name", SHOWN]
    lines = err.splitlines()
    assert lines == [
        SHOWN,
        "Error: Error in " + SHOWN.replace("\\r\\n", ""),
        "Cannot read " + SHOWN.replace("\\n", ""),
    ]


def test_json_has_the_names_as_they_are_and_no_control_characters(capsys):
    console.say_json({"photo": EVIL + " é 深"})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"photo": EVIL + " é 深"}
    assert "é 深" in shown
    assert not [letter for letter in shown if console.printable(letter, keep="\n") != letter]


def test_a_traceback_has_no_control_characters(capsys):
    console.show_traceback(ValueError(EVIL))
    shown = capsys.readouterr().err
    assert "ValueError: a\\x1b[31mred" in shown
    assert not [letter for letter in shown if console.printable(letter, keep="\n") != letter]


def test_a_bar_names_its_stage_on_one_line_of_80_columns(monkeypatch):
    from rich.console import Console

    screen = Console(file=io.StringIO(), force_terminal=True, width=80, legacy_windows=False)
    monkeypatch.setattr(console, "stderr", lambda: screen)
    name = "x" * 200 + ".mp4"
    with console.progress(name, 400) as step:
        for stage in ("loading", "reading the photo", "finding the face", "rendering"):
            step.stage(stage)
            step()
            shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.file.getvalue()).replace("\r", "\n").splitlines()
            assert f": {stage} " in shown[-1]
            assert len(shown[-1]) <= 80
            assert "/400 frames" in shown[-1]
