"""Printed kernels run as the Python that they are, element by element: what every name in their source means.

Sizes and integers are Python's, and wrap around where a cast says so; floats are NumPy's scalars. Every index is
checked. It serves the checks of `verify_kernels.py` and tests: it is some thousand times slower than the compiled
kernel. Leans on `tile_text` for tiles, and on the NumPy meaning of the scalar functions (`loops/functions.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache, partial
from typing import Any

import numpy as np

from ... import dtypes
from ...graph.bfloat16 import from_bfloat16, to_bfloat16
from ...loops.definition import python, scalar, split
from ...loops.functions import FUNCTIONS, Text
from ...loops.philox import philox_reference, uniform_reference
from .tile_text import called, python_of

FLOATS: dict[str, Any] = {"float32": np.float32, "float64": np.float64}
INTEGERS = {each: (8 * dtypes.ITEMSIZE[each], not each.startswith("u")) for each in dtypes.INTEGERS}
LONGEST = 64
ELEMENTS = (*FLOATS, *INTEGERS, "bfloat16", "bool")


class AccessError(IndexError):
    """An index outside of a buffer, or an element of scratch that is read before it is written."""


class Memory:
    """The elements of a buffer, those of scratch being None until they are written."""

    def __init__(self, name: str, dtype: str, values: list[Any], slack: int = 0) -> None:
        """slack: how many elements after the values whole vectors may read."""
        self.name, self.dtype, self.values, self.slack = name, dtype, values, slack
        self.count = len(values)
        self.cast = CASTS[dtype]

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self.count:
            return self.beyond(index)
        value = self.values[index]
        if value is None:
            raise AccessError(f"{self.name}[{index}] is read before it is written")
        return value

    def beyond(self, index: int) -> Any:
        """What a single element outside is. A value that does not change in a loop is loaded before it, be there no
        trips at all: an element of an empty buffer may be, from the bytes that follow it."""
        if self.count or not 0 <= index < self.slack:
            raise AccessError(f"{self.name}[{index}] is read, of {self.count} elements")
        return self.cast(0)

    def __setitem__(self, index: int, value: Any) -> None:
        if not 0 <= index < self.count:
            raise AccessError(f"{self.name}[{index}] is written, of {self.count} elements")
        self.values[index] = self.cast(value)


class Offset:
    """A buffer from one of its elements on."""

    def __init__(self, memory: Memory, first: int) -> None:
        self.memory, self.first = memory, first

    def __getitem__(self, index: int) -> Any:
        return self.memory[self.first + index]

    def __setitem__(self, index: int, value: Any) -> None:
        self.memory[self.first + index] = value


class Whole:
    """A buffer that whole vectors are loaded from: they may reach beyond its end."""

    def __init__(self, memory: Memory | Offset) -> None:
        self.memory = memory

    def __getitem__(self, index: int) -> Any:
        memory = self.memory
        if isinstance(memory, Memory) and memory.count <= index < memory.count + memory.slack:
            return memory.cast(0)
        return memory[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self.memory[index] = value


def interpret(text: str, slots: Sequence[np.ndarray | int], thread: int = 0, threads: int = 1) -> None:
    """Run one thread's share of a printed kernel, in place.

    slots: its sizes and arrays in the order of its table, bfloat16 as words of uint16. Raises AccessError for an index
    outside of an array, and for one past its end that a whole vector would reach.
    """
    lines = text.splitlines()
    dtype = {i: line.split("= ")[1].split("_at(")[0] for line in lines for i in _slot(line)}
    table = [
        each if isinstance(each, int) else Memory(f"slot {i}", dtype[i], elements(each, dtype[i]))
        for i, each in enumerate(slots)
        if isinstance(each, int) or i in dtype
    ]
    loaded(text)(table, thread, threads)
    for array, memory in zip(slots, table):
        if isinstance(array, np.ndarray) and isinstance(memory, Memory):
            array[...] = words(memory).reshape(array.shape)


def _slot(line: str) -> list[int]:
    """The slot of the table that a line reads an address from."""
    head, _, tail = line.partition("_at(table, ")
    return [int(tail.split(")")[0])] if tail and head.split("= ")[-1] in ELEMENTS else []


def elements(array: np.ndarray, dtype: str) -> list[Any]:
    """The elements of an array as kernels compute with them."""
    if dtype == dtypes.BFLOAT16:
        return list(from_bfloat16(array).reshape(-1))
    flat = array.reshape(-1)
    return list(flat) if dtype in FLOATS else flat.tolist()


def words(memory: Memory) -> np.ndarray:
    """The elements as an array of one axis; the reverse of `elements`."""
    if memory.dtype == dtypes.BFLOAT16:
        return to_bfloat16(np.array(memory.values, np.float32))
    return np.array(memory.values, memory.dtype)


def loaded(text: str, file: str = "<kernel>") -> Callable[[Sequence[Any], int, int], None]:
    """The kernel as a function of (table, thread, threads), the table holding sizes and Memory."""
    definitions, kernel = split(text)
    names = {**NAMES, **{name: _tile(name, python_of(name)) for name in called(kernel)}, **_defined(definitions)}
    before = set(names)
    line = text.count("\n", 0, len(text) - len(kernel))
    exec(compile("\n" * line + kernel, file, "exec"), names)
    (made,) = set(names) - before - {"__builtins__"}
    run = names[made]

    def quietly(table: Sequence[Any], thread: int, threads: int) -> None:
        with np.errstate(all="ignore"):
            run(table, thread, threads)

    return quietly


def _defined(definitions: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    """A user's functions, of elements."""
    made = python(definitions)
    return {name: (lambda *args, f=function: f(*map(scalar, args))) for name, function in made.items()}


@cache
def _tile(name: str, text: str) -> Callable[..., None]:
    names = dict(NAMES)
    exec(compile(text, f"<{name}>", "exec"), names)
    made: Callable[..., None] = names[name]
    if "_full" not in name and not name.startswith("transform_"):
        return made
    return lambda *args: made(*(Whole(x) if isinstance(x, Memory | Offset) else x for x in args))


# ---------------------------------------------------------------- casts


def _integer(bits: int, signed: bool, value: Any) -> int:
    """Cut towards zero, then wrapped around."""
    if isinstance(value, np.floating | float):
        value = int(value) if math.isfinite(value) else 0
    low = -(1 << (bits - 1)) if signed else 0
    return (int(value) - low) % (1 << bits) + low


def _float32(value: Any) -> Any:
    wide = isinstance(value, int) and abs(value) > 1 << 53  # which a double would round first
    return np.array(value).astype(np.float32)[()] if wide else np.float32(value)


def _round_bfloat16(value: Any) -> Any:
    return from_bfloat16(to_bfloat16(np.float32(value)))[()]


CASTS: dict[str, Callable[[Any], Any]] = {
    "float32": _float32,
    "float64": np.float64,
    "bfloat16": _round_bfloat16,
    "bool": bool,
    **{name: partial(_integer, *kind) for name, kind in INTEGERS.items()},
}


# ---------------------------------------------------------------- functions


def _common(args: Sequence[Any]) -> Any:
    """The float type that arguments are cast to; None where all are integers."""
    kinds = {type(x) for x in args}
    if np.float64 in kinds or float in kinds:
        return np.float64
    return np.float32 if np.float32 in kinds else None


def _of_floats(function: Callable[..., Any], *args: Any) -> Any:
    kind = _common(args) or np.float64
    return kind(function(*map(kind, args)))


def _of_numbers(function: Callable[..., Any], *args: Any) -> Any:
    kind = _common(args)
    return int(function(*args)) if kind is None else kind(function(*map(kind, args)))


def _where(condition: bool, yes: Any, no: Any) -> Any:
    kind = _common((yes, no))
    chosen = yes if condition else no
    return chosen if kind is None else kind(chosen)


def _fma(a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""
    if not all(map(math.isfinite, (a, b, c))):
        return a * b + c
    return type(a)(float(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))))


def _philox(*words: int) -> tuple[int, ...]:
    return tuple(int(each) for each in philox_reference(words[:4], words[4:]))


def _shifted_left(a: int, by: int) -> int:
    """Without the bits that no dtype holds: the cast around it takes those beyond its own away."""
    return a << by if 0 <= by < LONGEST else 0


def _shifted_right(a: int, by: int) -> int:
    return a >> (by if 0 <= by < LONGEST else LONGEST)


WHOLE: dict[str, Callable[[int, int], int]] = {
    "floor_divide": lambda a, b: a // b if b else 0,
    "remainder": lambda a, b: a % b if b else 0,
    "left_shift": _shifted_left,
    "right_shift": _shifted_right,
}
"""Operators of whole numbers of any length, of which the cast around them keeps its dtype's bits."""


def _of_whole(name: str, a: Any, b: Any) -> Any:
    return WHOLE[name](int(a), int(b)) if _common((a, b)) is None else _of_numbers(FUNCTIONS[name].numpy, a, b)


OWN: dict[str, Callable[..., Any]] = {
    **{name: partial(_of_whole, name) for name in WHOLE},
    "where": _where,
    "bits_to_uniform": lambda bits: uniform_reference(np.asarray(bits, np.uint32))[()],
    "round_bfloat16": _round_bfloat16,
    **{name: partial(_of_numbers, FUNCTIONS[name].numpy) for name in ("maximum", "minimum", "abs", "sign")},
    **{name: (lambda x, f=row.numpy: int(f(x))) for name, row in FUNCTIONS.items() if name.startswith("saturate_")},
}


def _pointers() -> dict[str, Callable[..., Any]]:
    """Sizes, buffers and scratch, as `llvm/pointers.py` has them."""

    def at(dtype: str, table: Sequence[Any], slot: int, other: int | None = None) -> Any:
        memory = table[slot]
        if memory.dtype != dtype:
            raise AccessError(f"{memory.name} holds {memory.dtype}, and is taken for {dtype}")
        return memory

    def scratch(dtype: str, count: int) -> Memory:
        return Memory(f"{dtype} scratch", dtype, [None] * count)

    return {
        "size_at": lambda table, slot: table[slot],
        "offset": Offset,
        "prefetch": lambda memory, first, count: None,
        "masked": lambda: None,
        **{f"{dtype}_at": partial(at, dtype) for dtype in ELEMENTS},
        **{f"{dtype}_overlapping": partial(at, dtype) for dtype in ELEMENTS},
        **{f"{dtype}_scratch": partial(scratch, dtype) for dtype in ELEMENTS},
    }


NAMES: dict[str, Any] = {
    **_pointers(),
    **{name: cast for name, cast in CASTS.items() if name not in ("bool", "bfloat16")},
    "INFINITY": math.inf,
    "NAN": math.nan,
    **{name: partial(_of_floats, row.numpy) for name, row in FUNCTIONS.items() if not isinstance(row.cpu, Text)},
    **OWN,
    "fma": _fma,
    "philox": _philox,
}
"""All that the source of kernels may name besides tiles."""
