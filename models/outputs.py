"""Files that a run will write at its end, tried at its beginning. Leans on the standard library."""

from __future__ import annotations

import os
from pathlib import Path

from .checks import SettingError


def tried(what: str, path: Path) -> Path:
    """The path, if a file can be written there; nothing is changed. Raises SettingError where it cannot."""
    if path.is_dir():
        raise SettingError(f"cannot write {what} {path}: it is a folder")
    if path.exists() and not path.is_file():
        return path  # a device or a pipe, which opening would disturb
    if path.exists() and not os.access(path, os.W_OK):
        raise SettingError(f"cannot write {what} {path}: it may not be written to")
    probe = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise SettingError(f"cannot write {what} {path}: {error.strerror or error}") from None
    return path
