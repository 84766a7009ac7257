"""Files inside zip and tar archives, read without unpacking; every fault is a DataError that names the archive.

An archive says how much it unpacks to, and may lie: nothing is read beyond what its reader can use. Nothing is written
to a path that an archive names.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from .errors import DataError

FAULTS = (
    *(OSError, EOFError, MemoryError, OverflowError, RuntimeError, ValueError, struct.error),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)
"""What the readers of the standard library raise for damaged files: RuntimeError also for encrypted ones."""
AGAIN = "remove it and download or copy it again"
CHUNK = 1 << 20
LARGEST = 2 << 30
"""The most bytes that an archive may hold unpacked; CIFAR's hold 180 MB, EMNIST's files at most 600 MB each."""
COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
"""How a compressed archive begins, and what unpacks it."""


@dataclass(frozen=True)
class Member:
    """The file of a zip archive that has this name, in whichever folder of the archive."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}, {self.name}"

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its content as a stream. Raises DataError for an archive without it, with two of it, or damaged."""
        try:
            with zipfile.ZipFile(self.archive) as archive:
                found = [entry for entry in archive.infolist() if PurePosixPath(entry.filename).name == self.name]
                if len(found) == 1:
                    with archive.open(found[0]) as stream:
                        yield stream  # type: ignore[misc]
                    return
        except DataError:
            raise
        except FAULTS as error:
            raise DataError(f"{self.archive}: damaged zip file: {fault_of(error)}; {AGAIN}") from None
        what = f"{len(found)} files" if found else "no"
        raise DataError(f"{self.archive} has {what} {self.name}: it is not the published archive; {AGAIN}")


def read_tar(path: Path, wanted: Mapping[str, int]) -> dict[str, bytes]:
    """The content of the files of a tar archive (plain or compressed) whose names are `wanted`, by name.

    wanted: the most bytes that each may have. Raises DataError for an archive that is missing, damaged, lacks one of
    them or has it twice, claims more than that or than LARGEST in all, or names places outside of itself.
    """
    found: dict[str, bytes] = {}
    with _opened(path, max(wanted.values())) as archive:
        for entry in archive:
            _check_entry(path, entry)
            name = PurePosixPath(entry.name).name
            if name in wanted and entry.isfile():
                found[name] = _content(path, archive, entry, name, wanted[name], found)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}: it is cut off or not the published archive; {AGAIN}")
    return found


def tar_files(path: Path, wanted: Callable[[str], bool], most: int) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files of a tar archive (plain or compressed) whose names are `wanted`, in its order; links
    are none.

    most: bytes that each may have. Raises DataError as `read_tar`, and for more than LARGEST bytes in all.
    """
    with _opened(path, most) as archive:
        for entry in archive:
            _check_entry(path, entry)
            if entry.offset_data + entry.size + tarfile.BLOCKSIZE > LARGEST:
                raise DataError(
                    f"{path} unpacks to more than {LARGEST:,} bytes: unpack it yourself, and give the folder"
                )
            if not entry.isfile() or not wanted(entry.name):
                continue
            if entry.size > most:
                raise DataError(f"{path}, {entry.name}: {entry.size:,} bytes, where at most {most:,} are read")
            content = archive.extractfile(entry)
            yield entry.name, content.read() if content else b""


@contextmanager
def _opened(path: Path, most: int) -> Iterator[tarfile.TarFile]:
    """A tar archive, which is read to its very end. Raises DataError where it is missing or damaged. most: the bytes
    that are read at once."""
    try:
        with path.open("rb") as raw:
            start = raw.read(6)
            raw.seek(0)
            unpack = next((opened for magic, opened in COMPRESSED.items() if start.startswith(magic)), None)
            stream = _Bounded(path, unpack(raw) if unpack else raw, most + CHUNK)
            with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
                yield archive
            while stream.read(CHUNK):
                pass  # the checksum of a compressed archive is at its very end
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError:
        raise
    except FAULTS as error:
        raise DataError(f"{path}: damaged tar file: {fault_of(error)}; {AGAIN}") from None


def read_up_to(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file, however large it is."""
    with path.open("rb") as file:
        return file.read(min(most, path.stat().st_size + 1))


def fault_of(error: BaseException) -> str:
    """An error of the standard library on one line."""
    return str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__


class _Bounded:
    """An unpacked archive as tarfile reads it: no more than `most` bytes at once, nor LARGEST in all.

    A header may say that gigabytes of names follow; tarfile would read them in one go.
    """

    def __init__(self, path: Path, stream: Any, most: int):
        self.path, self.stream, self.most = path, stream, most
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.most or self.tell() + size > LARGEST + CHUNK:
            raise DataError(f"{self.path}: damaged tar file: a header claims {size:,} bytes; {AGAIN}")
        data: bytes = self.stream.read(size)
        return data

    def seek(self, position: int) -> int:
        if position > LARGEST:
            raise DataError(
                f"{self.path}: a file in it claims to end at byte {position:,}, beyond {LARGEST:,}; {AGAIN}"
            )
        place: int = self.stream.seek(position)
        return place


def _check_entry(path: Path, entry: tarfile.TarInfo) -> None:
    place = PurePosixPath(entry.name)
    if place.is_absolute() or ".." in place.parts:
        raise DataError(f"{path} names a place outside of it, {entry.name!r}: nothing of it is read; {AGAIN}")


def _content(
    path: Path, archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str, most: int, found: Mapping[str, bytes]
) -> bytes:
    if name in found:
        raise DataError(f"{path} has 2 files {name}: it is not the published archive; {AGAIN}")
    if entry.size > most:
        raise DataError(
            f"{path}, {name}: too long: {entry.size:,} bytes, where the published one has at most {most:,}; {AGAIN}"
        )
    content = archive.extractfile(entry)
    return content.read() if content else b""
