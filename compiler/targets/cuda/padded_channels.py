"""Convolutions of few channels over channels padded with zeros, so that a pixel's channels are copied in one piece.

An operand comes to a tile in shared memory by copies of 4, 8 or 16 bytes, which begin on a boundary of as many. Three
channels lie so in no order of axes: a thread would load and store each element. With a fourth, of zeros, a pixel of
float32 is one copy of 16 bytes and one of bfloat16 a copy of 8. The copy of the images is made by the kernel that casts
or computes them, else by one of its own, and pays since windows read every pixel many times; of the weights, and of
their gradient, what is padded is small.

Half a piece of 16 bytes is a pixel of four channels of bfloat16. Where the stride goes by whole pieces, a row of the
window is one run of them: images that hold their padding leave no condition inside it, and one more tap of zeros makes
it whole. Hopper's warpgroups take such operands. Seven taps of four channels are then 32 terms, where eight channels
would be 56. Leans on `contract` and `rewrite`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from ... import dtypes
from ...graph.ops.contract import Access, Spec
from ...graph.tensor import Tensor, apply
from ...rewriting.rewrite import Any_, Report, Rule, Table, op, rewrite
from ...shapes import Dim, Shape, nominal
from .panels import COPY
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

ROLE = "padded_channels"
SMALL = 16
"""A result with so many times fewer elements than the images costs nothing to cut."""


def padded_channels(outputs: Sequence[Tensor], precision: str) -> tuple[list[Tensor], Report]:
    """The outputs with every convolution of few channels, and every gradient of one, over channels padded with zeros
    where tensor cores multiply it in `precision`."""
    padded = Rule("channels of convolutions padded", _CONTRACTION, partial(_padded, precision))
    return rewrite(outputs, Table("padded channels", [padded, _CAST_FIRST]))


def _padded(precision: str, node: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    """The contraction over padded channels, its result without them; None where there are none, or too little work."""
    spec: Spec = node.attrs.spec
    if not _on_tensor_cores(node, precision) or _batched(spec) or _count(spec.extents) < LEAST_PRODUCTS:
        return None
    images = next((k for k in range(2) if _windows(spec, spec.operands[k], node.inputs[k].shape)), None)
    wider = {} if images is None else _channels(spec, node, images)
    if images is None or not wider:
        return None
    taps, around = _in_one_run(spec, node, images, max(wider.values()) * dtypes.ITEMSIZE[node.dtype])
    wider |= taps
    operands, accesses = [x, y], list(spec.operands)
    operands[1 - images] = _with_zeros(operands[1 - images], accesses[1 - images], wider, {})
    operands[images] = _with_zeros(operands[images], accesses[images], wider, around)
    accesses[images] = tuple(
        replace(access, offset=access.offset + around[d][0]) if d in around else access
        for d, access in enumerate(accesses[images])
    )
    extents = tuple(wider.get(a, e) for a, e in enumerate(spec.extents))
    n = len(spec.out)
    result = apply("contract", tuple(operands), spec=Spec(extents[:n], extents[n:], tuple(accesses)))
    if result.shape == node.shape:
        return result
    return apply("slice", (result,), starts=(0,) * n, sizes=node.shape, steps=(1,) * n, role=ROLE)


def _cast_first(node: Tensor, x: Tensor) -> Tensor | None:
    """The cast of a result that was cut, as the cut of the cast: the product's own kernel casts its sums, which are
    float32, where it would round them to bfloat16 for another to cast."""
    shape = node.shape
    cut = x if x.op.name == "slice" else x.inputs[0] if x.op.name == "reshape" else None
    if cut is None or getattr(cut.attrs, "role", None) != ROLE:
        return None
    a = cut.attrs
    cast = apply("cast", cut.inputs, dtype=node.dtype, stored=True)
    return apply("slice", (cast,), starts=a.starts, sizes=a.sizes, steps=a.steps, role=ROLE).reshape(*shape)


def _on_tensor_cores(node: Tensor, precision: str) -> bool:
    return node.dtype == dtypes.BFLOAT16 or (node.dtype == dtypes.FLOAT32 and precision in TERMS)


def _batched(spec: Spec) -> bool:
    """Is there a product for each place of an axis, as in convolutions by groups? Such tiles are narrow."""
    a, b = map(_axes, spec.operands)
    return any(x < len(spec.out) and spec.out[x] != 1 for x in a & b)


def _channels(spec: Spec, node: Tensor, images: int) -> dict[int, int]:
    """Axes of channels, and the extents that they are to have."""
    found: dict[int, int] = {}
    for axis in (access.plain for access in spec.operands[images] if access.plain is not None):
        e = spec.extents[axis]
        to = WIDER[node.dtype].get(e) if isinstance(e, int) else None
        if to is not None and _only_plain(spec, axis) and _may_grow(spec, node, images, axis):
            found[axis] = to
    return found


def _may_grow(spec: Spec, node: Tensor, images: int, axis: int) -> bool:
    """Is an axis of the images summed over with one of the weights, or an axis of a small result?"""
    weights = spec.operands[1 - images]
    if axis >= len(spec.out):
        return any(access.plain == axis for access in weights)
    return axis not in _axes(weights) and SMALL * _count(node.shape) <= _count(node.inputs[images].shape)


def _in_one_run(spec: Spec, node: Tensor, images: int, pixel: int) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """(more taps along the last axis, zeros around the images by dimension) with which a row of a window is one run of
    whole pieces of `COPY` bytes: where strides go from one such piece to another, and a pixel is a part of one. Images
    that hold their padding leave no condition that would divide the run."""
    each = COPY // pixel
    slides = {d: _slide(a) for d, a in enumerate(spec.operands[images]) if len(a.terms) > 1}
    taps: dict[int, int] = {}
    around: dict[int, tuple[int, int]] = {}
    for d, slide in slides.items():
        size = node.inputs[images].shape[d]
        if slide is None or each < 2:
            return {}, {}
        (place, step), tap, before = slide
        places, window = spec.extents[place], spec.extents[tap]
        if not (isinstance(places, int) and isinstance(window, int) and isinstance(size, int)):
            return {}, {}
        if d == max(slides):
            if step % each or not _may_grow(spec, node, images, tap):
                return {}, {}
            window += -window % each
            taps[tap] = window
        held = max(step * (places - 1) + window, before + size)
        around[d] = (before, held + -held % each - before - size)
    return taps, around


def _slide(access: Access) -> tuple[tuple[int, int], int, int] | None:
    """((axis of places, stride), axis of taps, padding before) of a strided window without gaps; None for others."""
    (tap, one), place = sorted(access.terms, key=lambda term: term[1])[0], max(access.terms, key=lambda term: term[1])
    if len(access.terms) != 2 or one != 1 or place[1] < 2 or access.div != 1 or access.offset > 0:
        return None
    return place, tap, -access.offset


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


def _with_zeros(
    x: Tensor, accesses: Sequence[Access], wider: Mapping[int, int], around: Mapping[int, tuple[int, int]]
) -> Tensor:
    """x in memory with zeros `around` it, and at the end of its axes that are to be wider."""
    low = tuple(around[d][0] if d in around else 0 for d in range(x.rank))
    high = tuple(
        around[d][1] if d in around else (size if a.plain is None else wider.get(a.plain, size)) - size
        for d, (a, size) in enumerate(zip(accesses, x.shape))
    )
    if not any(low + high):
        return x
    none = (0,) * x.rank
    return apply("pad", (x,), low=low, high=high, interior=none, value=0.0, stored=True, role=ROLE)


_CONTRACTION = op("contract", Any_("x"), Any_("y"), bind="node")
_CAST = op("cast", Any_("x"), bind="node")
_CAST_FIRST = Rule("cast before the result is cut", _CAST, lambda node, x: _cast_first(node, x))
