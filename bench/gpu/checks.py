"""The part `checks`: products, a convolution and both its gradients in every precision, on small integers, which all
precisions hold exactly, against NumPy's reference. Leans on `work`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...compiler.graph.autodiff import grad
from ...compiler.graph.ops.contract import conv
from ...compiler.graph.reference import evaluate
from ...compiler.graph.tensor import Tensor, input
from ...compiler.shapes import value
from .parts import PRECISIONS
from .work import Work

PRODUCTS = ((70, 37, 136), (257, 130, 66))
IMAGES = ((2, 48, 9, 10), 2)
"""Images and filters per channel."""


def programs(case: str) -> Iterator[Work]:
    """What `run` compiles."""
    for precision in PRECISIONS:
        for m, k, n in PRODUCTS:
            a, b = input("a", (m, k)), input("b", (k, n))
            yield _integers(f"product {m}x{k}x{n} {precision}", [a, b], [a @ b], precision)
        for stride in (1, 2):
            yield _convolution(stride, precision)


def _convolution(stride: int, precision: str) -> Work:
    shape, more = IMAGES
    x, w = input("x", shape), input("w", (shape[1] * more, shape[1], 3, 3))
    y = conv(x, w, stride=stride, pad=1)
    g = input("g", y.shape)
    name = f"convolution, stride {stride}, both gradients {precision}"
    return _integers(name, [x, w, g], [y, *grad((y * g).sum(), [x, w])], precision)


def _integers(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], precision: str) -> Work:
    def arrays() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        return [rng.integers(-4, 5, [value(d, {}) for d in x.shape]).astype("float32") for x in inputs]

    return Work(name, inputs, outputs, {}, precision, 1, arrays)


def run(case: str, say: Callable[[dict[str, Any]], None]) -> None:
    """A row for each program: are all results right, and are they the same in a second run?"""
    for work in programs(case):
        arrays = work.arrays()
        program = work.compiled()
        found, again = program.run(arrays), program.run(arrays)
        wanted = evaluate(work.outputs, dict(zip(work.inputs, arrays, strict=True)))
        error = max(float(np.abs(y - z).max()) for y, z in zip(found, wanted, strict=True))
        same = all(np.array_equal(y, z) for y, z in zip(found, again, strict=True))
        say({"what": work.name, "right": error == 0, "error": error, "same_again": same})
