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
