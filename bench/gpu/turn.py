"""Whose turn it is on the GPU: parts build beside each other on the host, and each measures alone.

Two locks on files of a folder that the session names in the environment: who waits for the GPU holds the first, so
that nobody who comes later goes before. A part that was started by hand has no folder and waits for nobody.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "KERNELWRIGHT_BENCH_TURNS"


@contextmanager
def alone() -> Iterator[None]:
    """For measuring: no other part uses the GPU meanwhile."""
    with _turn(fcntl.LOCK_EX):
        yield


@contextmanager
def beside() -> Iterator[None]:
    """For all other work on the GPU: no part measures meanwhile."""
    with _turn(fcntl.LOCK_SH):
        yield


@contextmanager
def _turn(kind: int) -> Iterator[None]:
    folder = os.environ.get(FOLDER)
    if folder is None:
        yield
        return
    with open(Path(folder) / "next", "w") as first, open(Path(folder) / "gpu", "w") as gpu:
        fcntl.flock(first, fcntl.LOCK_EX)
        fcntl.flock(gpu, kind)
        fcntl.flock(first, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(gpu, fcntl.LOCK_UN)  # closing is not enough where a child process has the file too
