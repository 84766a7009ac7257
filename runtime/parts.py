"""Named parts in one run of bytes, behind a checksum: text (compressed) and bytes (as they are).

Leans on the standard library alone.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping

DIGEST = 16
LARGEST = 1 << 28
"""Bytes of a text: a hundred times what the largest networks' programs have."""

Part = bytes | str


class Parts(Mapping[str, Part]):
    """An entry's parts by name, each decoded only when it is asked for."""

    def __init__(self, index: dict[str, tuple[str, int, int]], payload: memoryview) -> None:
        self._index = index
        self._payload = payload

    def __getitem__(self, name: str) -> Part:
        kind, start, length = self._index[name]
        stored = self._payload[start : start + length]
        return _inflated(stored) if kind == "text" else bytes(stored)

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


def _inflated(stored: memoryview) -> str:
    """The text of a part. Raises ValueError where it is damaged, or more than LARGEST."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(stored, LARGEST)
    except zlib.error as error:
        raise ValueError(f"the text is damaged: {error}") from None
    if not inflater.eof:
        raise ValueError(f"the text is cut off, or longer than {LARGEST:,} bytes")
    return text.decode()


def encode(magic: bytes, parts: Mapping[str, Part]) -> bytes:
    """Magic, checksum of all that follows, length of the index, the index as JSON, the parts one after another."""
    index: dict[str, tuple[str, int, int]] = {}
    stored: list[bytes] = []
    start = 0
    for name, part in parts.items():
        data = zlib.compress(part.encode()) if isinstance(part, str) else bytes(part)
        index[name] = ("text" if isinstance(part, str) else "bytes", start, len(data))
        stored.append(data)
        start += len(data)
    header = json.dumps(index).encode()
    body = b"".join([len(header).to_bytes(4, "little"), header, *stored])
    return magic + _checksum(body) + body


def decode(magic: bytes, data: bytes) -> Parts:
    """What `encode` was given. Raises ValueError where the bytes are not whole, or begin otherwise."""
    view = memoryview(data)
    body = view[len(magic) + DIGEST :]
    if bytes(view[: len(magic)]) != magic or bytes(view[len(magic) : len(magic) + DIGEST]) != _checksum(body):
        raise ValueError("the file is damaged or incomplete")
    length = int.from_bytes(body[:4], "little")
    return Parts(json.loads(bytes(body[4 : 4 + length])), body[4 + length :])


def _checksum(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST).digest()
