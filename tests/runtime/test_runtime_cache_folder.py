"""The folder of the kernel cache: refused where others may write to it, kept within its limit, swept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kernelwright.runtime import CacheWarning, KernelCache
from kernelwright.runtime.cache import UNFINISHED

KB = 1024


def fill(cache: KernelCache, *keys: str, size: int = 10 * KB) -> None:
    for key in keys:
        cache.put(key, {"object": os.urandom(size)})


def keys(cache: KernelCache) -> list[str]:
    return [entry.key for entry in cache.entries()]


def aged(cache: KernelCache, key: str, hours: float) -> None:
    then = time.time() - 3600 * hours
    os.utime(cache.folder / f"{key}.kw", (then, then))


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    fill(KernelCache(tmp_path / "cache"), "planted")
    (tmp_path / "cache").chmod(mode)
    cache = KernelCache(tmp_path / "cache")
    with pytest.warns(CacheWarning) as warned:
        assert cache.get("planted") is None
        cache.put("mine", {"object": b"1"})
        assert dict(cache.get("mine") or {}) == {"object": b"1"}  # in memory
    (only,) = warned
    message = str(only.message)
    assert str(cache.folder) in message and f"mode {mode:o}" in message and "\n" not in message
    assert keys(cache) == ["planted"]


def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = KernelCache(tmp_path / "cache")
    fill(cache, "a")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    if cache.folder.stat().st_uid == 0:  # root is trusted: give the folder away
        os.chown(cache.folder, 12345, -1)
    with pytest.warns(CacheWarning, match="belongs to another user"):
        assert cache.get("a") is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_may_write_to_is_dropped(tmp_path: Path, mode: int) -> None:
    cache = KernelCache(tmp_path / "cache")
    fill(cache, "a", "b")
    (cache.folder / "a.kw").chmod(mode)
    with pytest.warns(CacheWarning, match=f"dropped a .*mode {mode:o}.* kernels are code"):
        assert cache.get("a") is None
    assert cache.get("b") is not None and keys(cache) == ["b"]


def test_a_new_folder_is_the_users_alone(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    before = os.umask(0)
    try:
        cache = KernelCache(tmp_path / "new" / "cache")
        fill(cache, "a")
    finally:
        os.umask(before)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert (cache.folder / "a.kw").stat().st_mode & 0o777 == 0o600
    assert KernelCache(cache.folder).get("a") is not None and not recwarn.list


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    fill(KernelCache(tmp_path), *"abcdefgh")
    for age, key in enumerate("dbhacefg"):
        aged(KernelCache(tmp_path), key, 100 - age)  # d is the oldest
    assert KernelCache(tmp_path).get("d") is not None  # and used again
    cache = KernelCache(tmp_path, limit=60 * KB)
    fill(cache, "new")
    assert keys(cache) == ["d", "e", "f", "g", "new"] and cache.size() <= 0.9 * 60 * KB


def test_a_folder_stays_within_its_limit(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path, limit=100 * KB)
    most = 0
    for i in range(60):
        fill(cache, f"k{i:02}", size=3 * KB)
        aged(cache, f"k{i:02}", 1 - i / 100)
        most = max(most, cache.size())
    assert most <= 100 * KB * 9 / 8 and "k59" in keys(cache) and "k00" not in keys(cache)


def test_other_processes_entries_are_counted(tmp_path: Path) -> None:
    ours, others = KernelCache(tmp_path, limit=100 * KB), KernelCache(tmp_path, limit=10**9)
    fill(ours, "first", size=KB)
    for i in range(30):
        fill(others, f"other{i}", size=5 * KB)
    for i in range(4):
        fill(ours, f"ours{i}", size=5 * KB)
    assert ours.size() <= 100 * KB


def test_using_an_entry_is_noted_once_an_hour(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path)
    fill(cache, "a")
    aged(cache, "a", 0.5)
    before = (tmp_path / "a.kw").stat().st_mtime
    cache.get("a")
    assert (tmp_path / "a.kw").stat().st_mtime == before
    aged(cache, "a", 2)
    cache.get("a")
    assert (tmp_path / "a.kw").stat().st_mtime > before


def test_files_of_dead_writers_are_swept(tmp_path: Path) -> None:
    for name, hours in (("dead", 2.0), ("alive", 0.01)):
        path = tmp_path / f"{name}{UNFINISHED}"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    fill(KernelCache(tmp_path), "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.kw", f"alive{UNFINISHED}"]
