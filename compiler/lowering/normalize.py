"""Kernels in a form that schedules can see through: axes taken apart where indices divide by constants.

A reshape between a convolution and a dense layer reads `x[f // 25, f % 25 // 5, f % 5]`; with f split into
three axes the index is affine again and the contraction fits a register tile. Leans on `loops`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from ..loops import expressions as loops
from ..loops.expressions import Axis, Expr, Index
from ..loops.kernels import Kernel, Store


def normalize(kernel: Kernel) -> Kernel:
    """The kernel with every axis split at the divisors its indices use, where they form a mixed radix."""
    divisors: dict[Axis, set[int]] = {}
    kernel = _without_single_trips(kernel)
    for index in _indices(kernel):
        _collect(index, divisors)
    table: dict[Axis, Index] = {}
    parts: dict[Axis, tuple[Axis, ...]] = {}
    for axis, found in divisors.items():
        radices, extent = sorted(found), axis.extent
        if isinstance(extent, int) and all(b % a == 0 for a, b in pairwise([*radices, extent])):
            parts[axis], table[axis] = _split(axis, radices)
    if not table:
        return kernel
    axes = tuple(p for a in kernel.axes for p in parts.get(a, (a,)))
    stores = tuple(
        Store(s.buffer, tuple(i.substitute(table) for i in s.index), _rewrite(s.value, table, parts))
        for s in kernel.stores
    )
    return Kernel(kernel.name, axes, stores, kernel.nodes, kernel.reasons, loop=kernel.loop)


def _without_single_trips(kernel: Kernel) -> Kernel:
    """The kernel without reductions over axes of one place, as the window of a 1x1 convolution has."""
    single = {a for e in kernel.expressions if e.kind == "reduce" for a in e.data[1] if a.extent == 1}
    if not single:
        return kernel

    def change(e: Expr) -> Expr:
        if e.kind == "reduce" and e.data[0] != "argmax" and single & set(e.data[1]):
            return loops.reduction(e.data[0], [a for a in e.data[1] if a not in single], e.args[0], e.dtype)
        return e

    kept = {a for e in kernel.expressions if e.kind == "reduce" and e.data[0] == "argmax" for a in e.data[1]}
    table = {a: Index() for a in single - kept}
    stores = tuple(
        Store(s.buffer, s.index, loops.substitute(loops.transform(s.value, change), table)) for s in kernel.stores
    )
    return Kernel(kernel.name, kernel.axes, stores, kernel.nodes, kernel.reasons, loop=kernel.loop)


def _indices(kernel: Kernel) -> Iterable[Index]:
    for s in kernel.stores:
        yield from s.index
    for e in kernel.expressions:
        yield from loops.indices(e)


def _collect(index: Index, divisors: dict[Axis, set[int]]) -> None:
    """Divisors of divisions and remainders of a single axis, however nested."""
    for atom, _ in index.terms:
        if isinstance(atom, (loops.Div, loops.Mod)):
            inner = atom.index
            scale = 1
            while len(inner.terms) == 1 and inner.const == 0 and isinstance(inner.terms[0][0], (loops.Div, loops.Mod)):
                wrapped = inner.terms[0][0]
                assert isinstance(wrapped, (loops.Div, loops.Mod))
                if isinstance(wrapped, loops.Div) and isinstance(wrapped.by, int):
                    scale *= wrapped.by
                inner = wrapped.index
            if (
                len(inner.terms) == 1
                and inner.terms[0][1] == 1
                and inner.const == 0
                and isinstance(inner.terms[0][0], Axis)
                and isinstance(atom.by, int)
            ):
                divisors.setdefault(inner.terms[0][0], set()).add(atom.by * scale)
            _collect(atom.index, divisors)


def _split(axis: Axis, radices: Sequence[int]) -> tuple[tuple[Axis, ...], Index]:
    """(new axes, outermost first; the old axis in terms of them)."""
    new: list[Axis] = []
    place = Index()
    bounds = [1, *radices, axis.extent]
    for low, high in pairwise(bounds):
        assert isinstance(low, int) and isinstance(high, int)
        part = Axis(high // low, axis.hint)
        new.append(part)
        place = loops.at(part) * low + place
    return tuple(reversed(new)), place


def _rewrite(root: Expr, table: dict[Axis, Index], parts: dict[Axis, tuple[Axis, ...]]) -> Expr:
    substituted = loops.substitute(root, table)

    def change(e: Expr) -> Expr:
        if e.kind == "reduce" and any(a in parts for a in e.data[1]):
            kind, axes = e.data
            return loops.reduction(kind, [p for a in axes for p in parts.get(a, (a,))], e.args[0], e.dtype)
        return e

    return loops.transform(substituted, change)
