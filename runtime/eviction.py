"""Keeping a folder of cache entries small: what was not used for longest goes, and what dead writers left.

Leans on the standard library alone. The time of last use is the file's time of modification, which `used` renews:
access times are switched off on many systems. Other processes may do the same in the same folder at the same time.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

SHARE = 0.9
"""Of the limit, what is left after an eviction, so that the next write does not need another one."""

RENEWED = 3600.0
"""Seconds within which the time of last use is not written again: what reading an entry costs besides, at most."""

ABANDONED = 3600.0
"""Seconds after which a file that was being written has no writer any more. A write takes milliseconds."""


def used(path: Path, modified: float) -> None:
    """Note that the entry at `path`, last modified at that time, was used now."""
    if abs(time.time() - modified) > RENEWED:
        with contextlib.suppress(OSError):
            os.utime(path)


def _age(entry: os.DirEntry[str]) -> float:
    return time.time() - entry.stat(follow_symlinks=False).st_mtime


def tidy(folder: Path, suffix: str, unfinished: str, limit: int) -> int:
    """Remove entries until they fit into `limit` bytes, and abandoned files; how many bytes the entries have then.

    Entries are the files whose names end in `suffix`; those that are being written end in `unfinished`.
    """
    entries: list[tuple[float, int, str]] = []
    with os.scandir(folder) as found:
        for each in found:
            with contextlib.suppress(OSError):  # gone meanwhile
                if each.name.endswith(suffix):
                    status = each.stat(follow_symlinks=False)
                    entries.append((status.st_mtime, status.st_size, each.path))
                elif each.name.endswith(unfinished) and _age(each) > ABANDONED:
                    os.unlink(each.path)
    total = sum(size for _, size, _ in entries)
    if total <= limit:
        return total
    for _, size, path in sorted(entries):
        if total <= SHARE * limit:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size
    return total
