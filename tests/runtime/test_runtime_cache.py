"""The kernel cache: what goes in comes out, and nothing a disk, a crash or a neighbour does stops a program."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from handmade import double

from kernelwright.runtime import CacheWarning, Executable, KernelCache

PARTS = {"object": bytes(range(256)) * 20, "source": "def kernel():\n" * 50, "empty": b"", "ünïcode": "é"}


@pytest.fixture
def cache(tmp_path: Path) -> KernelCache:
    return KernelCache(tmp_path / "new" / "cache")


def test_round_trip_and_counters(cache: KernelCache) -> None:
    assert cache.get("a") is None and cache.entries() == [] and cache.size() == 0
    cache.put("a", PARTS)
    cache.put("b", {"x": "1"})
    assert dict(cache.get("a") or {}) == PARTS
    assert dict(KernelCache(cache.folder).get("b") or {}) == {"x": "1"}
    assert (cache.hits, cache.misses) == (1, 1)
    entries = cache.entries()
    assert [entry.key for entry in entries] == ["a", "b"] and cache.size() == sum(entry.size for entry in entries)
    assert entries[0].size < len(PARTS["object"]) + 400
    cache.clear()
    assert cache.get("a") is None and list(cache.folder.iterdir()) == []


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELWRIGHT_CACHE", str(tmp_path))
    assert KernelCache().folder == tmp_path
    monkeypatch.delenv("KERNELWRIGHT_CACHE")
    assert KernelCache().folder.name == "kernelwright"


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden"])
def test_keys_are_file_names(cache: KernelCache, key: str) -> None:
    with pytest.raises(ValueError, match="cache key"):
        cache.put(key, {})


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "other"])
def test_a_damaged_entry_is_dropped_and_recompiled(cache: KernelCache, damage: str) -> None:
    cache.put("k", PARTS)
    (path,) = cache.folder.iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"flip": bytes(data), "truncate": bytes(data[:100]), "empty": b"", "other": b"x" * 500}[damage])
    with pytest.warns(CacheWarning, match="dropped k"):
        assert cache.get("k") is None
    assert not path.exists() and cache.misses == 1
    cache.put("k", PARTS)
    assert dict(cache.get("k") or {}) == PARTS


def test_every_truncation_is_found(cache: KernelCache) -> None:
    cache.put("k", {"a": b"12345", "b": "text"})
    (path,) = cache.folder.iterdir()
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.warns(CacheWarning):
            assert cache.get("k") is None


def test_an_unwritable_folder_means_memory_and_one_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = KernelCache(tmp_path / "file" / "cache")
    assert cache.get("a") is None
    cache.put("a", PARTS)
    cache.put("b", {})
    assert dict(cache.get("a") or {}) == PARTS
    assert [warning.category for warning in recwarn] == [CacheWarning]


def test_a_full_disk_leaves_no_rubbish(cache: KernelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(CacheWarning, match="No space left"):
        cache.put("a", PARTS)
    assert list(cache.folder.iterdir()) == [] and dict(cache.get("a") or {}) == PARTS


def _write(folder: Path, seed: int) -> None:
    cache = KernelCache(folder)
    for round in range(60):
        for key in ("a", "b"):
            cache.put(key, {"object": bytes([seed]) * (1000 + 50 * round), "text": f"{seed}"})
            parts = cache.get(key)
            assert parts is not None and set(parts["object"]) == {int(parts["text"])}


@pytest.mark.filterwarnings("error")
def test_concurrent_writers(cache: KernelCache) -> None:
    writers = [multiprocessing.get_context("spawn").Process(target=_write, args=(cache.folder, s)) for s in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert sorted(path.name for path in cache.folder.iterdir()) == ["a.kw", "b.kw"]


def test_whole_programs(cache: KernelCache) -> None:
    cache.store("program", double())
    program = KernelCache(cache.folder).load("program")
    np.testing.assert_array_equal(Executable(program).run([np.ones(3)])[0], 2)
    assert cache.load("nothing") is None
    cache.put("odd", {"pickle": b"not a pickle"})
    with pytest.warns(CacheWarning, match="does not unpickle"):
        assert cache.load("odd") is None
    assert [entry.key for entry in cache.entries()] == ["program"]
