"""The caches of the machine that this process runs on, as the operating system describes them.

Linux says in `/sys/devices/system/cpu/cpu0/cache` what each cache of a core holds (its documentation:
`Documentation/ABI/testing/sysfs-devices-system-cpu`). Leans on the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Cache:
    """One cache: bytes, how many lines share a set, bytes of a line."""

    size: int
    ways: int
    line: int


def system_caches(folder: Path = FOLDER) -> dict[int, Cache]:
    """The caches of data by level, from 1; empty where the system says nothing that can be understood."""
    found: dict[int, Cache] = {}
    for each in sorted(folder.glob("index*")):
        try:
            kind, level = _text(each, "type"), int(_text(each, "level"))
            if kind in ("Data", "Unified"):
                ways, line = int(_text(each, "ways_of_associativity")), int(_text(each, "coherency_line_size"))
                found[level] = Cache(_bytes(_text(each, "size")), ways, line)
        except (OSError, ValueError):  # virtual machines leave files out
            continue
    return {level: cache for level, cache in found.items() if min(cache.size, cache.ways, cache.line) > 0}


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def _bytes(text: str) -> int:
    """Of a size such as "48K"."""
    unit = UNITS.get(text[-1:], 1)
    return int(text.rstrip("KMG")) * unit
