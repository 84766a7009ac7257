"""Convolutions of few channels over channels padded with zeros, so that a pixel's channels are copied in one piece.

An operand comes to a tile in shared memory by copies of 4, 8 or 16 bytes, which begin on a boundary of as many. Three
channels lie so in no order of axes: a thread would load and store each element. With a fourth, of zeros, a pixel of
float32 is one copy of 16 bytes and one of bfloat16 a copy of 8. The copy of the images is made by the kernel that casts
or computes them, else by one of its own, and pays since windows read every pixel many times; of the weights, and of
their gradient, what is padded is small. Leans on `contract` and `rewrite`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from ... import dtypes
from ...graph.ops.contract import Access, Spec
from ...graph.tensor import Tensor, apply
from ...rewriting.rewrite import Any_, Report, Rule, Table, op, rewrite
from ...shapes import Dim, Shape, nominal
from .tensor_cores import TERMS

WIDER: dict[str, Mapping[int, int]] = {
    dtypes.FLOAT32: {3: 4, 5: 8, 7: 8},
    dtypes.BFLOAT16: {1: 2, 3: 4, 5: 8, 6: 8, 7: 8},
}
"""Channels, and to how many they are padded: where at most half as many copies bring a pixel. One channel of float32 is
a copy of 4 bytes as it is, of bfloat16 two are: more zeros would be multiplied and moved for no fewer copies."""

READS = 4
"""How often windows read an element, so that a copy of it pays."""

LEAST_PRODUCTS = 1 << 22
"""Multiply-adds that take as long as the start of a kernel that copies."""

SMALL = 16
"""A result with so many times fewer elements than the images costs nothing to cut."""


def padded_channels(outputs: Sequence[Tensor], precision: str) -> tuple[list[Tensor], Report]:
    """The outputs with every convolution of few channels, and every gradient of one, over channels padded with zeros
    where tensor cores multiply it in `precision`."""
    build = partial(_padded, precision)
    return rewrite(outputs, Table("padded channels", [Rule("channels of convolutions padded", _CONTRACTION, build)]))


def _padded(precision: str, node: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    """The contraction over padded channels, its result without them; None where there are none, or too little work."""
    spec: Spec = node.attrs.spec
    if not _on_tensor_cores(node, precision) or _batched(spec) or _count(spec.extents) < LEAST_PRODUCTS:
        return None
    wider = _wider(spec, node)
    if not wider:
        return None
    extents = tuple(wider.get(a, e) for a, e in enumerate(spec.extents))
    n = len(spec.out)
    operands = tuple(
        _with_zeros(t, tuple(d if a.plain is None else wider.get(a.plain, d) for a, d in zip(accesses, t.shape)))
        for t, accesses in zip((x, y), spec.operands)
    )
    result = apply("contract", operands, spec=Spec(extents[:n], extents[n:], spec.operands))
    if result.shape == node.shape:
        return result
    return apply("slice", (result,), starts=(0,) * n, sizes=node.shape, steps=(1,) * n)


def _on_tensor_cores(node: Tensor, precision: str) -> bool:
    return node.dtype == dtypes.BFLOAT16 or (node.dtype == dtypes.FLOAT32 and precision in TERMS)


def _batched(spec: Spec) -> bool:
    """Is there a product for each place of an axis, as in convolutions by groups? Such tiles are narrow."""
    a, b = map(_axes, spec.operands)
    return any(x < len(spec.out) and spec.out[x] != 1 for x in a & b)


def _wider(spec: Spec, node: Tensor) -> dict[int, int]:
    """Axes of channels, and the extents that they are to have: of the images that windows read, summed over with those
    of the weights, or an axis of a small result."""
    a, b = map(_axes, spec.operands)
    found: dict[int, int] = {}
    for accesses, t, others in zip(spec.operands, node.inputs, (b, a)):
        if not _windows(spec, accesses, t.shape):
            continue
        for axis in (access.plain for access in accesses if access.plain is not None):
            e = spec.extents[axis]
            to = WIDER[node.dtype].get(e) if isinstance(e, int) else None
            summed = axis >= len(spec.out) and axis in others
            kept = axis < len(spec.out) and axis not in others and SMALL * _count(node.shape) <= _count(t.shape)
            if to is not None and (summed or kept) and _only_plain(spec, axis):
                found[axis] = to
    return found


def _windows(spec: Spec, accesses: Sequence[Access], shape: Shape) -> bool:
    """Do overlapping windows read each element often?"""
    if all(len(access.terms) < 2 for access in accesses):
        return False
    read = _count([spec.extents[a] for a in _axes(accesses)]) / math.prod(access.div for access in accesses)
    return read >= READS * _count(shape)


def _only_plain(spec: Spec, axis: int) -> bool:
    """Is the axis nowhere part of a window?"""
    return all(x.plain == axis for accesses in spec.operands for x in accesses if axis in dict(x.terms))


def _axes(accesses: Sequence[Access]) -> set[int]:
    return {a for access in accesses for a, _ in access.terms}


def _count(shape: Sequence[Dim]) -> int:
    return math.prod(map(nominal, shape))


def _with_zeros(x: Tensor, shape: Shape) -> Tensor:
    """x with zeros at the end of its axes up to a shape, in memory."""
    high = tuple(to - d for to, d in zip(shape, x.shape))
    if not any(high):
        return x
    none = (0,) * x.rank
    return apply("pad", (x,), low=none, high=high, interior=none, value=0.0, stored=True, role="padded_channels")


_CONTRACTION = op("contract", Any_("x"), Any_("y"), bind="node")
