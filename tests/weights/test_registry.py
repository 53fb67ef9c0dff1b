"""Weight files: the table, where they are looked for, and downloads from a real local HTTP server."""

import errno
import hashlib
import multiprocessing
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facemotion.errors import UsageError, WeightsError
from facemotion.weights import download as download_module
from facemotion.weights import registry as weights
from facemotion.weights.download import download

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``content`` under every path, with the faults that a test switches on."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True  # answer 206 to a Range request
        self.wrong_range = False  # answer 206 with another range than asked for
        self.statuses: list[int] = []  # answer the next requests with these errors
        self.cut_after: list[int] = []  # break the next bodies off after so many bytes
        self.requests: list[tuple[str, str | None]] = []  # path and Range header

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.requests.append((self.path, asked))
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if start and start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        if asked and server.ranges:
            self.send_response(206)
            first = start + 1 if server.wrong_range else start
            self.send_header("Content-Range", f"bytes {first}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut_after:
            body = body[: server.cut_after.pop(0)]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder of its own for every test, and none of the user's settings."""
    for name in ("WEIGHTS", "MIRROR", "OFFLINE"):
        monkeypatch.delenv(f"FACEMOTION_{name}", raising=False)
    monkeypatch.setenv("FACEMOTION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download_module, "PAUSE_S", 0)
    return tmp_path / "cache"


@pytest.fixture
def table(server, monkeypatch):
    """A table of one file that the server has; the real addresses are out of reach."""
    row = weights.WeightFile("net", "net.bin", SHA256, len(CONTENT), "MIT", f"{server.url}/net.bin", False, "a test")
    monkeypatch.setattr(weights, "WEIGHTS", {"net": row})
    return weights.WEIGHTS


# The table


def test_checksum_file_equals_table():
    assert (ROOT / "weights.sha256").read_text() == weights.checksum_lines(weights.WEIGHTS)


def test_bundled_files_are_those_of_the_table():
    present = [file for file in weights.WEIGHTS.values() if file.bundled and (weights.ASSETS / file.file_name).exists()]
    for file in present:
        weights.verify_file(weights.ASSETS / file.file_name, file)
        assert (weights.ASSETS / file.file_name).stat().st_size == file.size_bytes


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_checksum_file_has_the_form_of_sha256sum(tmp_path):
    path = tmp_path / "facemotion" / "assets" / "net.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    bundled = weights.WeightFile("net", "net.bin", SHA256, len(CONTENT), "MIT", None, True, "a test")
    elsewhere = replace(weights.WEIGHTS["s3fd"])
    (tmp_path / "weights.sha256").write_text(weights.checksum_lines({"net": bundled, "s3fd": elsewhere}))
    command = ["sha256sum", "--check", "--strict", "--ignore-missing", "weights.sha256"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "facemotion/assets/net.bin: OK\n")


def test_a_new_release_is_recorded_in_table_and_checksums(tmp_path):
    (tmp_path / "generator.safetensors").write_bytes(CONTENT)
    copy = shutil.copy(weights.TABLE, tmp_path / "weights.json")
    weights.record_bundled(Path(copy), tmp_path, tmp_path / "weights.sha256")
    assert f'"sha256": "{SHA256}",\n    "size_bytes": {len(CONTENT)}' in Path(copy).read_text()
    assert f"{SHA256}  facemotion/assets/generator.safetensors\n" in (tmp_path / "weights.sha256").read_text()


def test_unknown_name():
    with pytest.raises(UsageError, match="no weights called 'nothing'"):
        weights.weight_path("nothing")


# Where a file is looked for


def test_own_file_comes_first_and_is_taken_as_it_is(tmp_path, table, server):
    own = tmp_path / "mine.bin"
    own.write_bytes(b"mine")
    assert weights.weight_path("net", given=own) == own
    assert server.requests == []


def test_own_file_that_is_missing(tmp_path, table):
    with pytest.raises(WeightsError, match="No such weights"):
        weights.weight_path("net", given=tmp_path / "none.bin")


def test_environment_names_a_generator(tmp_path, monkeypatch):
    own = tmp_path / "mine.safetensors"
    own.write_bytes(b"mine")
    monkeypatch.setenv("FACEMOTION_WEIGHTS", str(own))
    assert weights.weight_path("generator") == own


def test_environment_folder_then_cache_then_package(tmp_path, table, cache, monkeypatch):
    monkeypatch.setitem(table, "net", replace(table["net"], bundled=True, url=None))
    shared, package = tmp_path / "shared", tmp_path / "package"
    monkeypatch.setattr(weights, "ASSETS", package)
    monkeypatch.setenv("FACEMOTION_WEIGHTS", str(shared))
    for folder in (package, cache, shared):
        folder.mkdir()
        (folder / "net.bin").write_bytes(CONTENT)
        assert weights.weight_path("net") == folder / "net.bin"


def test_damaged_copy_is_passed_over(tmp_path, table, cache, monkeypatch):
    monkeypatch.setitem(table, "net", replace(table["net"], bundled=True, url=None))
    monkeypatch.setattr(weights, "ASSETS", tmp_path)
    (tmp_path / "net.bin").write_bytes(CONTENT)
    cache.mkdir()
    (cache / "net.bin").write_bytes(CONTENT[:-1])
    assert weights.weight_path("net") == tmp_path / "net.bin"


def test_damaged_copy_is_downloaded_anew(table, cache):
    cache.mkdir()
    (cache / "net.bin").write_bytes(b"damaged")
    assert weights.weight_path("net").read_bytes() == CONTENT


def test_damaged_copy_while_offline_names_file_expected_and_got(table, cache):
    cache.mkdir()
    (cache / "net.bin").write_bytes(b"damaged")
    with pytest.raises(WeightsError) as caught:
        weights.weight_path("net", offline=True)
    got = hashlib.sha256(b"damaged").hexdigest()
    assert caught.value.message == f"Hash mismatch: {cache / 'net.bin'}: expected sha256 {SHA256}, got {got}."
    assert "facemotion weights clear net" in caught.value.hint


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline(how, table, server, monkeypatch):
    if how == "environment":
        monkeypatch.setenv("FACEMOTION_OFFLINE", "1")
    with pytest.raises(WeightsError, match="downloading is switched off") as caught:
        weights.weight_path("net", offline=True if how == "argument" else None)
    assert "facemotion weights fetch net" in caught.value.hint
    assert server.requests == []


def test_bundled_file_without_address(table, monkeypatch):
    monkeypatch.setitem(table, "net", replace(table["net"], url=None))
    with pytest.raises(WeightsError, match="comes with the package"):
        weights.weight_path("net")


def test_mirror_is_used_instead_of_the_address(table, server, monkeypatch):
    monkeypatch.setitem(table, "net", replace(table["net"], url="http://127.0.0.1:9/net.bin"))
    monkeypatch.setenv("FACEMOTION_MIRROR", f"{server.url}/mirror/")
    weights.weight_path("net")
    assert server.requests == [("/mirror/net.bin", None)]


def test_second_call_does_not_download(table, server):
    seen = []
    with weights.watch_downloads(lambda *report: seen.append(report)):
        first = weights.weight_path("net")
    assert weights.weight_path("net") == first
    assert len(server.requests) == 1
    assert seen[-1] == ("net.bin", len(CONTENT), len(CONTENT))


# Downloads


def fetch(server: Server, folder: Path, **known) -> Path:
    target = folder / "net.bin"
    download(f"{server.url}/net.bin", target, sha256=SHA256, **known)
    assert target.read_bytes() == CONTENT
    assert not (folder / "net.bin.part").exists()
    return target


def test_whole(server, tmp_path):
    seen = []
    fetch(server, tmp_path / "new" / "folder", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_cut_halfway_goes_on_by_itself(server, tmp_path):
    server.cut_after = [500_000, 300_000]
    fetch(server, tmp_path)
    starts = [0 if asked is None else int(asked[6:-1]) for _, asked in server.requests]
    assert len(starts) == 3
    assert starts == sorted(set(starts))


def test_part_of_an_earlier_run_is_resumed(server, tmp_path):
    (tmp_path / "net.bin.part").write_bytes(CONTENT[:700_000])
    fetch(server, tmp_path)
    assert server.requests == [("/net.bin", "bytes=700000-")]


def test_200_instead_of_206_starts_over(server, tmp_path):
    server.ranges = False
    (tmp_path / "net.bin.part").write_bytes(CONTENT[:700_000])
    fetch(server, tmp_path)


def test_another_range_than_asked_for_starts_over(server, tmp_path):
    server.wrong_range = True
    (tmp_path / "net.bin.part").write_bytes(CONTENT[:700_000])
    fetch(server, tmp_path)
    assert [asked for _, asked in server.requests] == ["bytes=700000-", None]


@pytest.mark.parametrize("size_bytes", [None, len(CONTENT)])
def test_part_that_is_whole_already(server, tmp_path, size_bytes):
    (tmp_path / "net.bin.part").write_bytes(CONTENT)
    fetch(server, tmp_path, size_bytes=size_bytes)


def test_part_of_another_version_is_thrown_away(server, tmp_path):
    (tmp_path / "net.bin.part").write_bytes(b"x" * 1000)
    fetch(server, tmp_path)
    assert [asked for _, asked in server.requests] == ["bytes=1000-", None]


def test_wrong_hash_keeps_nothing(server, tmp_path):
    server.content = b"not the file" * 1000
    with pytest.raises(WeightsError) as caught:
        fetch(server, tmp_path)
    got = hashlib.sha256(server.content).hexdigest()
    assert caught.value.message.endswith(f"expected sha256 {SHA256}, got {got}.")
    assert [path.name for path in tmp_path.iterdir()] == ["net.bin.lock"]


def test_truncated_for_good_keeps_the_part(server, tmp_path):
    server.cut_after = [100_000] * download_module.ATTEMPTS
    with pytest.raises(WeightsError, match="truncated download") as caught:
        fetch(server, tmp_path)
    assert "goes on where it stopped" in caught.value.hint
    assert not (tmp_path / "net.bin").exists()
    fetch(server, tmp_path)


def test_passing_server_fault_is_retried(server, tmp_path):
    server.statuses = [503]
    fetch(server, tmp_path)


def test_missing_on_the_server(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(WeightsError, match="the server answers 404"):
        fetch(server, tmp_path)


def test_unreachable_server(tmp_path):
    with pytest.raises(WeightsError, match="the server cannot be reached"):
        download("http://127.0.0.1:9/net.bin", tmp_path / "net.bin", sha256=SHA256)


def test_silent_server(server, tmp_path, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr(download_module, "READ_TIMEOUT_S", 0.05)
    monkeypatch.setattr(Handler, "do_GET", lambda self: held.wait(10))
    try:
        with pytest.raises(WeightsError, match="does not answer in time"):
            fetch(server, tmp_path)
    finally:
        held.set()


def test_disk_full_leaves_nothing(server, tmp_path, monkeypatch):
    class FullDisk:
        def __init__(self, path, mode, opener):
            self.stream = open(path, mode, opener=opener)  # noqa: SIM115

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def write(self, piece):
            self.stream.write(piece[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download_module, "open", FullDisk, raising=False)
    with pytest.raises(WeightsError, match="Disk full") as caught:
        download(f"{server.url}/net.bin", tmp_path / "net.bin", sha256=SHA256)
    assert "FACEMOTION_CACHE" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["net.bin.lock"]


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="Weights cannot be stored"):
        download(f"{server.url}/net.bin", tmp_path / "file" / "net.bin", sha256=SHA256)


def test_processes_share_one_download(server, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    target = tmp_path / "net.bin"
    arguments = {"sha256": SHA256, "size_bytes": len(CONTENT)}
    workers = [spawn.Process(target=download, args=(f"{server.url}/net.bin", target), kwargs=arguments) for _ in "123"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_killed_process_leaves_a_part_that_is_resumed(server, tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from facemotion.weights.download import download\n"
        "def die(done, total):\n    if done > 400_000: os._exit(9)\n"
        f"download(sys.argv[1], Path(sys.argv[2]), sha256={SHA256!r}, progress=die)"
    )
    target = tmp_path / "net.bin"
    killed = subprocess.run([sys.executable, "-c", script, f"{server.url}/net.bin", target])
    assert killed.returncode == 9
    assert not target.exists()
    fetch(server, tmp_path)
    assert server.requests[-1][1] is not None
