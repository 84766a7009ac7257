"""Neighbouring axes that every tensor of a kernel runs through in one go, as one axis.

Under the orders that `layout` chose, the batch and both axes of an image often lie one after the other in all that a
kernel touches: then rows of a register tile may run over whole images, and plain loops are fewer. An axis that a
condition or a division looks at stays as it is. Leans on `loops`, whose addresses see through the substitution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from ..loops import expressions as loops
from ..loops.expressions import Axis, Expr, Index
from ..loops.kernels import Kernel, Store
from ..loops.one_run import bent, goes_on, steps
from ..shapes import product

Chains = tuple[tuple[Axis, ...], ...]

_tied_axes: WeakKeyDictionary[Kernel, set[Axis]] = WeakKeyDictionary()
_merged: WeakKeyDictionary[Kernel, dict[Chains, Kernel]] = WeakKeyDictionary()
"""What was found before: `layout` asks for the same kernel under many orders, of which few differ in what merges."""


def merged(kernel: Kernel) -> Kernel:
    """The kernel with such axes merged, under the present orders of its buffers."""
    places = [e.data[0].address(e.data[1]) for e in kernel.loads]
    places += [s.buffer.address(s.index) for s in kernel.stores]
    if kernel not in _tied_axes:
        _tied_axes[kernel] = _tied(kernel)
    tied = _tied_axes[kernel]
    chains = tuple(chain for axes in _spaces(kernel) for chain in _chains([a for a in axes if a not in tied], places))
    if not chains:
        return kernel
    known = _merged.setdefault(kernel, {})
    if chains not in known:
        known[chains] = _with_merged(kernel, chains)
    return known[chains]


def _with_merged(kernel: Kernel, chains: Chains) -> Kernel:
    """The kernel with each chain as one axis."""
    table: dict[Axis, Index] = {}
    groups: dict[Axis, tuple[Axis, ...]] = {}
    for chain in chains:
        whole = Axis(product(a.extent for a in chain), chain[-1].hint)
        groups |= {chain[0]: (whole,), **dict.fromkeys(chain[1:], ())}
        rest = loops.at(whole)
        for axis in reversed(chain[1:]):
            table[axis] = rest % axis.extent
            rest = rest // axis.extent
        table[chain[0]] = rest

    def change(e: Expr) -> Expr:
        if e.kind != "reduce":
            return e
        kind, axes = e.data
        return loops.reduction(kind, [n for a in axes for n in groups.get(a, (a,))], e.args[0], e.dtype)

    sums = any(e.kind == "reduce" for e in kernel.expressions)

    def value(e: Expr) -> Expr:
        moved = loops.substitute(e, table)
        return loops.transform(moved, change) if sums else moved

    stores = tuple(Store(s.buffer, tuple(i.substitute(table) for i in s.index), value(s.value)) for s in kernel.stores)
    axes = tuple(n for a in kernel.axes for n in groups.get(a, (a,)))
    return Kernel(kernel.name, axes, stores, kernel.nodes, kernel.reasons, loop=kernel.loop)


def _spaces(kernel: Kernel) -> Iterable[Sequence[Axis]]:
    """Sets of axes that loops together run over: those of the stores and those of each sum."""
    yield kernel.axes
    seen: set[Axis] = set()
    for e in kernel.expressions:
        if e.kind == "reduce" and e.data[0] != "argmax" and not seen & set(e.data[1]):
            seen.update(e.data[1])
            yield e.data[1]


def _tied(kernel: Kernel) -> set[Axis]:
    """Axes that stand anywhere but plainly in an address, or in several reductions that are not over the same axes."""
    tied: set[Axis] = set()
    summed: dict[Axis, tuple[bool, Sequence[Axis]]] = {}
    for e in kernel.expressions:
        if e.kind == "reduce":
            space = (e.data[0] == "argmax", e.data[1])
            tied |= {a for a in e.data[1] if summed.setdefault(a, space) != space}
        for index in loops.indices(e):
            if e.kind == "load":
                tied |= bent(index)
            else:
                tied |= index.axes
    for s in kernel.stores:
        for index in s.index:
            tied |= bent(index)
    return tied


def _chains(axes: Sequence[Axis], places: Sequence[Index]) -> list[tuple[Axis, ...]]:
    """Axes of which each goes on where the next one ends, outermost first."""
    moved = {a: steps(a, places) for a in axes}
    after: dict[Axis, Axis] = {}
    taken: set[Axis] = set()
    for a in axes:
        for b in axes:
            if a is b or b in taken or not any(moved[a]):
                continue
            if goes_on(moved[a], moved[b], b):
                after[a] = b
                taken.add(b)
                break
    chains = []
    for first in axes:
        if first in after and first not in taken:
            chain = [first]
            while chain[-1] in after:
                chain.append(after[chain[-1]])
            chains.append(tuple(chain))
    return chains
