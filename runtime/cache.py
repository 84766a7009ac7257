"""Compiled kernels and programs on disk, addressed by the hash of what they were made from.

Leans on the standard library and platformdirs. One file per entry, which holds named parts: text (compressed) and
bytes (as they are). A file is written beside its place and renamed into it, so that concurrent writers and readers
never see half of one; a checksum finds what a disk or a crash spoiled. A folder has a limit of size, and what was not
used for longest goes (`eviction`). Nothing here stops a program: a damaged entry is a miss, and an unwritable folder,
or one that others may write to (`trust`), means memory only, each with a warning.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from . import eviction
from .errors import CacheWarning
from .locks import fork_safe_lock
from .parts import Part, Parts, decode, encode
from .trust import writable_by_others

MAGIC = b"KWCACHE1"
SUFFIX, UNFINISHED = ".kw", ".tmp"
LIMIT = 2 * 2**30
"""Bytes of a folder's entries, where nothing else is said."""
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class CacheEntry:
    """An entry on disk: key, size in bytes, and when it was last used, to the hour (seconds since the epoch)."""

    key: str
    size: int
    modified: float


_warned: set[Path] = set()
"""Folders that cannot be used, each reported once."""


class KernelCache:
    """Entries in `folder`: by default `$KERNELWRIGHT_CACHE` or else the user's cache folder. They take about `limit`
    bytes at most."""

    def __init__(self, folder: str | os.PathLike[str] | None = None, limit: int = LIMIT) -> None:
        default = os.environ.get("KERNELWRIGHT_CACHE") or platformdirs.user_cache_dir("kernelwright")
        self.folder = Path(folder if folder is not None else default)
        self.limit = limit
        self.hits = 0
        self.misses = 0
        self._memory: dict[str, bytes] = {}
        self._room = 0  # bytes that may be written before the folder is looked over
        self._lock = fork_safe_lock()

    def get(self, key: str) -> Parts | None:
        """The parts stored under `key`, or None."""
        parts = self._read(key)
        with self._lock:
            self.hits += parts is not None
            self.misses += parts is None
        return parts

    def put(self, key: str, parts: Mapping[str, Part]) -> None:
        """Store `parts` under `key`, in place of what was there."""
        data = encode(MAGIC, parts)
        path = self._path(key)
        if not self._trusted():
            self._memory[key] = data
            return
        try:
            self._write(path, data)
        except OSError as error:
            self._memory[key] = data
            self._warn(f"the kernel cache cannot write to {self.folder} ({error}); what is compiled now is not kept")
            return
        with self._lock:
            self._room -= len(data)
            if self._room < 0:  # looked over anew after an eighth of the limit, since other processes write too
                with contextlib.suppress(OSError):
                    held = eviction.tidy(self.folder, SUFFIX, UNFINISHED, self.limit)
                    self._room = min(self.limit - held, self.limit // 8)

    def load(self, key: str) -> Any:
        """The object stored under `key` by `store`, or None; one that no longer unpickles is dropped."""
        parts = self.get(key)
        if parts is None:
            return None
        try:
            pickled = parts["pickle"]
            assert isinstance(pickled, bytes)
            return pickle.loads(pickled)
        except Exception as error:
            self.drop(key, f"it does not unpickle: {error!r}")
            return None

    def store(self, key: str, value: Any) -> None:
        """Pickle `value` (a whole program, say) under `key`."""
        self.put(key, {"pickle": pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)})

    def entries(self) -> list[CacheEntry]:
        """What is on disk, by key."""
        found = []
        for path in self._files(SUFFIX):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append(CacheEntry(path.name.removesuffix(SUFFIX), status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: entry.key)

    def size(self) -> int:
        """Bytes on disk."""
        return sum(entry.size for entry in self.entries())

    def clear(self) -> None:
        """Remove every entry, and what interrupted writers left."""
        self._memory.clear()
        for path in [*self._files(SUFFIX), *self._files(UNFINISHED)]:
            path.unlink(missing_ok=True)

    def _files(self, suffix: str) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if path.name.endswith(suffix)]
        except OSError:
            return []

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"a cache key is made of letters, digits, '.', '_' and '-', not {key!r}")
        return self.folder / f"{key}{SUFFIX}"

    def _read(self, key: str) -> Parts | None:
        path = self._path(key)
        data = self._memory.get(key)
        if data is None:
            if not self._trusted():
                return None
            try:
                with open(path, "rb") as file:
                    status = os.fstat(file.fileno())
                    data = file.read()
            except OSError:
                return None
            danger = writable_by_others(status)
            if danger is not None:
                self.drop(key, f"{danger}, and kernels are code")
                return None
            eviction.used(path, status.st_mtime)
        try:
            return decode(MAGIC, data)
        except ValueError as error:
            self.drop(key, str(error))
            return None

    def drop(self, key: str, reason: str) -> None:
        """Remove a damaged entry, with a warning."""
        warnings.warn(f"dropped {key} from the kernel cache: {reason}", CacheWarning, stacklevel=4)
        self._memory.pop(key, None)
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError:
            return

    def _trusted(self) -> bool:
        """May the folder be used? It is refused, with one warning, where others may write to it: kernels are code."""
        try:
            danger = writable_by_others(self.folder.stat())
        except OSError:
            return True  # it does not exist yet
        if danger is not None:
            self._warn(
                f"the kernel cache {self.folder} is not used: {danger}, and kernels are code; take the others' right "
                "to write away (chmod go-w), or set KERNELWRIGHT_CACHE to a folder of your own"
            )
        return danger is None

    def _warn(self, message: str) -> None:
        """Once for the folder."""
        if self.folder not in _warned:
            _warned.add(self.folder)
            warnings.warn(message, CacheWarning, stacklevel=4)

    def _write(self, path: Path, data: bytes) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, suffix=UNFINISHED)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
