"""The part `ceilings`: how fast the card copies and multiplies, by our kernels and by PyTorch where it is installed.

A copy is x * 2 over 2^26 elements of float32, bytes read and written together. Products in bfloat16 are of matrices of
it, as PyTorch's are. Leans on `work`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...compiler.dtypes import BFLOAT16, FLOAT32
from ...compiler.graph.bfloat16 import to_bfloat16
from ...compiler.graph.tensor import input
from . import turn
from .parts import PRECISIONS
from .work import Work, milliseconds

ELEMENTS = 1 << 26
SIDES = (4096, 1024)


def programs(case: str) -> Iterator[Work]:
    """What `run` compiles: a copy, and products of square matrices."""
    x = input("x", (ELEMENTS,))
    yield Work("copy", [x], [x * 2.0], {}, "float32", 1, lambda: [np.ones(ELEMENTS, "float32")])
    for side in SIDES:
        for precision in PRECISIONS:
            yield _product(side, precision)


def _product(side: int, precision: str) -> Work:
    narrow = precision == BFLOAT16
    a, b = (input(name, (side, side), BFLOAT16 if narrow else FLOAT32) for name in "ab")

    def arrays() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        found = [rng.random((side, side), dtype="float32") - 0.5 for _ in range(2)]
        return [to_bfloat16(x) for x in found] if narrow else found

    return Work(f"product {side} {precision}", [a, b], [a @ b], {}, precision, side, arrays)


def rate(name: str, ms: float) -> dict[str, Any]:
    """What a program of that name reaches, in its unit."""
    if name == "copy":
        return {"what": "copy", "unit": "GB/s", "value": 2 * 4 * ELEMENTS / ms / 1e6}
    side = int(name.split()[1])
    return {"what": name, "unit": "TFLOP/s", "value": 2 * side**3 / ms / 1e9}


def run(case: str, say: Callable[[dict[str, Any]], None]) -> None:
    """A row for each program and framework."""
    for work in programs(case):
        program, arrays = work.compiled(), work.arrays()
        with turn.alone():
            found = milliseconds(program, arrays)
        say({**rate(work.name, found["ms"]), "by": "kernelwright"})
    if find_spec("torch") is not None:
        from .in_torch import ceilings

        for name, ms in ceilings(ELEMENTS, SIDES, PRECISIONS):
            say({**rate(name, ms), "by": "torch"})
