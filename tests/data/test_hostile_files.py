"""Files from strangers: each is refused with an error of the package that names it, before memory grows.

Bombs are read in a process that may use 256 MB more than it has after its imports.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx

from kernelwright.models.data import DataError, cifar, zip_codes
from kernelwright.models.data.archives import Member, read_tar
from kernelwright.models.data.coco import captions, instances
from kernelwright.models.data.idx import read
from kernelwright.models.data.images import decode
from kernelwright.runtime import checkpoint
from kernelwright.runtime.checkpoint import CheckpointError
from kernelwright.runtime.errors import ProgramFileError
from kernelwright.runtime.program_file import MAGIC, read_program

WANTED = {"train.bin": 100, "test.bin": 100}
HUGE = 2**62


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def tar(*members: tuple[str, bytes], claim: int | None = None) -> bytes:
    """A tar archive; claim: the size that the last member's header says instead of its own."""
    out = b""
    for name, data in members:
        head = tarfile.TarInfo(name)
        head.size = len(data) if claim is None or (name, data) != members[-1] else claim
        out += head.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)
    return out + bytes(1024)


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A grey PNG that claims this size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


META = {"__metadata__": {"kernelwright": "{}"}}


def tensor(dtype: str = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "text": b"This is a text file, and nothing else.\n" * 40,
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "npz": npz(images=np.zeros((2, 3))),
    "npz of objects": npz(images=np.array([{"a": print}], dtype=object)),
    "pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system\x93\x94\x8c\x02ls\x85R.",
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "gzip of nothing": gzip.compress(b""),
    "gzip of text": gzip.compress(b"1 2 3\n" * 100),
    "xz": lzma.compress(b"1 2 3\n" * 100),
    "idx of huge sizes": struct.pack(">BBBB3i", 0, 0, 8, 3, 2**31 - 1, 2**31 - 1, 2**31 - 1),
    "idx of 255 axes": struct.pack(">BBBB255i", 0, 0, 8, 255, *[1] * 255) + b"1",
    "idx of floats": idx(np.zeros((2, 2, 2, 2), "float32")),
    "tar with a path outside": tar(("../../train.bin", b"a"), ("test.bin", b"b")),
    "tar with an absolute path": tar(("/etc/train.bin", b"a"), ("test.bin", b"b")),
    "tar with a file twice": tar(("train.bin", b"a"), ("test.bin", b"b"), ("other/train.bin", b"c")),
    "tar with a file too long": tar(("train.bin", bytes(101)), ("test.bin", b"b")),
    "tar without them": tar(("other", b"a")),
    "png of no size": png(0, 0),
    "png of the largest size": png(2**31 - 1, 2**31 - 1),
    "png cut off": png(30, 30)[:-20],
    "safetensors of length 2**62": safetensors(META, length=HUGE),
    "safetensors with NaN": safetensors(b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 4]}}', bytes(4)),
    "safetensors of huge shape": safetensors({**META, "a": tensor(shape=(HUGE,))}, bytes(4)),
    "safetensors of huge offsets": safetensors({**META, "a": tensor(offsets=(0, HUGE))}, bytes(4)),
    "safetensors of negative offsets": safetensors({**META, "a": tensor(offsets=(-4, 0))}, bytes(4)),
    "safetensors of no dtype": safetensors({**META, "a": tensor("F128")}, bytes(4)),
    "safetensors with one name twice": safetensors(
        b'{"a": %s, "a": %s}' % ((json.dumps(tensor()).encode(),) * 2), bytes(8)
    ),
    "safetensors of nested lists": safetensors({"__metadata__": {"kernelwright": "[" * 100_000 + "]" * 100_000}}),
    "safetensors of a list": safetensors({"__metadata__": {"kernelwright": "[1, 2]"}}),
    "program's magic and zeros": MAGIC + bytes(400),
    "program's magic alone": MAGIC,
    "json of nested lists": b"[" * 200_000,
    "json of null": b"null",
}
READERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "idx": (lambda path: read(path, 3), DataError),
    "tar": (lambda path: read_tar(path, WANTED), DataError),
    "zip": (lambda path: read(Member(path, "images.gz"), 3), DataError),
    "zip codes": (lambda path: zip_codes._part(path, 7291), DataError),
    "coco": (captions, DataError),
    "image": (lambda path: decode(path, (1, 4, 4)), DataError),
    "checkpoint": (checkpoint.load, CheckpointError),
    "program": (read_program, ProgramFileError),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_no_reader_can_use_is_refused_by_name(tmp_path: Path, reader: str) -> None:
    call, kind = READERS[reader]
    if reader == "image":
        pytest.importorskip("PIL")
    for name, content in HOSTILE.items():
        path = tmp_path / name.replace("/", " ")
        path.write_bytes(content)
        try:
            call(path)
        except kind as error:
            assert str(path) in str(error), name
        except Exception as error:
            raise AssertionError(f"{reader}, {name}: {error!r}") from error
        else:
            raise AssertionError(f"{reader} takes {name}")


PLAIN = tar(("a/train.bin", b"x" * 100), ("a/test.bin", b"y" * 50))
WHOLE = {"tar": PLAIN, "tar.gz": gzip.compress(PLAIN), "tar.xz": lzma.compress(PLAIN)}


@pytest.mark.parametrize("name", WHOLE)
def test_a_tar_is_read_whole_or_refused_wherever_it_is_cut(tmp_path: Path, name: str) -> None:
    content, path = WHOLE[name], tmp_path / name
    path.write_bytes(content)
    assert read_tar(path, WANTED) == {"train.bin": b"x" * 100, "test.bin": b"y" * 50}
    end = content.index(b"y" * 50) + 50 if name == "tar" else len(content)
    for length in range(0, end, 7):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=f"^{path}"):
            read_tar(path, WANTED)


def test_a_zip_is_read_whole_or_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    images, file = np.arange(12, dtype="uint8").reshape(1, 3, 4), io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("gzip/images.gz", gzip.compress(idx(images)))
    path = tmp_path / "a.zip"
    path.write_bytes(file.getvalue())
    assert np.array_equal(read(Member(path, "images.gz"), 3), images)
    for length in range(0, len(file.getvalue()), 7):
        path.write_bytes(file.getvalue()[:length])
        with pytest.raises(DataError, match=f"^{path}"):
            read(Member(path, "images.gz"), 3)


def test_coco_with_a_path_outside_or_no_number(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(png(1, 1))
    path, box = tmp_path / "instances.json", {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}

    def made(file: object, bbox: object) -> None:
        path.write_text(
            json.dumps(
                {
                    "images": [{"id": 1, "file_name": file}],
                    "categories": [{"id": 1, "name": "a"}],
                    "annotations": [{**box, "bbox": bbox}],
                }
            )
        )
        instances(path, tmp_path / "images", (1, 4, 4))

    made("a.png", [0, 0, 1, 1])
    for file, bbox in [
        ("../instances.json", [0, 0, 1, 1]),
        (str(path), [0, 0, 1, 1]),
        ("a.png", [0, 0, float("nan"), 1]),
        ("a.png", [0, 0, float("inf"), 1]),
        ("a.png", [0, 0]),
        ("a.png", None),
    ]:
        with pytest.raises(DataError, match=f"^{path}: not COCO's instances"):
            made(file, bbox)


BOMBS = """
import resource, sys
from pathlib import Path
from kernelwright.models.data import DataError, zip_codes
from kernelwright.models.data.archives import Member, read_tar
from kernelwright.models.data.idx import read
from kernelwright.models.data.images import decode
from kernelwright.runtime import checkpoint, errors
from kernelwright.runtime.program_file import read_program
import safetensors
try:
    import PIL.Image, PIL.PngImagePlugin, PIL.ImageOps
except ImportError:
    pass
readers = {
    "idx": lambda path: read(path, 3),
    "tar": lambda path: read_tar(path, {"train.bin": 100}),
    "zip": lambda path: read(Member(path, "images.gz"), 3),
    "text": lambda path: zip_codes._part(path, 7291),
    "image": lambda path: decode(path, (1, 4, 4)),
    "program": read_program,
}
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
for path in map(Path, sys.argv[1:]):
    try:
        readers[path.suffix[1:]](path)
    except errors.KernelwrightError as error:
        print(path.name, "refused:", str(error).replace(str(path), "PATH"))
"""


def test_bombs_are_refused_before_memory_grows(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    zeros = gzip.compress(bytes(1 << 26), 1) * 96  # 6 GiB
    head = gzip.compress(struct.pack(">BBBB3i", 0, 0, 8, 3, 3, 46341, 46341))
    small = gzip.compress(idx(np.zeros((1, 2, 2), "uint8")))
    names = tarfile.TarInfo("././@LongLink")
    names.type, names.size = tarfile.GNUTYPE_LONGNAME, 6 << 30
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.gz", head + zeros)
    files = {
        "claims.idx": head + zeros,
        "goes-on.idx": small + zeros,
        "claims.zip": inside.getvalue(),
        "zeros.text": zeros,
        "claims.tar": tar(("train.bin", b""), claim=2**40),
        "skipped.tar": tar(("other.bin", b""), claim=2**40),
        "names.tar": gzip.compress(names.tobuf(tarfile.GNU_FORMAT)) + zeros,
        "wide.image": png(50_000, 50_000),
        "wide-enough.image": png(13_000, 13_000),
        "sparse.program": MAGIC,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with open(tmp_path / "sparse.program", "r+b") as file:
        file.truncate(2**36)
    done = subprocess.run(
        [sys.executable, "-c", BOMBS, *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" refused: ") for line in done.stdout.splitlines())
    assert lines.keys() == files.keys()
    expected = {
        "claims.idx": "PATH: its header claims 6,442,464,843 bytes of values",
        "goes-on.idx": "PATH: 1048576 bytes or more too many after the values of (1, 2, 2)",
        "claims.zip": "PATH, images.gz: its header claims",
        "zeros.text": "PATH: more than 67,108,864 bytes unpacked",
        "claims.tar": "PATH, train.bin: too long: 1,099,511,627,776 bytes, where the published one has at most 100",
        "skipped.tar": "PATH: a file in it claims to end at byte 1,099,511,62",
        "names.tar": "PATH: damaged tar file: a header claims 6,442,450,944 bytes",
        "wide.image": "PATH: cannot be decoded (",
        "wide-enough.image": "PATH: cannot be decoded (13000 x 13000 pixels, at most 134,217,728 are read)",
        "sparse.program": "the program PATH is larger than memory",
    }
    assert {name: lines[name][: len(start)] for name, start in expected.items()} == expected


@pytest.mark.parametrize("row", [cifar.CIFAR10, cifar.CIFAR100])
def test_the_sizes_that_cifar_may_have(row: cifar.Cifar) -> None:
    """The binary files: 10,000 records of 3,073 bytes; 50,000 and 10,000 of 3,074."""
    sizes = {name: size for name, size in row.sizes.items() if name.endswith(".bin")}
    assert set(sizes.values()) == ({30_730_000} if row is cifar.CIFAR10 else {153_700_000, 30_740_000})
