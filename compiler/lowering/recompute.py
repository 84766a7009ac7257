"""Values that are cheaper to compute again in every kernel that reads them than to store once and load.

Fusion stores an elementwise result that has several readers. Where all of them stream over its elements anyway, each
can compute it from what it was made of: a normalised activation from the convolution's result and three numbers a
channel. The decision weighs the bytes that no longer move against those that more readers load and the arithmetic done
again; it does not depend on layout. Operands of contractions stay stored. Where the target asks for it, a value may
reduce short rows, as the exponentials of a softmax do, if its readers run through the same rows. Leans on `kernels`
and `loops`; a pure function from kernels to kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .. import dtypes
from ..loops import expressions as loops
from ..loops.definition import called
from ..loops.expressions import Axis, Expr
from ..loops.kernels import Buffer, Kernel, Store
from ..loops.products import contraction
from ..shapes import nominal, product
from .fuse import MAX_ROW

MAX_CALLS = 48
MAX_BUFFERS = 14
STATE_BYTES = 64 << 10
"""Of greater variables no reader is added: their update in place would have to wait for it, or go through a copy."""


@dataclass(frozen=True)
class Prices:
    """What a target reads from where: bytes that its second and the last cache hold, and bytes per cycle from either,
    and from main memory. launch: cycles of a kernel's start and of the threads' meeting after it. flop: cycles per
    element and operation. load: cycles per element and load of what was loaded before. write: what a byte that is
    written costs beside one that is read."""

    second: int
    last: int
    from_second: float
    from_last: float
    from_main: float
    launch: float
    flop: float
    load: float
    write: float

    def cycles(self, size: int) -> float:
        """Cycles to read so many bytes from where they will be."""
        near, far = size <= self.second, size <= self.last
        return size / (self.from_second if near else self.from_last if far else self.from_main)


@dataclass(frozen=True)
class Producer:
    """An elementwise kernel with one result, which only kernels of this program read: `value` at the places `axes`."""

    kernel: Kernel
    buffer: Buffer
    axes: tuple[Axis | None, ...]
    value: Expr

    @property
    def rows(self) -> set[Axis]:
        """The axes whose points have a row each, along which the value reduces; empty where it reduces nothing."""
        return {x for r in _reductions(self.value) for x in r.axes}

    def at(self, index: Sequence[loops.Index]) -> Expr:
        """The value at an element of the buffer."""
        return loops.substitute(self.value, {x: i for x, i in zip(self.axes, index) if x is not None})


def recompute(kernels: Sequence[Kernel], prices: Prices, by_rows: bool = False) -> list[Kernel]:
    """The kernels, without those whose result all their readers now compute themselves. prices: the target's. by_rows:
    does it compute a reduction along a row once, before the loop along the row that reads it?"""
    current: dict[int, Kernel] = dict(enumerate(kernels))
    readers: dict[Buffer, list[int]] = {}
    for i, k in current.items():
        for b in k.reads():
            readers.setdefault(b, []).append(i)
    for i in list(current):
        made = producer(current[i], by_rows)
        if made is None:
            continue
        users = [j for j in readers.get(made.buffer, []) if j in current]
        if any(current[j].loop is not made.kernel.loop for j in users):
            continue  # computed once before a loop, not at each turn
        changed = _absorbed(made, [current[j] for j in users], prices, by_rows)
        if changed is None:
            continue
        del current[i]
        for j, kernel in zip(users, changed):
            current[j] = kernel
            for b in made.kernel.reads():
                if j not in readers[b]:
                    readers[b].append(j)
    return list(current.values())


def producer(kernel: Kernel, by_rows: bool = False) -> Producer | None:
    """The kernel as a producer that could be computed elsewhere; None where it is none. by_rows: may it reduce rows?"""
    if len(kernel.stores) != 1 or kernel.stores[0].buffer.kind != "temp" or not kernel.nodes:
        return None
    store = kernel.stores[0]
    if store.buffer.fixed:  # a loop walks along it
        return None
    axes = tuple(single(i) for i in store.index)
    if {x for x in axes if x is not None} != set(kernel.axes) or any(
        x is None and d != 1 for x, d in zip(axes, store.buffer.shape)
    ):
        return None
    calls = 0
    for e in kernel.expressions:
        plain = all(isinstance(a, Axis) for i in loops.indices(e) for a, _ in i.terms)
        once = e.kind == "call" and called(e.data).once
        if e.kind == "guard" or once or not plain or (e.kind == "reduce" and not (by_rows and _of_a_row(e, store))):
            return None
        calls += e.kind == "call"
    grown = any(b.kind == "state" and size(b) > STATE_BYTES for b in kernel.reads())
    return None if grown or calls > MAX_CALLS else Producer(kernel, store.buffer, axes, store.value)


def single(index: loops.Index) -> Axis | None:
    """The axis that is this index."""
    if len(index.terms) == 1 and index.const == 0 and index.terms[0][1] == 1 and isinstance(index.terms[0][0], Axis):
        return index.terms[0][0]
    return None


def _of_a_row(e: Expr, store: Store) -> bool:
    """Is the reduction e along a short row of what is stored, whose elements lie along the last axis?"""
    kind, axes = e.data
    length = product(x.extent for x in axes)
    along = next((i.axes for i in reversed(store.index) if i.axes), frozenset())
    short = isinstance(length, int) and length <= MAX_ROW
    return kind != "argmax" and e is not store.value and short and along.isdisjoint(e.axes)


def _reductions(value: Expr) -> list[Expr]:
    return [e for e in loops.postorder([value]) if e.kind == "reduce"]


def _absorbed(made: Producer, users: Sequence[Kernel], prices: Prices, by_rows: bool) -> list[Kernel] | None:
    """The readers with the value computed inside, None where storing it is cheaper or a reader cannot take it."""

    def stream(b: Buffer) -> float:
        return prices.cycles(size(b))

    saved = prices.launch + stream(made.buffer) * (prices.write + len(users)) + sum(map(stream, made.kernel.reads()))
    work, again = prices.flop * operations(made.value), prices.load * len(made.kernel.loads)
    lost = -work * points(made.kernel.axes)
    lost += (len(users) - 1) * sum(prices.flop * points({*r.axes, *r.data[1]}) for r in _reductions(made.value))
    for k in users:
        lost += sum(stream(b) for b in made.kernel.reads() if b not in k.reads())
        for load, scope in sites(k, made.buffer, by_rows):
            if scope is None or not _has_rows(k, made, load):
                return None
            lost += work * points(scope) + again * max(points(scope) - points(made.kernel.axes), 0)
    if not users or lost >= saved:
        return None
    changed = [absorb(k, made, f"cheaper to compute again in {_number(len(users))} than to store") for k in users]
    return changed if all(_small(k) and made.buffer not in k.reads() for k in changed) else None


def _has_rows(kernel: Kernel, made: Producer, load: Expr) -> bool:
    """Does the kernel run through the rows that the producer reduces, outside of its own sums, where it loads them?"""
    rows = [single(i) for x, i in zip(made.axes, load.data[1]) if x in made.rows]
    through = len(set(rows)) == len(rows) and all(x in kernel.axes for x in rows)
    return not rows or (through and kernel.fact(contraction) is None)


def _number(readers: int) -> str:
    return "its reader" if readers == 1 else f"its {readers} readers"


def _small(kernel: Kernel) -> bool:
    calls = sum(e.kind == "call" for e in kernel.expressions)
    return calls <= MAX_CALLS and len({*kernel.reads(), *kernel.writes()}) <= MAX_BUFFERS


def absorb(kernel: Kernel, made: Producer, why: str) -> Kernel:
    """The kernel with every load of the producer's result computed in place."""

    def change(e: Expr) -> Expr:
        return made.at(e.data[1]) if e.kind == "load" and e.data[0] is made.buffer else e

    stores = tuple(Store(s.buffer, s.index, loops.transform(s.value, change)) for s in kernel.stores)
    nodes = tuple(dict.fromkeys([*made.kernel.nodes, *kernel.nodes]))
    known = set(kernel.nodes)
    kept = [n for n in made.kernel.nodes if n not in known and n.op.kind not in ("source", "movement")]
    reasons = tuple(f"{n.op.name}: {why}" for n in kept)
    return Kernel(kernel.name, kernel.axes, stores, nodes, (*reasons, *kernel.reasons), loop=kernel.loop)


def sites(kernel: Kernel, buffer: Buffer, by_rows: bool = False) -> list[tuple[Expr, set[Axis] | None]]:
    """Each load of the buffer, and the axes of the loops around it: None for the operand of a contraction, which reads
    each element many times. by_rows: as of `recompute`."""
    parts = kernel.fact(contraction)
    reused = parts is not None and any(not {*kernel.axes, *parts[0].data[1]} <= e.axes for e in parts[1:3])
    sums = [(r, set(loops.postorder(r.args))) for r in kernel.expressions if r.kind == "reduce"]
    outside = _outside_of_sums(kernel) if by_rows else set(kernel.expressions)
    found: list[tuple[Expr, set[Axis] | None]] = []
    for e in kernel.loads:
        if e.data[0] is not buffer:
            continue
        around = [r for r, below in sums if e in below]
        if reused and parts is not None and e in parts[1:3]:
            found.append((e, None))
        elif e in outside:
            found.append((e, {*kernel.axes, *(x for r in around for x in r.data[1])}))
        else:
            moving = [r for r in around if not e.axes.isdisjoint(r.data[1])]
            found.append((e, {*e.axes, *(x for r in moving for x in (*r.axes, *r.data[1]))}))
    return found


def _outside_of_sums(kernel: Kernel) -> set[Expr]:
    """The expressions that are computed at points of the kernel, whether sums read them too or not."""
    found: set[Expr] = set()
    waiting = list(kernel.values)
    while waiting:
        e = waiting.pop()
        if e not in found:
            found.add(e)
            waiting += e.args if e.kind != "reduce" else ()
    return found


def operations(value: Expr) -> float:
    """Operations per element for the calls in a value."""
    calls = [e.data for e in loops.postorder([value]) if e.kind == "call"]
    return float(sum(called(c).flops for c in calls))


def points(axes: Iterable[Axis]) -> float:
    return float(math.prod(nominal(x.extent) for x in axes))


def size(b: Buffer) -> int:
    """Bytes, with symbols at their nominal size."""
    return math.prod(nominal(d) for d in b.shape) * dtypes.ITEMSIZE[b.dtype]


__all__ = ["Prices", "Producer", "absorb", "operations", "points", "producer", "recompute", "single", "sites", "size"]
