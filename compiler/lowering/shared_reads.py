"""Sums over the same elements in one kernel, which reads once what they have in common.

The gradient of a batch normalisation sums a tensor, and its product with another, over all but the channels. Both are
one kernel with two sums in its loop where neither needs the other. Which sums a target takes in one loop is its own to
say. Axes are matched by the steps that they take through a buffer of which both read every element at the same place.
Leans on `kernels`; a pure function from kernels to kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..loops import expressions as loops
from ..loops.expressions import Axis, Expr, Index
from ..loops.kernels import Buffer, Kernel, Store, address
from ..shapes import Dim

MOST = 4
"""Sums in one kernel: each has registers of its own."""


Runs = Callable[[Kernel], object]
"""How a kernel of sums runs, all of them in one loop; None where a target does not run it so."""


def shared_reads(kernels: Sequence[Kernel], runs: Runs) -> list[Kernel]:
    """The kernels, in which sums have joined those before them that read what they read, where both together run as
    the first did."""
    made: list[Kernel] = []
    writer: dict[Buffer, int] = {}
    readers: dict[Buffer, list[int]] = {}
    for kernel in kernels:
        ready = max((writer.get(b.memory, -1) for b in kernel.reads()), default=-1)
        sums = _sums(kernel, runs)
        hosts = sorted({i for b in kernel.reads() for i in readers.get(b.memory, ()) if i > ready}) if sums else []
        found = next(((i, both) for i in hosts if (both := _joined(made[i], kernel, runs)) is not None), None)
        if found is None:
            found = len(made), kernel
            made.append(kernel)
        i, made[found[0]] = found
        writer |= dict.fromkeys((b.memory for b in kernel.writes()), i)
        for b in kernel.reads() if sums else ():
            readers.setdefault(b.memory, []).append(i)
    return made


def _sums(kernel: Kernel, runs: Runs) -> bool:
    """Does a kernel do nothing but sum, into memory of its own?"""
    return (
        all(s.value.kind == "reduce" and s.value.data[0] == "sum" and s.buffer.kind == "temp" for s in kernel.stores)
        and len({s.value.data[1] for s in kernel.stores}) == 1
        and runs(kernel) is not None
    )


def _joined(host: Kernel, guest: Kernel, runs: Runs) -> Kernel | None:
    """Both kernels as one, where that runs as the host does."""
    table = _matched(host, guest)
    if table is None or host.loop is not guest.loop or len(host.stores) + len(guest.stores) > MOST:
        return None
    summed = host.stores[0].value.data[1]
    stores = [
        Store(
            s.buffer,
            tuple(i.substitute(table) for i in s.index),
            loops.reduction("sum", summed, loops.substitute(s.value.args[0], table), s.value.dtype),
        )
        for s in guest.stores
    ]
    both = Kernel(
        f"{host.name}_and_{guest.name}",
        host.axes,
        (*host.stores, *stores),
        (*host.nodes, *guest.nodes),
        tuple(dict.fromkeys((*host.reasons, *guest.reasons, "sums over the same elements read them once"))),
        loop=host.loop,
    )
    return both if runs(both) == runs(host) else None


def _matched(host: Kernel, guest: Kernel) -> dict[Axis, Index] | None:
    """The host's axis for each of the guest's, by a buffer of which both read all elements in the same order."""
    for a in host.loads:
        for b in guest.loads:
            mine, theirs = _steps(host, a), _steps(guest, b)
            if a.data[0] is b.data[0] and mine and mine.keys() == theirs.keys():
                pairs = {theirs[step]: mine[step] for step in mine}
                same = all(x.extent == y.extent and (x in guest.axes) == (y in host.axes) for x, y in pairs.items())
                if same and address(a).const == address(b).const:
                    return {x: loops.at(y) for x, y in pairs.items()}
    return None


def _steps(kernel: Kernel, load: Expr) -> dict[Dim, Axis]:
    """The axes of a kernel of sums by their steps through what a load reads; none where these do not tell all apart."""
    terms = address(load).terms
    steps = {c: x for x, c in terms if isinstance(x, Axis)}
    return steps if set(steps.values()) == {*kernel.axes, *kernel.stores[0].value.data[1]} else {}
