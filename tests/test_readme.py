"""The README's commands are run, its links followed, its pictures weighed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
import typer

from facemotion.cli.app import app
from facemotion.weights.registry import ASSETS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

needs_model = pytest.mark.skipif(
    not all((ASSETS / f"{name}.safetensors").exists() for name in ("generator", "landmarker")),
    reason="the weights are not in the package yet",
)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def marked_block(mark: str) -> str:
    """The code that follows ``<!-- mark -->`` in the README; ``.ci/run`` runs the same."""
    return BLOCK.search((ROOT / "README.md").read_text("utf-8").split(f"<!-- {mark} -->\n")[1])[2].strip()


def commands() -> list[list[str]]:
    """Every ``facemotion`` command of the pages, as words."""
    found = []
    for page in PAGES:
        for block in blocks(page, "bash") + blocks(page, "sh") + blocks(page, "console"):
            text = block.replace("\\\n", " ")
            lines = [shlex.split(line.removeprefix("$ "), comments=True) for line in text.splitlines()]
            for line in lines:
                parts = " ".join(map(shlex.quote, line)).split(" '&&' ")
                found += [words for part in parts if (words := shlex.split(part))[:1] == ["facemotion"]]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_is_one_that_facemotion_takes(words):
    group = typer.main.get_command(app)
    context, words = group.make_context("facemotion", words[1:], resilient_parsing=True), words[1:]
    while hasattr(group, "commands"):
        if words[0] in ("--help", "--version"):
            return
        group, words = group.get_command(context, words[0]), words[1:]
        assert group is not None
    if "--help" not in words:
        group.make_context(group.name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "history"], ids=lambda page: page.name)
def test_source_files_that_are_named_exist(page):
    """By their path in the project or in the package, or by their name alone."""
    package = ROOT / "facemotion"
    names = re.findall(r"`([\w/]+\.py)\b", BLOCK.sub("", page.read_text("utf-8")))
    known = {path.name for path in package.rglob("*.py")}
    missing = [n for n in names if not ((ROOT / n).exists() or (package / n).exists() or n in known)]
    assert missing == []


def test_pictures_are_small():
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".webp", ".jpg", ".gif", ".mp4")]
    assert sum(path.stat().st_size for path in pictures) < 3_000_000
    assert all(path.stat().st_size < 500_000 for path in pictures)


def test_the_test_command_is_the_one_ci_runs():
    assert marked_block("test") == 'pip install -e ".[test]" && python -m pytest'
    script = (ROOT / ".ci" / "run").read_text()
    assert "run_block first-clip" in script
    assert "run_block test" in script


@needs_model
def test_first_clip(tmp_path):
    install, *rest = marked_block("first-clip").split(" && ")
    assert install == "pip install ."
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    shutil.copytree(ROOT / "docs" / "images", tmp_path / "docs" / "images")
    subprocess.run(["bash", "-euc", "\n".join(rest)], cwd=tmp_path, env=environment, check=True, timeout=120)
    with av.open(str(tmp_path / "smile.mp4")) as clip:
        stream = clip.streams.video[0]
        assert (stream.width, stream.height, stream.pix_fmt) == (476, 476, "yuv420p")
        assert sum(1 for _ in clip.decode(stream)) == 32


@needs_model
def test_python_example(tmp_path, monkeypatch):
    from PIL import Image
    from skimage.data import astronaut

    monkeypatch.chdir(tmp_path)
    Image.fromarray(astronaut()).save("photo.jpg")
    (example,) = blocks(ROOT / "README.md", "python")
    names = {}
    exec(example.replace("frames=32", "frames=3"), names)
    assert names["frames"].shape == (3, 512, 512, 3)
