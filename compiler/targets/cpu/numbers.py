"""Kernels that differ in numbers alone read them from memory, so that all of them are one piece of code.

A thousand outputs exp(x * c), each with a c of its own, are compiled once instead of a thousand times. Where only a few
kernels are alike, numbers stay in the text, where LLVM sees them. Register tiles are left alone: what they are made of
is in their schedules. Leans on `form` for what makes kernels alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ... import dtypes
from ...graph.tensor import as_tensor
from ...loops import expressions as loops
from ...loops.expressions import Expr
from ...loops.form import form
from ...loops.kernels import Buffer, Kernel, Store
from .schedule import Blocked, Chunked, Plain

MANY = 8
"""So many alike are compiled as one."""
NUMBER = re.compile(r"^const .* (float\d\d)$", re.MULTILINE)


def numbers_from_memory(kernels: Sequence[Kernel]) -> list[Kernel]:
    """The kernels, many of which are now equal to the letter."""
    alike: dict[str, list[int]] = {}
    for i, kernel in enumerate(kernels):
        if isinstance(kernel.schedule, (Plain, Chunked, Blocked)):
            alike.setdefault(NUMBER.sub(r"const \1", kernel.fact(form).text), []).append(i)
    out = list(kernels)
    for places in alike.values():
        table = [_numbers(kernels[i]) for i in places]
        if len(set(map(tuple, table))) < MANY:
            continue
        changing = [p for p, column in enumerate(zip(*table)) if len(set(column)) > 1 and all(map(_finite, column))]
        for i, numbers in zip(places, table):
            out[i] = _reading(kernels[i], [numbers[p] for p in changing])
    return out


def _numbers(kernel: Kernel) -> list[Expr]:
    return [e for e in kernel.expressions if e.kind == "const" and dtypes.is_float(e.dtype)]


def _finite(number: Expr) -> bool:
    return math.isfinite(loops.const_value(number))


def _reading(kernel: Kernel, numbers: Sequence[Expr]) -> Kernel:
    """The kernel with these numbers in a small constant array for each dtype."""
    loads: dict[Expr, Expr] = {}
    for dtype in dict.fromkeys(e.dtype for e in numbers):
        own = [e for e in numbers if e.dtype == dtype]
        node = as_tensor(np.array([loops.const_value(e) for e in own], dtype))
        buffer = Buffer("numbers", (len(own),), dtype, "constant", node)
        loads |= {e: loops.load(buffer, (loops.at(p),), dtype) for p, e in enumerate(own)}
    stores = tuple(Store(s.buffer, s.index, loops.transform(s.value, lambda e: loads.get(e, e))) for s in kernel.stores)
    return replace(kernel, stores=stores)
