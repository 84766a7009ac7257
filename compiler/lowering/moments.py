"""Mean and variance in one read: both sums in one loop, over the values less a shift that is near their mean.

A mean is a sum over a tensor, and a variance a second one that needs the first: a batch normalisation reads all of a
convolution's result twice. Of values less any constant c of their channel,

    d = x - c,    mean = c + sum(d) / n,    sum (x - mean)^2 = sum(d^2) - sum(d)^2 / n,

and both sums can be taken in one loop. The difference loses about as many digits as (mean - c)^2 exceeds the variance,
so c is the mean of a sample spread over all that is summed (Chan, Golub and LeVeque 1983, "Algorithms for computing the
sample variance", section 2: shifted data): of k values that have nothing to do with each other, (mean - c)^2 is about a
k-th of the variance. c is 0 where the sample's mean is not
finite, so that infinities and NaNs give what they would give in two loops. Leans on `kernels` and `recompute`; a pure
function from kernels to kernels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import dtypes
from ..loops import expressions as loops
from ..loops import formula as f
from ..loops.definition import called
from ..loops.expressions import Axis, Expr, Index
from ..loops.kernels import Buffer, Kernel, Store
from ..shapes import nominal, product
from .recompute import points, single

MANY = 1 << 16
"""Values that are read: of fewer, the second read comes out of a cache and costs less than the sample's kernel."""
LONG = 1 << 10
"""Terms of a sum: of fewer, a sample is too large a part."""
SAMPLE = 32
"""Values of a sample, about: a place of each is fetched from memory by itself."""
REASON = "mean and variance in one read: sums of values less a sample's mean, and of their squares"


@dataclass(frozen=True)
class Mean:
    """A kernel that stores `value`, the sum `total` divided by how many terms it has, in `store`'s buffer."""

    kernel: Kernel
    store: Store
    value: Expr
    total: Expr


@dataclass(frozen=True)
class Spread:
    """A kernel that sums the squares of what a mean is of, less that mean: `total`. at: its axes as the mean's."""

    kernel: Kernel
    total: Expr
    at: Mapping[Axis, Index]


def moments_in_one_read(kernels: Sequence[Kernel]) -> list[Kernel]:
    """The kernels, in which long sums of squares around a mean are taken where the mean is."""
    readers: dict[Buffer, list[Kernel]] = {}
    for kernel in kernels:
        for b in kernel.reads():
            readers.setdefault(b, []).append(kernel)
    made = {b for k in kernels for b in k.writes() if not b.lasting}
    changed: dict[Kernel, list[Kernel]] = {}
    for kernel in kernels:
        mean = _mean(kernel)
        if mean is None or kernel in changed:
            continue
        users = readers.get(mean.store.buffer, [])
        spread = next((s for k in users if k not in changed and (s := _spread(mean, k)) is not None), None)
        if spread is not None:
            changed[kernel], changed[spread.kernel] = _together(mean, spread, made)
    return [k for kernel in kernels for k in changed.get(kernel, [kernel])]


def _mean(kernel: Kernel) -> Mean | None:
    """The mean of many values that a kernel stores; None where it stores none, or sums something else too."""
    sums = [e for e in kernel.expressions if e.kind == "reduce"]
    total = sums[0] if len(sums) == 1 and sums[0].data[0] == "sum" else None
    if total is None or total.axes != set(kernel.axes) or not _long(total) or not _plain(total.args[0]):
        return None
    value = next((e for e in kernel.expressions if total in e.args), None)
    if (
        value is None
        or not _divided(value, total)
        or any(total in e.args for e in kernel.expressions if e is not value)
    ):
        return None
    stores = [s for s in kernel.stores if s.value is value and s.buffer.kind in ("temp", "output")]
    kept = [s for s in stores if s.buffer.dtype == total.dtype]
    stored_itself = any(s.value is total for s in kernel.stores)
    return Mean(kernel, kept[0], value, total) if kept and not stored_itself else None


def _long(total: Expr) -> bool:
    terms, results = points(total.data[1]), points(total.axes)
    return dtypes.is_float(total.dtype) and terms >= LONG and terms * results >= MANY


def _plain(x: Expr) -> bool:
    """Is it computed from elements by functions alone, at little cost?"""
    below = loops.postorder([x])
    return all(e.kind in ("load", "call", "const", "size") for e in below) and not any(
        called(e.data).once for e in below if e.kind == "call"
    )


def _divided(value: Expr, total: Expr) -> bool:
    """Is the value this sum divided by the number of its terms?"""
    if value.kind != "call" or len(value.args) != 2:
        return False
    first, by = value.args
    count = product(x.extent for x in total.data[1])
    if by.kind == "size":
        return value.data == "div" and first is total and bool(by.data == count)
    if by.kind != "const" or first is not total or not isinstance(count, int):
        return False
    number = float(loops.const_value(by))
    return number == count if value.data == "div" else value.data == "mul" and math.isclose(number * count, 1.0)


def _spread(mean: Mean, kernel: Kernel) -> Spread | None:
    """The sum of squares around this mean that a kernel takes; None where it takes none."""
    if kernel.loop is not mean.kernel.loop or kernel is mean.kernel:
        return None
    for e in kernel.expressions:
        if e.kind == "reduce" and e.data[0] == "sum" and (found := _deviation(e.args[0])) is not None:
            x, m = found
            at = _matched(mean.total.args[0], x)
            if (
                m.data[0] is mean.store.buffer
                and at.keys() >= {*e.axes, *e.data[1]}
                and {at[a] for a in e.data[1]} == set(map(loops.at, mean.total.data[1]))
                and loops.substitute(x, at) is mean.total.args[0]
                and tuple(i.substitute(at) for i in m.data[1]) == mean.store.index
            ):
                return Spread(kernel, e, at)
    return None


def _deviation(term: Expr) -> tuple[Expr, Expr] | None:
    """(x, the element of a mean) of `(x - mean) * (x - mean)`."""
    if term.kind != "call" or term.data != "mul" or term.args[0] is not term.args[1]:
        return None
    d = term.args[0]
    found = d.kind == "call" and d.data == "sub" and d.args[1].kind == "load"
    return (d.args[0], d.args[1]) if found else None


def _matched(host: Expr, guest: Expr) -> dict[Axis, Index]:
    """The host's axis for each of the guest's, by the places at which both read."""
    found: dict[Axis, Index] = {}
    for a, b in zip(loops.loads([host]), loops.loads([guest])):
        for i, j in zip(a.data[1], b.data[1]):
            x, y = single(i), single(j)
            if x is not None and y is not None and x.extent == y.extent:
                found.setdefault(y, i)
    return found


def _together(mean: Mean, spread: Spread, made: set[Buffer]) -> tuple[list[Kernel], list[Kernel]]:
    """(the sample's kernel and the one with both sums, what is left of the other). Where that reads nothing else that
    the program makes, all of it is in the first. made: what kernels write and others may read."""
    sample, shift = _sample(mean)
    x, axes, dtype = mean.total.args[0], mean.total.data[1], mean.total.dtype
    d = loops.call("sub", [x, shift], dtype)
    first = loops.reduction("sum", axes, d, dtype)
    second = loops.reduction("sum", axes, loops.call("mul", [d, d], dtype), dtype)
    center = loops.call("add", [shift, loops.rebuild(mean.value, (first, mean.value.args[1]))], dtype)
    count = loops.size_value(product(a.extent for a in axes), dtype)
    squares = f.expression(lambda s, t, n: f.maximum(t - s * (s / n), 0.0), (first, second, count))

    host, guest = mean.kernel, spread.kernel
    stores = [Store(s.buffer, s.index, _with(s.value, {mean.value: center})) for s in host.stores]
    mine = {a for a in guest.axes if a in spread.at} == set(guest.axes)
    known = {mean.store.buffer, *(e.data[0] for e in loops.loads([x]))}
    if mine and spread.total.axes == set(guest.axes) and all(b in known or b not in made for b in guest.reads()):
        centered = {loops.load(mean.store.buffer, mean.store.index, dtype): center}
        table = {a: spread.at[a] for a in guest.axes}
        for s in guest.stores:
            value = loops.substitute(_with(s.value, {spread.total: squares}), table)
            stores.append(Store(s.buffer, tuple(i.substitute(table) for i in s.index), _with(value, centered)))
        nodes = tuple(dict.fromkeys((*host.nodes, *guest.nodes)))
        reasons = tuple(dict.fromkeys((*host.reasons, *guest.reasons, REASON)))
        return [sample, Kernel(host.name, host.axes, tuple(stores), nodes, reasons, loop=host.loop)], []

    index = tuple(map(loops.at, host.axes))
    shape = tuple(a.extent for a in host.axes)
    kept = Buffer(f"{mean.store.buffer.name}_squares", shape, dtype, "temp", loop=mean.store.buffer.loop)
    stores.append(Store(kept, index, squares))
    back = {loops.at(a): loops.at(g) for g, i in spread.at.items() for a in i.axes}
    value = loops.load(kept, [back[i] for i in index], dtype)
    rest = tuple(Store(s.buffer, s.index, _with(s.value, {spread.total: value})) for s in guest.stores)
    both = Kernel(host.name, host.axes, tuple(stores), host.nodes, (*host.reasons, REASON), loop=host.loop)
    return [sample, both], [Kernel(guest.name, guest.axes, rest, guest.nodes, guest.reasons, loop=guest.loop)]


def _sample(mean: Mean) -> tuple[Kernel, Expr]:
    """(the kernel that stores the mean of a sample, an element of that). Of each axis that is summed the sample has
    about as many places, in steps of one length: from a border on only where its length may be anything at a run."""
    host, dtype = mean.kernel, mean.total.dtype
    summed = mean.total.data[1]
    places = round(SAMPLE ** (1 / len(summed)))
    taken: list[Axis] = []
    table: dict[Axis, Index] = {}
    for a in summed:
        known = isinstance(a.extent, int)
        step = max(-(-nominal(a.extent) // places) if known else math.isqrt(nominal(a.extent)), 1)
        first = step // 2 if known else 0
        taken.append(Axis((a.extent + (step - 1 - first)) // step, a.hint))
        table[a] = loops.at(taken[-1]) * step + first
    axes = {a: Axis(a.extent, a.hint) for a in host.axes}
    term = loops.substitute(mean.total.args[0], table | {a: loops.at(b) for a, b in axes.items()})
    parts = [loops.reduction(kind, taken, term, dtype) for kind in ("sum", "max", "min")]
    count = loops.size_value(product(a.extent for a in taken), dtype)
    center = f.expression(_inner_mean, (*parts, count))
    shift = Buffer(
        f"{mean.store.buffer.name}_shift",
        tuple(a.extent for a in host.axes),
        dtype,
        "temp",
        loop=mean.store.buffer.loop,
    )
    store = Store(shift, tuple(map(loops.at, axes.values())), center)
    kernel = Kernel(
        f"{host.name}_shift", tuple(axes.values()), (store,), host.nodes, (*host.reasons, REASON), loop=host.loop
    )
    return kernel, loops.load(shift, tuple(map(loops.at, host.axes)), dtype)


def _inner_mean(total: f.Value, most: f.Value, least: f.Value, count: f.Value) -> f.Value:
    """Without the greatest and the least, so that one outlier does not move it; 0 where it is not finite."""
    c = f.where(count > 2, (total - most - least) / (count - 2), total / count)
    return f.where(abs(c) < math.inf, c, 0.0)


def _with(value: Expr, table: Mapping[Expr, Expr]) -> Expr:
    return loops.transform(value, lambda e: table.get(e, e))
