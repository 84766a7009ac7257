"""Files that are written under another name beside their place, and what a writer that died left of them.

Leans on the standard library alone. The name of a partial file has its writer's process number.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

QUIET = 600.0
"""Seconds without a write after which a file may be abandoned: its writer may run on another machine."""


def partial_file(path: Path) -> Path:
    """Where this process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def write_whole(path: Path, data: bytes) -> None:
    """Make `data` what the file holds; it never holds half of it. Raises OSError, with the file as it was before."""
    partial = partial_file(path)
    sweep(path)
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def sweep(path: Path) -> None:
    """Remove partial files of `path` whose writers are dead: no such process runs here, and nothing wrote of late."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.partial")
    with contextlib.suppress(OSError), os.scandir(path.parent) as files:
        for each in files:
            found = ours.fullmatch(each.name)
            if found and not _runs(int(found[1])):
                with contextlib.suppress(OSError):
                    if time.time() - each.stat(follow_symlinks=False).st_mtime > QUIET:
                        os.unlink(each.path)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
