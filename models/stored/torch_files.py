"""PyTorch's files of values, as `torch.save(model.state_dict(), path)` writes them, read without PyTorch.

Such a file is a zip archive: `data.pkl` is a pickle that names tensors by storage, offset, sizes and strides, and
`data/0`, `data/1`, ... are the bytes of the storages (torch/serialization.py and torch/_utils.py of PyTorch 2). No code
in it is run: `pickled` builds plain data, and the calls it may make are `CALLS` here. Sizes are checked against the
bytes that there are, before anything is made of them.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...compiler.graph.bfloat16 import from_bfloat16
from ...runtime.checkpoint import CheckpointError
from .pickled import Global, Refused, read

DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}
"""NumPy's dtype of a storage; NumPy has no bfloat16, whose values become float32."""

STORAGES = frozenset(f"torch {name}" for name in DTYPES)
DAMAGED = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, LookupError, struct.error)
"""What zipfile raises for archives that are damaged, encrypted or of another kind."""

OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickle of 0x1950a86a20f9469cfc6c, with which older files begin (torch/serialization.py, MAGIC_NUMBER)."""

MOST_AXES, LARGEST = 8, 2**48
"""Of a tensor: its axes, and any of its sizes, strides and offset, whose products with a width fit 64 bits."""


class Storage(NamedTuple):
    """One run of numbers of a file, which tensors are views of."""

    values: np.ndarray


def is_torch_file(path: str | os.PathLike[str]) -> bool:
    """Whether the file starts as a zip archive does; False for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def is_old_torch_file(path: str | os.PathLike[str]) -> bool:
    """Whether the file starts as those of PyTorch before 1.6 do, pickles one after the other; False for one that cannot
    be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(OLD)) == OLD
    except OSError:
        return False


def load(path: str | os.PathLike[str]) -> Any:
    """What was saved: dicts, lists, tuples, numbers, strings, and tensors as read-only arrays.

    bfloat16 becomes float32. Raises CheckpointError for a file that cannot be read, is damaged, or holds anything else:
    functions, classes and whole models are refused by name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, Path(path).stat().st_size).load()
    except Refused as error:
        raise CheckpointError(
            f"{path} is refused, it holds {error}; torch.save(model.state_dict(), path) writes values alone"
        ) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    except DAMAGED as error:
        raise CheckpointError(f"{path} is not a whole file of torch.save: {error}") from None
    except MemoryError:
        raise CheckpointError(f"{path} holds more than there is memory for") from None


class _Archive:
    """An open file: its members by their names inside the one folder that torch.save makes."""

    def __init__(self, archive: zipfile.ZipFile, size: int):
        self.archive, self.storages = archive, dict[str, Storage]()
        infos = archive.infolist()
        pickles = [info.filename for info in infos if info.filename.split("/", 1)[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise Refused(f"{len(pickles)} members data.pkl, not one")
        if len({info.filename for info in infos}) < len(infos):
            raise Refused("members of equal names")
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise Refused("compressed members, which torch.save does not write")
        if sum(info.file_size for info in infos) > size:
            raise Refused(f"members of more bytes than the file's {size:,}")
        self.folder = pickles[0].removesuffix("data.pkl")
        self.names = {info.filename for info in infos}

    def load(self) -> Any:
        order = self.folder + "byteorder"
        if order in self.names and self.archive.read(order) != b"little":
            raise Refused("numbers of another byte order than little")
        return read(self.archive.read(self.folder + "data.pkl"), CALLS, STORAGES, self.stored)

    def stored(self, said: Any) -> Storage:
        """The storage of ('storage', its type, its member, device, how many numbers)."""
        match said:
            case ("storage", Global(name), str(member), str(), int(count)) if name in STORAGES:
                pass
            case _:
                raise Refused("a persistent id that is no storage of known numbers")
        if member not in self.storages:
            self.storages[member] = Storage(self._numbers(name.removeprefix("torch "), member))
        storage = self.storages[member]
        if len(storage.values) != count:
            raise Refused(f"storage {member}, of {len(storage.values):,} numbers, as one of {count:,}")
        return storage

    def _numbers(self, kind: str, member: str) -> np.ndarray:
        name = f"{self.folder}data/{member}"
        if name not in self.names:
            raise Refused(f"no storage {member}, which it names")
        data, width = self.archive.read(name), np.dtype(DTYPES[kind]).itemsize
        if len(data) % width:
            raise Refused(f"storage {member} of {len(data):,} bytes, no whole numbers of {width}")
        values: np.ndarray = np.frombuffer(data, DTYPES[kind])
        return from_bfloat16(values) if kind == "BFloat16Storage" else values


def _tensor(storage: Any, offset: Any, sizes: Any, strides: Any, *_: Any) -> np.ndarray:
    """A view of the storage; what follows the strides are gradients and hooks, which are not values."""
    if not isinstance(storage, Storage) or not (_whole((offset,)) and _whole(sizes) and _whole(strides)):
        raise Refused("a tensor that is none (storage, offset, sizes and strides from 0 to 2^48)")
    if len(sizes) != len(strides) or len(sizes) > MOST_AXES:
        raise Refused(f"a tensor of {len(sizes)} sizes and {len(strides)} strides")
    values = storage.values
    if 0 in sizes and max(sizes) <= len(values):
        return np.empty(sizes, values.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if last >= len(values) or math.prod(sizes) > len(values):
        raise Refused(f"a tensor {sizes} up to number {last:,} of a storage of {len(values):,}")
    return as_strided(values[offset:], sizes, [stride * values.itemsize for stride in strides], writeable=False)


def _whole(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is int and 0 <= value < LARGEST for value in values)


def _parameter(tensor: Any, *_: Any) -> np.ndarray:
    if not isinstance(tensor, np.ndarray):
        raise Refused("a parameter that is no tensor")
    return tensor


def _ordered(*given: Any) -> dict[Any, Any]:
    if given:
        raise Refused("an OrderedDict made of something else")
    return {}


def _size(*given: Any) -> tuple[Any, ...]:
    if len(given) != 1 or not isinstance(given[0], tuple):
        raise Refused("a torch.Size made of something else than a tuple")
    return given[0]


CALLS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch Size": _size,
}
"""What a file may call, and what that gives here."""
