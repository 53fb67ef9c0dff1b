"""``facemotion weights``: list, fetch, verify, path, clear."""

import hashlib
import json

import pytest
import typer
from typer.testing import CliRunner

from facemotion.cli.weights import register
from facemotion.errors import UsageError, WeightsError
from facemotion.weights import download
from facemotion.weights import registry as weights

CONTENT = b"weights"
BUNDLED = weights.WeightFile("net", "net.bin", hashlib.sha256(CONTENT).hexdigest(), 7, "MIT", None, True, "a test")
FETCHED = weights.WeightFile(
    "far", "far.bin", BUNDLED.sha256, 7, "MIT", "http://127.0.0.1:9/far.bin", False, "another test"
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Package with net.bin, cache with far.bin; returns the cache folder."""
    for name in ("WEIGHTS", "MIRROR", "OFFLINE"):
        monkeypatch.delenv(f"FACEMOTION_{name}", raising=False)
    package, cache = tmp_path / "package", tmp_path / "cache"
    monkeypatch.setattr(weights, "WEIGHTS", {"net": BUNDLED, "far": FETCHED})
    monkeypatch.setattr(weights, "ASSETS", package)
    monkeypatch.setattr(download, "PAUSE_S", 0)
    monkeypatch.setenv("FACEMOTION_CACHE", str(cache))
    for folder, name in ((package, "net.bin"), (cache, "far.bin")):
        folder.mkdir()
        (folder / name).write_bytes(CONTENT)
    return cache


def run(*words: str):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["weights", *words])


def test_list(cache):
    lines = run("list").stdout.splitlines()
    assert lines[1].split()[:1] == ["net"]
    assert "package" in lines[1]
    assert "cache" in lines[2]


def test_list_json(cache):
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == ["net", "far"]
    assert rows[1]["copies"] == [str(cache / "far.bin")]
    assert rows[1]["sha256"] == FETCHED.sha256


def test_verify(cache):
    done = run("verify", "--json")
    assert done.exit_code == 0
    assert [row["ok"] for row in json.loads(done.stdout)] == [True, True]
    (cache / "far.bin").write_bytes(b"damaged")
    done = run("verify", "--json")
    assert [row["ok"] for row in json.loads(done.stdout)] == [True, False]
    assert isinstance(done.exception, WeightsError)
    assert "damaged" in run("verify", "far").stdout


def test_path(cache):
    assert run("path").stdout.strip() == str(cache)
    assert run("path", "far").stdout.strip() == str(cache / "far.bin")
    (cache / "far.bin").unlink()
    assert "switched off" in run("path", "far", "--offline").exception.message


def test_fetch_takes_what_is_there_and_says_what_is_not(cache):
    assert run("fetch").stdout == f"far: {cache / 'far.bin'}\n"
    (cache / "far.bin").unlink()
    assert "cannot be reached" in run("fetch").exception.message


def test_clear_removes_downloads_only(cache):
    (cache / "far.bin.part").write_bytes(b"half")
    done = run("clear")
    assert done.exit_code == 0
    assert list(cache.iterdir()) == []
    assert (weights.ASSETS / "net.bin").exists()


def test_unknown_name(cache):
    for command in ("fetch", "verify", "path", "clear"):
        assert isinstance(run(command, "nothing").exception, UsageError)
