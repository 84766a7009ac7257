"""Every op's samples with their gradients, in float32, an op's together as one program. Leans on the table of ops."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from ...compiler import dtypes
from ...compiler.graph.autodiff import grad
from ...compiler.graph.ops import OPS
from ...compiler.graph.ops.registry import Op, Sample
from ...compiler.graph.tensor import Tensor, apply, input
from ...compiler.shapes import value
from .work import Work

SHARES = 4
"""So many cases have the ops among them."""
AWAY = 0.05
"""How far values stay from points where a function jumps."""


def programs(share: str) -> Iterator[Work]:
    """The ops of one share, numbered from 0."""
    sampled = [op for op in OPS.values() if any(_possible(sample) for sample in op.samples)]
    yield from (_program(op) for op in sampled[int(share) :: SHARES])


def _possible(sample: Sample) -> bool:
    return dtypes.BFLOAT16 not in (sample.dtypes or ())


def _program(op: Op) -> Work:
    rng = np.random.default_rng(zlib.crc32(op.name.encode()))
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    arrays: list[np.ndarray] = []
    for n, sample in enumerate(s for s in op.samples if _possible(s)):
        values = [_draw(sample, i, rng) for i in range(len(sample.shapes))]
        given = [input(f"x{n}_{i}", v.shape, v.dtype.name) for i, v in enumerate(values)]
        y = apply(op.name, given, **sample.attrs)
        if y.dtype == dtypes.BFLOAT16:
            continue
        floats = [x for x in given if x.dtype == dtypes.FLOAT32]
        outputs.append(y)
        if op.vjp is not None and not op.zero_gradient and floats and y.dtype == dtypes.FLOAT32:
            g = input(f"g{n}", y.shape)
            outputs += grad((y * g).sum(), floats)
            given.append(g)
            values.append(rng.normal(size=[value(d, {}) for d in y.shape]).astype("float32"))
        inputs += given
        arrays += values
    return Work(f"op {op.name}", inputs, outputs, {}, dtypes.FLOAT32, 1, lambda: arrays)


def _draw(sample: Sample, i: int, rng: np.random.Generator) -> np.ndarray:
    """A value for the sample's input of that number."""
    shape = sample.shapes[i]
    kind = (sample.dtypes[i] if sample.dtypes else None) or dtypes.FLOAT32
    if kind == "bool":
        return rng.random(shape) < 0.5
    if kind not in (dtypes.FLOAT32, dtypes.FLOAT64):
        return rng.integers(0, sample.high, size=shape).astype(kind)
    found = rng.uniform(*sample.domain, size=shape)
    for point in sample.away_from:
        found = np.where(np.abs(found - point) < AWAY, found + 2 * AWAY, found)
    return np.asarray(found, kind)
