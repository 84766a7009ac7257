"""Products, convolutions with both gradients, and reductions of sizes that get every schedule, on small integers: all
precisions hold these and their sums exactly. Leans on `work`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...compiler.graph.autodiff import grad
from ...compiler.graph.ops.contract import conv
from ...compiler.graph.ops.reduce import argmax
from ...compiler.graph.tensor import Tensor, input
from ...compiler.shapes import value
from .parts import PRECISIONS
from .work import Work

PRODUCTS = (
    *((1, 1, 1), (5, 3, 7), (70, 37, 136), (257, 130, 66)),
    *((16, 900, 1000), (33, 5000, 65), (512, 784, 512), (4000, 64, 1000)),
)
"""Rows, terms, columns."""
CONVOLUTIONS = (
    ((2, 48, 9, 10), (96, 48, 3, 3), {"stride": 1, "pad": 1}),
    ((2, 48, 9, 10), (96, 48, 3, 3), {"stride": 2, "pad": 1}),
    ((8, 64, 28, 28), (128, 64, 1, 1), {"stride": 2}),
    ((4, 3, 32, 32), (64, 3, 7, 7), {"stride": 2, "pad": 3}),
    ((2, 32, 14, 14), (32, 16, 3, 3), {"pad": 2, "dilation": 2, "groups": 2}),
)
"""Shapes of images and of filters, and how."""
REDUCED = ((40, 1000), (1000, 40), (3, 100_000), (4096, 256), (257, 33))
"""Shapes whose rows and columns are reduced: by threads, warps, blocks, strips, and in parts."""


def contractions() -> Iterator[Work]:
    """Products, and convolutions with both gradients, in every precision."""
    for precision in PRECISIONS:
        for m, k, n in PRODUCTS:
            a, b = input("a", (m, k)), input("b", (k, n))
            yield _integers(f"product {m}x{k}x{n} {precision}", [a, b], [a @ b], precision)
        for images, filters, how in CONVOLUTIONS:
            x, w = input("x", images), input("w", filters)
            y = conv(x, w, **how)
            g = input("g", y.shape)
            name = f"convolution of {images} by {filters}, {how}, both gradients {precision}"
            yield _integers(name, [x, w, g], [y, *grad((y * g).sum(), [x, w])], precision)


def reductions() -> Iterator[Work]:
    """Sums and extremes over rows, columns and everything."""
    for shape in REDUCED:
        x = input("x", shape)
        outputs = [y for axis in (0, 1) for y in (x.sum(axis), x.max(axis), x.min(axis), argmax(x, axis))]
        yield _integers(f"reductions of {shape}", [x], [*outputs, x.sum(), x.max()], PRECISIONS[-1])


def _integers(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], precision: str) -> Work:
    def arrays() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        return [rng.integers(-4, 5, [value(d, {}) for d in x.shape]).astype("float32") for x in inputs]

    return Work(name, inputs, outputs, {}, precision, 1, arrays)
