"""Files from the network: from the first mirror that answers, checked against a checksum, put in place as a whole.

Leans on the standard library, and on rich, imported when there is something to fetch, for the progress bar.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from .errors import DataError

CHUNK = 1 << 16
TIMEOUT = 20.0

Advance = Callable[..., None]
"""Called with `completed`, the bytes that came so far, and `total`, the bytes to come in all or None."""


def fetch(files: Mapping[str, str], mirrors: Sequence[str], folder: Path) -> None:
    """Download `files`, names with the MD5 of their content, into `folder`, with a progress bar on a terminal.

    Raises DataError naming every mirror and what went wrong with it, or the folder where it cannot be written.
    """
    if not files:
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for name, md5 in files.items():
            task = progress.add_task(name, total=None)
            _store(_first_good(name, md5, mirrors, partial(progress.update, task)), folder / name)


def _first_good(name: str, md5: str, mirrors: Sequence[str], advance: Advance) -> bytes:
    problems = []
    for mirror in mirrors:
        try:
            data = _get(mirror + name, advance)
        except (OSError, ValueError, http.client.HTTPException) as error:
            problems.append(f"{mirror}: {getattr(error, 'reason', None) or error}")
            continue
        if hashlib.md5(data, usedforsecurity=False).hexdigest() == md5:
            return data
        problems.append(f"{mirror}: what came is not the published file (wrong checksum)")
    reasons = "\n  ".join(problems)
    raise DataError(f"cannot download {name}:\n  {reasons}")


def _get(url: str, advance: Advance) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        data = bytearray()
        while chunk := response.read(CHUNK):
            data += chunk
            advance(completed=len(data), total=total)
    return bytes(data)


def _store(data: bytes, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    except OSError as error:
        raise DataError(f"cannot store {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
