"""Files inside zip and tar archives, read without unpacking; every fault is a DataError that names the archive."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import DataError

FAULTS = (OSError, EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError, NotImplementedError)
AGAIN = "remove it and download or copy it again"


@dataclass(frozen=True)
class Member:
    """The file of a zip archive that has this name, in whichever folder of the archive."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}, {self.name}"

    def read_bytes(self) -> bytes:
        """Its content. Raises DataError for an archive without it, or damaged."""
        try:
            with zipfile.ZipFile(self.archive) as archive:
                for entry in archive.namelist():
                    if PurePosixPath(entry).name == self.name:
                        return archive.read(entry)
        except FAULTS as error:
            raise DataError(f"{self.archive}: damaged zip file: {error}; {AGAIN}") from None
        raise DataError(f"{self.archive} has no {self.name}: it is not the published archive; {AGAIN}")


def read_tar(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """The content of the files of a tar archive (plain or compressed) whose names are `wanted`, by name.

    Raises DataError for an archive that is missing, damaged or lacks one of them.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for entry in archive:
                name = PurePosixPath(entry.name).name
                if name in wanted and entry.isfile():
                    content = archive.extractfile(entry)
                    found[name] = content.read() if content else b""
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass  # the checksum of a compressed archive is at its very end
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except FAULTS as error:
        fault = str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
        raise DataError(f"{path}: damaged tar file: {fault}; {AGAIN}") from None
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}: it is cut off or not the published archive; {AGAIN}")
    return found
