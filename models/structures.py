"""Data and values of networks that have several: an array, a tuple of them, or a dict of them, and their layout.

A layout says which it is, with the names, shapes and dtypes, without the leading axis of examples. Floats become
float32 (or the dtype of the network's parameters), integers int32, truth values floats. Leans on NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.errors import InputError

INT32 = np.iinfo("int32")


@dataclass(frozen=True)
class Layout:
    """kind: "array", "tuple" or "dict". names: those of messages, and a dict's keys. shapes: of one example."""

    kind: str
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    def pack(self, values: Sequence[Any]) -> Any:
        """The values, one for each name, in this form."""
        return packed(self.kind, self.names, values)

    def describe(self) -> dict[str, Any]:
        """As plain data, for checkpoints."""
        return {"kind": self.kind, "names": self.names, "shapes": self.shapes, "dtypes": self.dtypes}

    @staticmethod
    def revive(said: Mapping[str, Any]) -> Layout:
        """What `describe` described."""
        shapes = tuple(tuple(shape) for shape in said["shapes"])
        return Layout(said["kind"], tuple(said["names"]), shapes, tuple(said["dtypes"]))

    def __str__(self) -> str:
        return ", ".join(f"{n} {d} {('n', *s)}".replace("'n'", "n") for n, d, s in zip(*self._columns(), strict=True))

    def _columns(self) -> tuple[Any, ...]:
        return self.names, self.dtypes, self.shapes


def unpacked(what: str, data: Any) -> tuple[str, tuple[str, ...], list[Any]]:
    """(kind, names, values) of an array, a tuple or list, or a dict. what: what a single one is called."""
    if isinstance(data, Mapping):
        return "dict", tuple(map(str, data)), list(data.values())
    if isinstance(data, (tuple, list)):
        return "tuple", tuple(f"{what}[{i}]" for i in range(len(data))), list(data)
    return "array", (what,), [data]


def packed(kind: str, names: Sequence[str], values: Sequence[Any]) -> Any:
    """What `unpacked` took apart."""
    if kind == "dict":
        return dict(zip(names, values, strict=True))
    return tuple(values) if kind == "tuple" else values[0]


def arrays(what: str, data: Any, floats: str) -> tuple[Layout, list[np.ndarray]]:
    """The layout of `data`, and its arrays as programs take them, contiguous.

    Raises InputError for what is no array of numbers, for nan and inf, and for different numbers of examples.
    """
    kind, names, values = unpacked(what, data)
    found = [_array(name, value, floats) for name, value in zip(names, values, strict=True)]
    if not found:
        raise InputError(f"the data has no {what}")
    same_count(names, found)
    return Layout(kind, names, tuple(a.shape[1:] for a in found), tuple(str(a.dtype) for a in found)), found


def same_count(names: Sequence[str], found: Sequence[np.ndarray]) -> None:
    """Raises InputError unless all arrays have as many examples, and at least one."""
    counts = {len(a) for a in found}
    if len(counts) > 1 or counts == {0}:
        shown = ", ".join(f"{name} {a.shape}" for name, a in zip(names, found, strict=True))
        why = "there are no examples" if counts == {0} else "the first axis counts the examples and has to be the same"
        raise InputError(f"{why}: {shown}")


def aligned(which: str, wanted: Layout, given: Layout, found: list[np.ndarray]) -> list[np.ndarray]:
    """The arrays in the order of `wanted`. Raises InputError where more than a dict's order differs."""
    if given.kind == "dict" == wanted.kind and set(given.names) == set(wanted.names):
        places = [given.names.index(name) for name in wanted.names]
        found = [found[i] for i in places]
        shapes, dtypes = tuple(given.shapes[i] for i in places), tuple(given.dtypes[i] for i in places)
        given = Layout("dict", wanted.names, shapes, dtypes)
    if wanted != given:
        raise InputError(f"this trainer began with {which} {wanted}; these are {given}")
    return found


def _array(name: str, value: Any, floats: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or not array.ndim:
        raise InputError(
            f"{name} is not an array of numbers with a first axis of examples: {array.dtype} {array.shape}"
        )
    if array.dtype.kind in "iu":
        if array.size and (array.min() < INT32.min or array.max() > INT32.max):
            raise InputError(f"{name} holds integers beyond int32")
        return np.ascontiguousarray(array, "int32")
    out = np.ascontiguousarray(array, floats)
    if not np.isfinite(out.sum(dtype="float64")):
        finite = np.isfinite(out).reshape(len(out), -1).all(1)
        if not finite.all():
            first = int(np.argmin(finite))
            raise InputError(f"{name}[{first}] holds nan or inf ({int((~finite).sum())} of {len(out)} examples do)")
    return out
