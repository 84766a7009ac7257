"""Who else may write a file or folder: the cache's kernels are code, which runs with the rights of whoever loads it.

Leans on the standard library alone.
"""

from __future__ import annotations

import os
import stat

OTHERS = stat.S_IWGRP | stat.S_IWOTH


def writable_by_others(status: os.stat_result) -> str | None:
    """Why others than this user and root could write what has this status, in words; None where they cannot."""
    if status.st_uid not in (os.geteuid(), 0):
        return f"it belongs to another user (number {status.st_uid})"
    if status.st_mode & OTHERS:
        return f"other users may write to it (mode {stat.S_IMODE(status.st_mode):o})"
    return None
