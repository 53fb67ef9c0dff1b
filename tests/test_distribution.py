"""What the wheel and the source distribution hold, and that the wheel works alone."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> tuple[Path, Path]:
    """Wheel and source distribution; the wheel is built from the latter."""
    pytest.importorskip("build", reason="needs the dev extra")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


def package_files() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "facemotion"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_wheel_holds_the_package_and_nothing_else(distributions):
    with ZipFile(distributions[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
        text = wheel.read(metadata).decode()
    assert names == package_files()
    assert {"facemotion/py.typed", "facemotion/assets/generator.safetensors"} <= names
    assert "License-Expression: MIT" in text
    assert "Project-URL: Paper" in text


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_source_distribution_can_be_built_and_tested(distributions):
    with tarfile.open(distributions[1]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert package_files() <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "weights.sha256", "tests/test_readme.py"} <= names
    assert not [name for name in names if name.startswith((".", "build/", "shared")) or name.endswith(".pyc")]


def test_the_wheel_makes_a_clip_alone(distributions, tmp_path):
    """Unpacked elsewhere, with this environment's dependencies and nothing of the checkout."""
    with ZipFile(distributions[0]) as wheel:
        wheel.extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "FACEMOTION_OFFLINE": "1"}

    def run(*words: str) -> None:
        command = [sys.executable, "-m", "facemotion", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    where = "import facemotion; print(facemotion.__file__)"
    done = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert str(tmp_path) in done.stdout
    run("sample")
    run("animate", "astronaut.png", "--expr", "smile", "--frames", "3")
    assert (tmp_path / "astronaut-smile.mp4").stat().st_size > 1000
