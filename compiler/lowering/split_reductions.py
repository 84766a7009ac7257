"""Long sums with few results in two kernels: per image first, then over the images.

Where results are few and sums are long, the outermost summed axis becomes an axis of the result of a first kernel, and
a second one sums over it. Whether that pays is the target's to say. The parts do not depend on the number of threads,
nor do the bits of the sums. Leans on `kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..loops import expressions as loops
from ..loops.expressions import Axis, Expr
from ..loops.kernels import Buffer, Kernel, Store
from ..shapes import nominal

LONG = 1 << 16
"""Fewer points than this are summed before other threads have woken up."""
EACH = 32
"""Points per part at least, so that the parts are little to write and read again."""


def outermost(kernel: Kernel, sums: Sequence[Expr]) -> Axis | None:
    """The axis with the longest steps through memory that all sums have in common, if they are long enough."""
    if not sums or len({e.axes for e in sums}) > 1:
        return None
    common = set.intersection(*(set(e.data[1]) for e in sums))
    inside = [x for e in sums for x in loops.postorder(e.args)]
    if any(x.kind == "reduce" for x in inside) or any(e.data[0] == "argmax" for e in sums):
        return None
    places = [x.data[0].address(x.data[1]) for x in inside if x.kind == "load"]
    step = {x: max((nominal(p.coefficient(x)) for p in places), default=0) for x in common}
    axis = max(step, key=lambda x: step[x], default=None)
    if axis is None:
        return None
    each = min(math.prod(nominal(x.extent) for x in e.data[1] if x is not axis) for e in sums)
    results = math.prod(nominal(x.extent) for x in sums[0].axes)
    return axis if each >= EACH and each * nominal(axis.extent) * results >= LONG else None


def split(kernel: Kernel, sums: Sequence[Expr], parted: Sequence[Axis]) -> list[Kernel]:
    """The sums of each place along the axes `parted`, and the kernel with sums over those in their place."""
    kept = tuple(x for x in kernel.axes if x in sums[0].axes)
    index = tuple(map(loops.at, (*parted, *kept)))
    stores: list[Store] = []
    table: dict[Expr, Expr] = {}
    for i, e in enumerate(sums):
        kind, axes = e.data
        name = f"{kernel.name}_parts{i + 1 if len(sums) > 1 else ''}"
        parts = Buffer(name, tuple(x.extent for x in (*parted, *kept)), e.dtype, "temp")
        part = loops.reduction(kind, [x for x in axes if x not in parted], e.args[0], e.dtype)
        stores.append(Store(parts, index, part))
        table[e] = loops.reduction(kind, parted, loops.load(parts, index, e.dtype), e.dtype)
    reason = "few results of long sums: summed within each part, then over the parts"
    reasons = (*kernel.reasons, reason)
    first = Kernel(f"{kernel.name}_parts", (*parted, *kept), tuple(stores), kernel.nodes, reasons, loop=kernel.loop)
    whole = tuple(Store(s.buffer, s.index, loops.transform(s.value, lambda e: table.get(e, e))) for s in kernel.stores)
    return [first, Kernel(kernel.name, kernel.axes, whole, kernel.nodes, kernel.reasons, loop=kernel.loop)]
