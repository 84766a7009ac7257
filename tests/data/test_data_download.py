"""Downloads over lines that break, from a server on this machine that drops connections as told."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kernelwright.models.data import DataError, download

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Gives CONTENT, or what follows the byte that a range asks for, and breaks off after `pieces` bytes in turn."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.pieces: list[int] = []
        self.ranges: list[str | None] = []
        self.content, self.takes_ranges, self.tag, self.status = CONTENT, True, '"one"', 200

    @property
    def mirror(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Answer(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.ranges.append(wanted)
        if server.status != 200:
            return self.send_error(server.status)
        same = self.headers.get("If-Range") in (None, server.tag)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.takes_ranges and same else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(server.content) - start))
        self.send_header("ETag", server.tag)
        self.end_headers()
        length = server.pieces.pop(0) if server.pieces else len(server.content)
        self.wfile.write(server.content[start : start + length])

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "SCHEMES", ("https", "file", "http"))
    monkeypatch.setattr(download, "PAUSE", 0.0)
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def fetch(server: Server, folder: Path) -> None:
    download.fetch({"a.bin": SHA256}, [server.mirror], folder)


def test_a_download_goes_on_where_the_connection_dropped(server: Server, tmp_path: Path) -> None:
    server.pieces = [150_000, 100_000]
    fetch(server, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and len(list(tmp_path.iterdir())) == 1
    assert server.ranges == [None, "bytes=150000-", "bytes=250000-"]


def test_a_server_without_ranges_gives_the_whole_again(server: Server, tmp_path: Path) -> None:
    server.pieces, server.takes_ranges = [150_000], False
    fetch(server, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=150000-"]


def test_two_versions_of_a_file_are_not_joined(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first half is of an older file, which is replaced before the second is asked for."""
    server.content, server.pieces, server.tag = bytes(300_000), [150_000], '"old"'

    def replaced(seconds: float) -> None:
        server.content, server.tag = CONTENT, '"new"'

    monkeypatch.setattr(download.time, "sleep", replaced)
    fetch(server, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_what_went_on_is_checked_as_a_whole(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.content, server.pieces = bytes(300_000), [150_000]
    monkeypatch.setattr(download.time, "sleep", lambda seconds: setattr(server, "content", CONTENT))
    with pytest.raises(DataError, match="wrong checksum"):
        fetch(server, tmp_path)
    assert server.ranges == [None, "bytes=150000-"] and not list(tmp_path.iterdir())


def test_a_line_that_keeps_breaking_is_given_up(server: Server, tmp_path: Path) -> None:
    server.pieces = [10] * 100
    with pytest.raises(DataError, match=r"the connection ended after 90 of 300,000 bytes"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1 + download.TRIES and not list(tmp_path.iterdir())


@pytest.mark.parametrize("status", [404, 500])
def test_a_mirror_that_never_gave_anything_is_not_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(DataError, match=r"cannot download a\.bin"):
        fetch(server, tmp_path)
    assert server.ranges == [None]


def test_a_refusal_in_the_middle_ends_the_try(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pieces = [1000]
    monkeypatch.setattr(download.time, "sleep", lambda seconds: setattr(server, "status", 403))
    with pytest.raises(DataError, match="Forbidden"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 2
