"""Files from the network: by https from the first mirror that answers, checked by SHA-256, put in place as a whole.

A connection that drops is taken up again where it broke off.

Leans on the standard library, and on rich, imported when there is something to fetch, for the progress bar.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ...runtime.partial import partial_file, sweep
from .errors import DataError

CHUNK = 1 << 16
TIMEOUT = 20.0
TRIES = 8
"""How often a connection that dropped is opened again."""
PAUSE = 0.5
"""Seconds before the first of these; each further pause is twice as long as the one before."""
LARGEST = 1 << 30
"""Bytes of a download; the largest file there is, EMNIST's archive, has half as many."""
SCHEMES = ("https", "file")
"""How a mirror may be reached: encrypted, or as a folder of this machine."""

Advance = Callable[..., None]
"""Called with `completed`, the bytes that came so far, and `total`, the bytes to come in all or None."""


def fetch(files: Mapping[str, str], mirrors: Sequence[str], folder: Path) -> None:
    """Download `files`, names with the SHA-256 of their content, into `folder`, with a progress bar on a terminal.

    Raises DataError naming every mirror and what went wrong with it, or the folder where it cannot be written.
    """
    if not files:
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for name, sha256 in files.items():
            task = progress.add_task(name, total=None)
            _fetch_one(name, sha256, mirrors, folder, partial(progress.update, task))


def _fetch_one(name: str, sha256: str, mirrors: Sequence[str], folder: Path, advance: Advance) -> None:
    """The file `name` of `folder`, from the first mirror that gives the right content."""
    problems = []
    for mirror in mirrors:
        with _Partial(folder / name) as file:
            try:
                found = _get(mirror + name, file, advance)
            except DataError:
                raise
            except (OSError, ValueError, http.client.HTTPException) as error:
                problems.append(f"{mirror}: {getattr(error, 'reason', None) or error}")
                continue
            if found == sha256:
                return file.keep()
        problems.append(f"{mirror}: what came is not the published file (wrong checksum)")
    reasons = "\n  ".join(problems)
    raise DataError(f"cannot download {name}:\n  {reasons}")


class _Encrypted(urllib.request.HTTPRedirectHandler):
    """Follows a mirror's redirects as long as they stay encrypted."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_scheme(newurl, SCHEMES[:1])
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, allowed: tuple[str, ...]) -> None:
    if urllib.parse.urlsplit(url).scheme not in allowed:
        raise ValueError(f"{url} is not reached by https, so what comes from it is not fetched")


def _open(url: str, headers: Mapping[str, str]) -> Any:
    _check_scheme(url, SCHEMES)
    request = urllib.request.Request(url, headers=dict(headers))
    return urllib.request.build_opener(_Encrypted).open(request, timeout=TIMEOUT)


def _get(url: str, file: _Partial, advance: Advance) -> str:
    """Write what `url` gives into `file`; its SHA-256.

    Once something has come, a connection that drops is opened again, TRIES times in all, and goes on where it broke
    off. Raises ValueError for more than LARGEST, else what the last try met.
    """
    arrived, tries = _Arrived(file, advance), 0
    while True:
        try:
            with _open(url, arrived.wanted()) as response:
                arrived.go_on(response)
            return arrived.digest.hexdigest()
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or arrived.done == 0 or tries == TRIES:
                raise
            time.sleep(PAUSE * 2**tries)
            tries += 1


class _Arrived:
    """What of a file has come, over one connection or several."""

    def __init__(self, file: _Partial, advance: Advance):
        self.file, self.advance = file, advance
        self.done, self.digest, self.version = 0, hashlib.sha256(), ""

    def wanted(self) -> dict[str, str]:
        """Headers that ask for the rest, of the same version of the file (RFC 9110, 13.1.5 and 14.2)."""
        if not self.done:
            return {}
        condition = {"If-Range": self.version} if self.version else {}
        return {"Range": f"bytes={self.done}-", **condition}

    def go_on(self, response: Any) -> None:
        """Take what the response has. Raises ConnectionError where it ends early, ValueError for too much."""
        if self.done and not self._continues(response):
            self.file.restart()
            self.done, self.digest = 0, hashlib.sha256()
        tag = response.headers.get("ETag") or ""
        self.version = "" if tag.startswith("W/") else tag
        length = response.headers.get("Content-Length")
        total = self.done + int(length) if length else None
        while chunk := response.read(CHUNK):
            if max(self.done + len(chunk), total or 0) > LARGEST:
                raise ValueError(f"more than {LARGEST:,} bytes come, so it is not the published file")
            self.file.write(chunk)
            self.digest.update(chunk)
            self.done += len(chunk)
            self.advance(completed=self.done, total=total)
        if total is not None and self.done < total:
            raise ConnectionError(f"the connection ended after {self.done:,} of {total:,} bytes")

    def _continues(self, response: Any) -> bool:
        """Whether the response begins where the last one broke off; a server may give the whole file instead."""
        place = response.headers.get("Content-Range") or ""
        return response.status == 206 and place.startswith(f"bytes {self.done}-")


class _Partial:
    """A file under another name beside its place, made at the first write; gone at the end unless it was kept.

    Every OSError becomes a DataError that names the place.
    """

    def __init__(self, path: Path):
        self.path, self.partial = path, partial_file(path)
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Partial:
        return self

    def write(self, chunk: bytes) -> None:
        with self._storing():
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                sweep(self.path)
                self._file = open(self.partial, "wb")  # noqa: SIM115 - closed by keep or at the end
            self._file.write(chunk)

    def restart(self) -> None:
        """Forget what was written."""
        with self._storing():
            if self._file is not None:
                self._file.seek(0)
                self._file.truncate()

    def keep(self) -> None:
        with self._storing():
            assert self._file is not None
            self._file.close()
            os.replace(self.partial, self.path)

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self.partial.unlink()

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"cannot store {self.path}: {error.strerror or error}") from None
