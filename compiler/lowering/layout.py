"""Layout: the physical order of every tensor's axes, chosen over the whole program by predicted cost.

First the cheapest of a few global styles (channels innermost, batch innermost, for stacks of matrices as written), then
single tensors changed where that lowers the cost of the kernels that touch them, then copies in another order where a
contraction wins more by its operand's order than the copy costs. Inputs and outputs keep the user's order; variables
keep the order that an earlier program fixed. What a kernel costs is the target's to say. Leans on `kernels` and
`products`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from ..loops import expressions as loops
from ..loops.form import form
from ..loops.kernels import Buffer, Kernel, Store, points
from ..loops.products import contraction, operands
from ..shapes import Shape, Size, nominal

Order = tuple[int, ...]

IMAGE_AXES = 5
SWEEPS = 2
COPY_GAIN = 0.9
SMALL = 64
"""An operand with so many times fewer elements than its contraction has results costs nothing to copy."""


class Costs:
    """Predicted time per kernel (`price`), remembered by the kernel's form and its buffers' orders."""

    def __init__(self, price: Callable[[Kernel], float]) -> None:
        self.price = price
        self._known: dict[tuple[str, tuple[Order, ...]], float] = {}
        self._copying: dict[tuple[Shape, str, Order, Order], float] = {}

    def of(self, kernel: Kernel) -> float:
        f = kernel.fact(form)
        key = (f.text, tuple(map(_order_in_memory, f.buffers)))
        if key not in self._known:
            self._known[key] = 0.0 if _idle_copy(kernel) else self.price(kernel)
        return self._known[key]

    def of_reading(self, kernel: Kernel, copy: Buffer, source: Buffer) -> float:
        """What the kernel costs with `copy` in place of `source`: of kernels alike, one is made to find out."""
        f = kernel.fact(form)
        key = (f.text, tuple(_order_in_memory(copy if b is source else b) for b in f.buffers))
        if key not in self._known:
            self._known[key] = self.price(reading(kernel, source, copy))
        return self._known[key]

    def of_copying(self, source: Buffer, copy: Buffer) -> float:
        key = (source.shape, source.dtype, source.order, copy.order)
        if key not in self._copying:
            self._copying[key] = self.of(copy_kernel(source, copy))
        return self._copying[key]

    def total(self, kernels: Sequence[Kernel]) -> float:
        return sum(self.of(k) for k in kernels)


def _order_in_memory(b: Buffer) -> Order:
    """The order without axes of size 1, which have no place in memory."""
    return tuple(i for i in b.order if b.shape[i] != 1) if 1 in b.shape else b.order


def set_orders(
    kernels: Sequence[Kernel], price: Callable[[Kernel], float], operands: Callable[[Kernel], list[Buffer]] = operands
) -> list[Kernel]:
    """Orders for all free buffers (set in place), and the kernels with copies added where they pay.

    price: what a kernel costs the target under the present orders. operands: what a kernel wants in an order of its
    own, which a copy may give it.
    """
    costs = Costs(price)
    with_copies, copies = _copied_operands(kernels, operands)
    touching: dict[Buffer, list[Kernel]] = {}
    for kernel in with_copies:
        for b in dict.fromkeys([*kernel.reads(), *kernel.writes()]):
            touching.setdefault(b, []).append(kernel)
    free = [b for b in touching if _free(b)]
    _set_style(with_copies, free, costs)
    moves = _moves(with_copies, free)
    for _ in range(SWEEPS):
        if sum(_improve(move, list(dict.fromkeys(k for b in move for k in touching[b])), costs) for move in moves) == 0:
            break
    return _add_copies(_drop_idle(with_copies, copies), costs, operands)


def _copied_operands(
    kernels: Sequence[Kernel], operands: Callable[[Kernel], list[Buffer]]
) -> tuple[list[Kernel], dict[Kernel, tuple[Buffer, Buffer]]]:
    """Operands of contractions read through copies of free order: those whose order is given (inputs, claimed
    variables), and small ones that several contractions read, which may want it differently.

    The copies that end in the order of their source cost nothing and are dropped again.
    """
    made: dict[Buffer, Buffer] = {}
    readers = Counter(source for kernel in kernels for source in operands(kernel))
    out: list[Kernel] = []
    copies: dict[Kernel, tuple[Buffer, Buffer]] = {}
    for kernel in kernels:
        for source in operands(kernel):
            if len(source.shape) < 2:
                continue
            given = source.kind != "temp" and not _free(source)
            if not given and not (source.kind == "temp" and readers[source] > 1 and _is_small(source, kernel)):
                continue
            copy = made.get(source)
            if copy is None:
                copy = _packed(source, source.order)
                copying = copy_kernel(source, copy)
                copies[copying] = (source, copy)
                out.append(copying)
            if given:
                made[source] = copy
            kernel = reading(kernel, source, copy)
        out.append(kernel)
    return out, copies


def _is_small(operand: Buffer, kernel: Kernel) -> bool:
    results = math.prod(nominal(axis.extent) for axis in kernel.axes)
    return SMALL * math.prod(map(nominal, operand.shape)) <= results


def _drop_idle(kernels: Sequence[Kernel], copies: dict[Kernel, tuple[Buffer, Buffer]]) -> list[Kernel]:
    idle = {copy: source for source, copy in copies.values() if copy.order == source.order}
    out = []
    for kernel in kernels:
        if kernel in copies and copies[kernel][1] in idle:
            continue
        for b in kernel.reads():
            if b in idle:
                kernel = reading(kernel, b, idle[b])
        out.append(kernel)
    return out


def _free(b: Buffer) -> bool:
    if b.kind == "state":
        return len(b.shape) >= 2 and not b.node.attrs.state.claimed
    return b.kind in ("temp", "carry") and len(b.shape) >= 2 and not b.fixed


def _set_style(kernels: Sequence[Kernel], free: Sequence[Buffer], costs: Costs) -> None:
    best: tuple[float, dict[Buffer, Order]] | None = None
    for style in _styles(kernels):
        for b in free:
            b.order = style(b)
        total = costs.total(kernels)
        if best is None or total < best[0]:
            best = (total, {b: b.order for b in free})
    assert best is not None
    for b, order in best[1].items():
        b.order = order


def _styles(kernels: Sequence[Kernel]) -> list[Callable[[Buffer], Order]]:
    """What is tried for all buffers at once. Stacks of matrices as they are written, where such are multiplied."""
    stacks = [_as_written] if any(k.fact(_batched) for k in kernels) else []
    return [_channels_last, _batch_last, *stacks]


def _batched(kernel: Kernel) -> bool:
    """Is this one product of matrices for each place of a further axis, as for each head of an attention? An image in
    groups has more axes."""
    parts = kernel.fact(contraction)
    if parts is None or any(len(b.shape) >= IMAGE_AXES for b in operands(kernel)):
        return False
    return bool(parts[1].axes & parts[2].axes & set(kernel.axes))


def _as_written(b: Buffer) -> Order:
    return tuple(range(len(b.shape)))


def _channels_last(b: Buffer) -> Order:
    """Spatial axes before channels: N, H, W, C for images and H, W, C, F for weights. More axes than an image in groups
    has are tiles of one (`winograd.py`), whose channels are last already."""
    ones, axes = _by_size(b)
    if len(b.shape) > IMAGE_AXES:
        return (*ones, *axes)
    if b.kind == "state":
        return (*ones, *axes[2:], *reversed(axes[:2]))
    grouped = _grouped(b)
    if b.shape[0] == 1 and (grouped or len(b.shape) < IMAGE_AXES or b.shape[1] == 1):  # a batch of one image
        ones, axes = ones[1:], (0, *axes)
    channels = 2 if grouped else 1
    return (*ones, *axes[:1], *axes[1 + channels :], *axes[1 : 1 + channels])


def _filters_inside(b: Buffer) -> Order:
    """H, W, F, C: weights as the gradient by a convolution's input wants them."""
    ones, axes = _by_size(b)
    return (*ones, *axes[2:], *axes[:2])


def _batch_last(b: Buffer) -> Order:
    rank = len(b.shape)
    if b.kind == "state":
        return tuple(range(rank))
    batch = next((i for i, d in enumerate(b.shape) if isinstance(d, Size)), 0)
    return (*(i for i in range(rank) if i != batch), batch)


def _by_size(b: Buffer) -> tuple[Order, Order]:
    """(axes of size 1, which have no place in memory; the others)."""
    ones = tuple(i for i, d in enumerate(b.shape) if d == 1)
    return ones, tuple(i for i in range(len(b.shape)) if i not in ones)


def _grouped(b: Buffer) -> bool:
    """Is this (n, groups, channels, *spatial), a grouped convolution's result or made of one element by element?"""
    node = b.node
    while node is not None and node.op.kind == "elementwise":
        node = next((x for x in node.inputs if x.shape == node.shape), None)
    return node is not None and node.op.kind == "contract" and len(b.shape) > 4 and b.shape[1] != 1


def _candidates(b: Buffer) -> list[Order]:
    natural = tuple(range(len(b.shape)))
    orders = [natural, _channels_last(b), _batch_last(b), (*natural[1:], 0)]
    if len(natural) > 2 and not isinstance(b.shape[0], Size):
        orders.append(_filters_inside(b))
    return list(dict.fromkeys(orders))


def _moves(kernels: Sequence[Kernel], free: Sequence[Buffer]) -> list[tuple[Buffer, ...]]:
    """What is reordered at a time: variables of one shape that one kernel updates, as a weight and its momentum, move
    together, and every buffer on its own."""
    together: dict[tuple[Buffer, ...], None] = {}
    for kernel in kernels:
        states = [b for b in kernel.writes() if b.kind == "state" and _free(b)]
        for shape in dict.fromkeys(b.shape for b in states):
            alike = tuple(b for b in states if b.shape == shape)
            if len(alike) > 1:
                together[alike] = None
    return [*together, *((b,) for b in free)]


def _improve(buffers: tuple[Buffer, ...], kernels: Sequence[Kernel], costs: Costs) -> bool:
    """The best order for these buffers, which have one shape, all others as they are. True where it changed."""
    before = tuple(b.order for b in buffers)
    best = (costs.total(kernels), before)
    for order in _candidates(buffers[0]):
        orders = (order,) * len(buffers)
        if orders != before:
            _set_orders(buffers, orders)
            total = costs.total(kernels)
            if total < best[0] * 0.999:
                best = (total, orders)
    _set_orders(buffers, best[1])
    return best[1] != before


def _set_orders(buffers: Sequence[Buffer], orders: Sequence[Order]) -> None:
    for b, order in zip(buffers, orders):
        b.order = order


def _add_copies(kernels: Sequence[Kernel], costs: Costs, operands: Callable[[Kernel], list[Buffer]]) -> list[Kernel]:
    """Kernels in order, with copies of contraction operands in another order where that pays."""
    made: dict[tuple[Buffer, Order], Buffer] = {}
    out: list[Kernel] = []
    for kernel in kernels:
        for source in operands(kernel):
            if len(source.shape) >= 2:
                kernel = _with_copy(kernel, source, made, out, costs)
        out.append(kernel)
    return out


def _with_copy(
    kernel: Kernel, source: Buffer, made: dict[tuple[Buffer, Order], Buffer], out: list[Kernel], costs: Costs
) -> Kernel:
    least, best = costs.of(kernel) * COPY_GAIN, None
    for order in _candidates(source):
        if order == source.order:
            continue
        known = made.get((source, order))
        copy = known or _packed(source, order)
        total = costs.of_reading(kernel, copy, source) + (0.0 if known else costs.of_copying(source, copy))
        if total < least:
            least, best = total, copy
    if best is None:
        return kernel
    if (source, best.order) not in made:
        made[source, best.order] = best
        out.append(copy_kernel(source, best))
    return reading(kernel, source, best)


def _idle_copy(kernel: Kernel) -> bool:
    """A copy in its source's own order, which will not be made."""
    if len(kernel.stores) != 1 or kernel.stores[0].value.kind != "load" or kernel.nodes:
        return False
    store = kernel.stores[0]
    source, index = store.value.data
    return store.buffer.kind == "temp" and index == store.index and source.order == store.buffer.order


def _packed(source: Buffer, order: Order) -> Buffer:
    name = f"{source.name}_packed"
    return Buffer(name, source.shape, source.dtype, "temp", source.node, order, loop=source.loop)


def copy_kernel(source: Buffer, target: Buffer) -> Kernel:
    """A kernel that writes `source` in `target`'s order."""
    axes, index = points(source.shape)
    return Kernel(
        target.name,
        axes,
        (Store(target, index, loops.load(source, index, source.dtype)),),
        (),
        ("copy in another order: its contraction gains more than the copy costs",),
        loop=source.loop,
    )


def reading(kernel: Kernel, source: Buffer, copy: Buffer) -> Kernel:
    """The kernel with every load of `source` from `copy` instead."""

    def change(e: loops.Expr) -> loops.Expr:
        if e.kind == "load" and e.data[0] is source:
            return loops.load(copy, e.data[1], e.dtype)
        return e

    stores = tuple(Store(s.buffer, s.index, loops.transform(s.value, change)) for s in kernel.stores)
    return Kernel(kernel.name, kernel.axes, stores, kernel.nodes, kernel.reasons, loop=kernel.loop)
