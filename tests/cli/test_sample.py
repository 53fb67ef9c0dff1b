"""``facemotion sample``: the portrait in the public domain that comes with a dependency."""

from PIL import Image
from typer.testing import CliRunner

from facemotion.cli.app import app


def run(*words):
    return CliRunner().invoke(app, ["sample", *map(str, words)])


def test_puts_the_portrait_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run()
    assert (done.exit_code, done.stdout) == (0, "astronaut.png\n")
    with Image.open("astronaut.png") as portrait:
        assert portrait.size == (512, 512)


def test_again_is_no_error(tmp_path):
    assert run("--out", tmp_path).exit_code == run("--out", tmp_path).exit_code == 0


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "mine.png").write_bytes(b"mine")
    assert run("--out", tmp_path / "mine.png").exit_code == 2
    assert (tmp_path / "mine.png").read_bytes() == b"mine"
    assert run("--out", tmp_path / "mine.png", "--overwrite").exit_code == 0


def test_an_installation_without_it(tmp_path, monkeypatch):
    monkeypatch.setattr("facemotion.media.sample.find_spec", lambda name: None)
    done = run("--out", tmp_path)
    assert done.exit_code == 1
    assert "no portrait" in done.stderr
