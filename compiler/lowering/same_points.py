"""Small kernels over the same channels in one kernel, each launch of which would cost more than what it does.

A batch normalisation ends its sums, makes of them a factor and a shift, and its gradient likewise: a number for each
channel. A kernel over one axis joins an earlier one over an axis as long where all that it needs is there by then; what
it reads of that kernel's results must be the point's own, and is then in a register. Leans on `kernels`; a pure
function from kernels to kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import dtypes
from ..loops import expressions as loops
from ..loops.expressions import Axis, Expr, Index
from ..loops.kernels import Buffer, Kernel, Store
from ..loops.products import contraction
from ..shapes import nominal

MOST_STORES = 8
SMALL = 1 << 20
"""Bytes that a kernel moves, beside which its launch is what it costs."""


def same_points(kernels: Sequence[Kernel]) -> list[Kernel]:
    """The kernels, in which small ones have joined those before them that run through the same points."""
    made: list[Kernel] = []
    writer: dict[Buffer, int] = {}
    hosts: dict[object, list[int]] = {}
    for kernel in kernels:
        ready = max((writer.get(b.memory, -1) for b in kernel.reads()), default=-1)
        axis = _channels(kernel)
        near = [i for i in hosts.get(axis and axis.extent, ()) if i >= ready] if axis else []
        joined = next(((i, both) for i in near if (both := _joined(made[i], kernel)) is not None), None)
        if joined is None:
            joined = len(made), kernel
            made.append(kernel)
            if axis is not None:
                hosts.setdefault(axis.extent, []).append(len(made) - 1)
        i, made[joined[0]] = joined
        writer |= dict.fromkeys((b.memory for b in kernel.writes()), i)
    return made


def _channels(kernel: Kernel) -> Axis | None:
    """The one axis of a small kernel's results, all of which are temporaries; None where it is no such kernel."""
    axes = [x for x in kernel.axes if x.extent != 1]
    plain = all(s.buffer.kind == "temp" and not s.buffer.fixed for s in kernel.stores)
    if len(axes) != 1 or not plain or nominal(kernel.bytes()) > SMALL or kernel.fact(contraction) is not None:
        return None
    return axes[0]


def _joined(host: Kernel, guest: Kernel) -> Kernel | None:
    """Both kernels as one; None where the guest reads other points of what the host makes."""
    mine, theirs = _channels(host), _channels(guest)
    if mine is None or theirs is None or host.loop is not guest.loop:
        return None
    if len(host.stores) + len(guest.stores) > MOST_STORES:
        return None
    table = {x: loops.at(mine) if x is theirs else Index() for x in guest.axes}
    values = {(s.buffer, s.index): s.value for s in host.stores if s.buffer.dtype != dtypes.BFLOAT16}

    def known(e: Expr) -> Expr:
        return values.get((e.data[0], tuple(e.data[1])), e) if e.kind == "load" else e

    terms = tuple(dict.fromkeys(e.data[1] for e in host.expressions if e.kind == "reduce"))
    moved = [loops.transform(_moved(s.value, table, terms), known) for s in guest.stores]
    stores = tuple(
        Store(s.buffer, tuple(i.substitute(table) for i in s.index), value) for s, value in zip(guest.stores, moved)
    )
    reasons = tuple(dict.fromkeys((*host.reasons, *guest.reasons, "the same few points: one launch")))
    nodes = tuple(dict.fromkeys((*host.nodes, *guest.nodes)))
    both = Kernel(host.name, host.axes, (*host.stores, *stores), nodes, reasons, loop=host.loop)
    return both if set(both.reads()).isdisjoint(host.writes()) else None


def _moved(value: Expr, table: Mapping[Axis, Index], terms: Sequence[tuple[Axis, ...]]) -> Expr:
    """A guest's value at the host's points, its reductions over axes of the host's where those are as long: in one loop
    then."""

    def change(e: Expr) -> Expr:
        if e.kind != "reduce":
            return e
        kind, axes = e.data
        mine = next((t for t in terms if [x.extent for x in t] == [x.extent for x in axes]), axes)
        moved = loops.substitute(e.args[0], {x: loops.at(y) for x, y in zip(axes, mine)})
        return loops.reduction(kind, mine, moved, e.dtype)

    return loops.transform(loops.substitute(value, table), change)
