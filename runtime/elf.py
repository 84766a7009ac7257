"""The symbols of object code: which names a 64-bit little-endian ELF object defines, and which it wants of others.

Leans on nothing. An object that lacks the symbol which it was stored for is another kernel's, or damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SYMBOL_TABLE, UNDEFINED = 2, 0


def symbols(code: bytes) -> Iterator[tuple[str, bool]]:
    """(name, whether it is defined here) of each symbol. Raises ValueError for what is no such object or damaged."""
    if code[:6] != b"\x7fELF\x02\x01":
        raise ValueError("the object is not 64-bit little-endian ELF: this platform is not supported yet")
    try:
        (sections_at,) = struct.unpack_from("<Q", code, 40)
        size, count = struct.unpack_from("<HH", code, 58)
        sections = [struct.unpack_from("<IIQQQQIIQQ", code, sections_at + size * each) for each in range(count)]
        for _, kind, _, _, start, length, link, *_ in sections:
            if kind != SYMBOL_TABLE:
                continue
            names = sections[link][4]
            for at in range(start + 24, start + length, 24):
                name, _, _, section = struct.unpack_from("<IBBH", code, at)
                yield code[names + name : code.index(b"\0", names + name)].decode(), section != UNDEFINED
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"the object is damaged: {error}") from None


def defines(code: bytes, name: str) -> bool:
    """Is `code` an object that defines the symbol `name`?"""
    try:
        return (name, True) in symbols(code)
    except ValueError:
        return False
