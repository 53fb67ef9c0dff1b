"""Downloads from servers that lie, dawdle or send without end, and odd things where the bytes are gathered."""

import gzip
import hashlib
import itertools
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from facemotion.errors import WeightsError
from facemotion.weights import download as download_module
from facemotion.weights import registry as weights
from facemotion.weights.download import download

CONTENT = bytes(range(256)) * 1024
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OK = b"HTTP/1.1 200 OK\r\n"


class RawServer:
    """Answers the next connection with the next of ``answers`` (the last one again and again), byte by byte as given.

    An answer is bytes, or a function that gets the socket. ``requests`` holds the heads that came in.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/net.bin"
        self.stopped = threading.Event()

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.listener.close()

    def _serve(self):
        while not self.stopped.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            threading.Thread(target=self._answer, args=(connection, answer), daemon=True).start()

    def _answer(self, connection, answer):
        with connection:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(4096)
            self.requests.append(head)
            try:
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)
            except OSError:
                pass  # the client has had enough


def ok(body: bytes = CONTENT, *headers: bytes, length: bytes | int | None = None) -> bytes:
    """An answer of status 200; ``length`` is what it says about its length, by default the truth."""
    stated = str(len(body) if length is None else length).encode() if not isinstance(length, bytes) else length
    return OK + b"".join(line + b"\r\n" for line in (*headers, b"Content-Length: " + stated)) + b"\r\n" + body


def status(code: int, *headers: bytes, body: bytes = b"") -> bytes:
    lines = (*headers, b"Content-Length: %d" % len(body))
    return b"HTTP/1.1 %d Odd\r\n" % code + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def endless(connection):
    connection.sendall(OK + b"\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


def endless_chunks(connection):
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def endless_chunk_length(connection):
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"0" * (1 << 16))


def endless_head(connection):
    connection.sendall(OK)
    while True:
        connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def endless_redirect_body(connection):
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


def drop_by_drop(head: bytes, body: bytes = CONTENT):
    def answer(connection):
        connection.sendall(head)
        for byte in itertools.cycle(body):
            connection.sendall(bytes([byte]))
            time.sleep(0.01)

    return answer


@pytest.fixture(autouse=True)
def hasty(tmp_path, monkeypatch):
    """Little patience, so that the tests are quick, and none of the user's settings."""
    for name in ("WEIGHTS", "MIRROR", "OFFLINE"):
        monkeypatch.delenv(f"FACEMOTION_{name}", raising=False)
    monkeypatch.setenv("FACEMOTION_CACHE", str(tmp_path / "cache"))
    for name, value in {"PAUSE_S": 0, "PIECE_TIMEOUT_S": 0.5, "READ_TIMEOUT_S": 0.4, "ATTEMPTS": 2}.items():
        monkeypatch.setattr(download_module, name, value)


LIES = {
    "more than the file": ok(CONTENT + b"x"),
    "more than the file, length unsaid": OK + b"\r\n" + CONTENT + b"x",
    "without end": endless,
    "chunks without end": endless_chunks,
    "a chunk length without end": endless_chunk_length,
    "a head without end": endless_head,
    "a head byte by byte": drop_by_drop(OK + b"X: "),
    "a body byte by byte": drop_by_drop(OK + b"Content-Length: %d\r\n\r\n" % SIZE),
    "a first line byte by byte": drop_by_drop(b""),
    "gzip": ok(gzip.compress(CONTENT), b"Content-Encoding: gzip"),
    "a gzip bomb": ok(gzip.compress(bytes(50 << 20)), b"Content-Encoding: gzip"),
    "packed in a way that is unknown": ok(CONTENT, b"Content-Encoding: \xff\xfe"),
    "a length of 400 MB": ok(length=400_000_000),
    "a length of 10^30": ok(length=10**30),
    "half the length": ok(length=SIZE // 2),
    "a length of none": ok(length=0),
    "a part though the whole was asked for": status(206, b"Content-Range: bytes 0-99/100", body=CONTENT[:100]),
    "a part from the middle": status(206, b"Content-Range: bytes 500-999/1000", body=CONTENT[500:1000]),
    "a part that says not which": status(206, body=CONTENT),
    "no content": status(204),
    "accepted": status(202, body=CONTENT),
    "not modified": status(304),
    "a redirect to nowhere": status(302),
    "a redirect to itself": status(302, b"Location: /net.bin"),
    "a redirect to a file": status(302, b"Location: file:///etc/passwd"),
    "a redirect to no address": status(302, b"Location: http://[::1"),
    "a redirect to an odd host": status(302, b"Location: http://..example../"),
    "a redirect to bytes": status(302, b"Location: http://\xff\xfe\x00/"),
    "a redirect to a port that is none": status(302, b"Location: http://127.0.0.1:99999999/"),
    "a redirect with a body without end": endless_redirect_body,
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"",
    "a status that is no number": b"HTTP/1.1 OK 200\r\n\r\n" + CONTENT,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("started", [False, True], ids=["new", "resumed"])
def test_a_lie_is_one_error_of_ours_and_stores_no_more_than_the_file(lie, started, tmp_path):
    target, part = tmp_path / "net.bin", tmp_path / "net.bin.part"
    if started:
        part.write_bytes(CONTENT[:1000])
    began = time.monotonic()
    with RawServer(lie) as server, pytest.raises(WeightsError) as caught:
        download(server.url, target, sha256=SHA256, size_bytes=SIZE)
    assert time.monotonic() - began < 10
    assert caught.value.hint
    assert "Weights cannot be stored" not in caught.value.message
    assert not target.exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"net.bin.lock", "net.bin.part"}
    assert not part.exists() or part.stat().st_size <= SIZE


HARMLESS = {
    "a length that is no number": ok(length=b"many"),
    "a length below zero": ok(length=b"-5"),
    "a length twice": ok(CONTENT, b"Content-Length: %d" % SIZE),
    "no length": OK + b"\r\n" + CONTENT,
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (SIZE, CONTENT),
    "said to be as it is": ok(CONTENT, b"Content-Encoding: identity"),
    "lines without colons": OK + b"what is this\r\n\r\n" + CONTENT,
    "more behind the end": ok() + b"and more",
}


@pytest.mark.parametrize("answer", HARMLESS.values(), ids=HARMLESS.keys())
@pytest.mark.parametrize("size", [SIZE, None], ids=["known", "unknown"])
def test_what_is_odd_but_right_is_taken(answer, size, tmp_path):
    with RawServer(answer) as server:
        download(server.url, tmp_path / "net.bin", sha256=SHA256, size_bytes=size)
    assert (tmp_path / "net.bin").read_bytes() == CONTENT


def test_redirects_are_followed(tmp_path):
    with RawServer(status(302, b"Location: /there"), status(307, b"Location: //127.0.0.1:0/"), ok()) as server:
        server.answers[1] = status(307, b"Location: " + server.url.encode())
        download(server.url, tmp_path / "net.bin", sha256=SHA256, size_bytes=SIZE)
    assert [head.split()[1] for head in server.requests] == [b"/net.bin", b"/there", b"/net.bin"]


def test_a_file_of_unknown_size_is_bounded_too(tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "LARGEST_BYTES", 1 << 20)
    with RawServer(endless) as server, pytest.raises(WeightsError, match="more than the 1,048,576 bytes"):
        download(server.url, tmp_path / "net.bin", sha256=SHA256)
    assert not (tmp_path / "net.bin.part").exists()


def test_the_whole_has_a_deadline_though_no_piece_is_late(tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "PIECE_BYTES", 10)
    monkeypatch.setattr(download_module, "PATIENCE_S", 1.0)
    monkeypatch.setattr(download_module, "SLOWEST_BYTES_S", 10**9)
    answer = drop_by_drop(OK + b"Content-Length: %d\r\n\r\n" % SIZE)
    began = time.monotonic()
    with RawServer(answer) as server, pytest.raises(WeightsError, match="too slow") as caught:
        download(server.url, tmp_path / "net.bin", sha256=SHA256, size_bytes=SIZE)
    assert 0.9 < time.monotonic() - began < 5
    assert "goes on where it stopped" in caught.value.hint
    assert 10 <= (tmp_path / "net.bin.part").stat().st_size < 1000


def test_whoever_waits_for_the_lock_has_a_deadline(tmp_path, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(download_module, "PATIENCE_S", 0.2)
    with FileLock(tmp_path / "net.bin.lock"), pytest.raises(WeightsError, match="another process"):
        download("http://127.0.0.1:9/net.bin", tmp_path / "net.bin", sha256=SHA256, size_bytes=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", ["net.bin.part", "net.bin.lock", "net.bin"])
def test_a_pipe_in_the_way_is_replaced(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with RawServer(ok()) as server:
        download(server.url, tmp_path / "net.bin", sha256=SHA256, size_bytes=SIZE)
    assert (tmp_path / "net.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["net.bin.part", "net.bin.lock", "net.bin"])
@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_what_a_link_in_the_way_leads_to_is_left_alone(name, link, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(CONTENT[:1000])
    link(victim, tmp_path / name)
    with RawServer(ok()) as server:
        download(server.url, tmp_path / "net.bin", sha256=SHA256, size_bytes=SIZE)
    assert victim.read_bytes() == CONTENT[:1000]
    assert (tmp_path / "net.bin").read_bytes() == CONTENT


def test_a_link_to_nothing_is_replaced(tmp_path):
    (tmp_path / "net.bin.part").symlink_to(tmp_path / "made by nobody")
    with RawServer(ok()) as server:
        download(server.url, tmp_path / "net.bin", sha256=SHA256, size_bytes=SIZE)
    assert not (tmp_path / "made by nobody").exists()


def test_a_folder_in_the_way_is_an_error(tmp_path):
    (tmp_path / "net.bin.part").mkdir()
    with RawServer(ok()) as server, pytest.raises(WeightsError, match="Weights cannot be stored"):
        download(server.url, tmp_path / "net.bin", sha256=SHA256, size_bytes=SIZE)


def test_a_part_longer_than_the_file_is_thrown_away_unread(tmp_path):
    with open(tmp_path / "net.bin.part", "wb") as part:
        part.truncate(1 << 40)  # takes no room, but an hour to read
    with RawServer(ok()) as server:
        download(server.url, tmp_path / "net.bin", sha256=SHA256, size_bytes=SIZE)
    assert (tmp_path / "net.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("mirror", ["", "  "])
def test_an_empty_mirror_never_leads_to_the_public_address(mirror, tmp_path, monkeypatch):
    with RawServer(ok()) as server:
        row = weights.WeightFile("net", "net.bin", SHA256, SIZE, "MIT", server.url, False, "a test")
        monkeypatch.setattr(weights, "WEIGHTS", {"net": row})
        monkeypatch.setenv("FACEMOTION_MIRROR", mirror)
        with pytest.raises(WeightsError, match="FACEMOTION_MIRROR is set but empty"):
            weights.weight_path("net")
        assert server.requests == []
        monkeypatch.delenv("FACEMOTION_MIRROR")
        assert weights.weight_path("net").read_bytes() == CONTENT


@pytest.mark.parametrize("mirror", ["mirror.example", "ftp://127.0.0.1/", "http://[::1", "file:///tmp", "http://"])
def test_a_mirror_that_is_no_address(mirror, monkeypatch, tmp_path):
    row = weights.WeightFile("net", "net.bin", SHA256, SIZE, "MIT", "http://127.0.0.1:9/", False, "a test")
    monkeypatch.setattr(weights, "WEIGHTS", {"net": row})
    monkeypatch.setenv("FACEMOTION_MIRROR", mirror)
    with pytest.raises(WeightsError, match="no address"):
        weights.weight_path("net")


def test_content_is_checked_as_it_is_used(tmp_path):
    path = Path(tmp_path, "net.bin")
    path.write_bytes(CONTENT)
    assert weights.read_verified(path, SHA256) == weights.read_verified(path, None) == CONTENT
    path.write_bytes(b"another")
    with pytest.raises(WeightsError, match="Hash mismatch"):
        weights.read_verified(path, SHA256)
    path.unlink()
    with pytest.raises(WeightsError, match="no weights"):
        weights.read_verified(path, SHA256)
