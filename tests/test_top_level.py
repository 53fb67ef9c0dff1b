"""What lies in the project: a short top level, no photographs of people from data sets, no large files."""

import shutil
import subprocess
from pathlib import Path

import pytest

import facemotion

ROOT = Path(__file__).parents[1]
TOP = {
    ".ci",
    ".github",
    ".gitignore",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "docs",
    "facemotion",
    "pyproject.toml",
    "tests",
    "weights.sha256",
}
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".mp4", ".webm", ".bmp", ".tiff"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files of the project as git has them."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_top_level_is_short(tracked):
    assert {path.parts[0] for path in tracked} == TOP


def test_pictures_are_those_of_the_documentation(tracked):
    """Everything shown comes from material that may be published; tests draw their own."""
    assert {path.parent.parts[0] for path in tracked if path.suffix.lower() in PICTURES} <= {"docs"}


def test_only_weights_are_large(tracked):
    large = [path for path in tracked if (ROOT / path).stat().st_size > 500_000]
    assert all(path.suffix == ".safetensors" and (ROOT / path).stat().st_size < 25_000_000 for path in large)


def test_ci_script_can_be_run():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_version_is_one():
    import importlib.metadata

    assert importlib.metadata.version("facemotion") == facemotion.__version__
