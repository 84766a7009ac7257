"""What a kernel is between fusion and printing: an iteration space, stores of scalar expressions, a schedule.

Buffers are the tensors that exist in memory; everything else is inside expressions. Leans on `expressions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from ..shapes import Dim, Shape, product
from . import expressions as loops

Fact = TypeVar("Fact")


@dataclass(frozen=True, eq=False)
class Loop:
    """What a stretch of kernels is in that runs `length` times: over the places of sequences from the first to the
    last, or from the last to the first where `reverse` says so."""

    length: Dim
    reverse: bool = False


@dataclass(eq=False)
class Buffer:
    """A tensor in memory. `order` lists its axes from the slowest to the fastest varying.

    kind: input, output, state, constant or temp; carry, what a loop hands from turn to turn; or slice, the place of
    `whole`'s first axis at which a loop is. `node` is the tensor it holds (for a state, the variable). gap: so
    many elements lie unused after what each place of the first `planes` axes of the order holds; of temps only.
    fixed: its order is not to be changed. loop: whose turns it changes with, where it is made of a loop's body.
    """

    name: str
    shape: Shape
    dtype: str
    kind: str
    node: Any = None
    order: tuple[int, ...] = ()
    planes: int = 0
    gap: int = 0
    fixed: bool = False
    loop: Loop | None = None
    whole: Buffer | None = None
    _addresses: dict[tuple[Any, ...], loops.Index] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.order:
            self.order = tuple(range(len(self.shape)))

    @property
    def memory(self) -> Buffer:
        """What it lies in: itself, or what it is a slice of."""
        return self if self.whole is None else self.whole

    @property
    def lasting(self) -> bool:
        """Is it updated, from step to step or from turn to turn?"""
        return self.kind in ("state", "carry")

    @property
    def strides(self) -> tuple[Dim, ...]:
        """The distance in elements between neighbours along each axis."""
        out: list[Dim] = [0] * len(self.shape)
        step: Dim = 1
        for position, axis in reversed(list(enumerate(self.order))):
            if self.gap and position == self.planes - 1:
                step = step + self.gap
            out[axis] = step
            step = step * self.shape[axis]
        return tuple(out)

    @property
    def slack(self) -> Dim:
        """How many elements the gaps are."""
        return product(self.shape[axis] for axis in self.order[: self.planes]) * self.gap

    def address(self, index: tuple[loops.Index, ...]) -> loops.Index:
        """The position of an element, in elements from the start."""
        key = (self.order, self.gap, index)
        if key not in self._addresses:
            place = loops.Index()
            for i, stride, dim in zip(index, self.strides, self.shape):
                if dim != 1:
                    place = place + i * stride
            self._addresses[key] = place.recombined()
        return self._addresses[key]


def points(shape: Shape) -> tuple[tuple[loops.Axis, ...], tuple[loops.Index, ...]]:
    """Axes over a shape (none for sizes of 1), and the index of each point."""
    axes = tuple(loops.Axis(d) for d in shape if d != 1)
    free = iter(axes)
    return axes, tuple(loops.at(0) if d == 1 else loops.at(next(free)) for d in shape)


def address(load: loops.Expr) -> loops.Index:
    """Where a load reads, in elements from the buffer's start."""
    buffer, index = load.data
    place: loops.Index = buffer.address(index)
    return place


@dataclass(frozen=True, eq=False)
class Store:
    """buffer[index] = value, for every point of the kernel's space."""

    buffer: Buffer
    index: tuple[loops.Index, ...]
    value: loops.Expr


@dataclass(eq=False)
class Kernel:
    """A loop nest over `axes` (outermost first as printed by the schedule) with its stores.

    `cycles` is what the schedule should cost one core, with symbols at their nominal size. `loop` is the one that runs
    it, if any.
    """

    name: str
    axes: tuple[loops.Axis, ...]
    stores: tuple[Store, ...]
    nodes: tuple[Any, ...] = ()
    reasons: tuple[str, ...] = ()
    schedule: Any = None
    cycles: float = 0.0
    notes: list[str] = field(default_factory=list)
    facts: dict[Any, tuple[tuple[Store, ...], Any]] = field(default_factory=dict, repr=False)
    loop: Loop | None = None

    def fact(self, recognise: Callable[[Kernel], Fact]) -> Fact:
        """What `recognise` finds in the stores and nodes, on which alone it depends: found once, and carried along by
        passes that leave the stores as they are (`dataclasses.replace`)."""
        if self.facts.get(recognise, (None,))[0] is not self.stores:
            self.facts[recognise] = (self.stores, recognise(self))
        found: Fact = self.facts[recognise][1]
        return found

    def __str__(self) -> str:
        """The kernel in loop form: its space, its stores, then the order of its buffers' axes and its schedule."""
        space = ", ".join(f"{a} < {a.extent}" for a in self.axes)
        lines = [f"{self.name}:", *([f"    for {space}:"] if space else [])]
        lines += ["        " + line for line in self.stores_text().splitlines()]
        lines += [
            f"    {b.name} {b.dtype}{b.shape} order {b.order}" for b in dict.fromkeys([*self.reads(), *self.writes()])
        ]
        return "\n".join([*lines, *([f"    {self.schedule}"] if self.schedule is not None else [])])

    def stores_text(self, named: Mapping[Buffer, str] | None = None) -> str:
        """The stores, a line each. named: what buffers are called here."""
        called = {s.buffer: s.buffer.name for s in self.stores} if named is None else named
        return "\n".join(
            f"{called[s.buffer]}[{', '.join(map(repr, s.index))}] = {loops.show(s.value, None, named)}"
            for s in self.stores
        )

    @property
    def values(self) -> list[loops.Expr]:
        return [s.value for s in self.stores]

    @cached_property
    def expressions(self) -> tuple[loops.Expr, ...]:
        """Every expression in the stores, arguments first."""
        return tuple(loops.postorder(self.values))

    @cached_property
    def loads(self) -> tuple[loops.Expr, ...]:
        """The loads, in order of first use."""
        return tuple(e for e in self.expressions if e.kind == "load")

    def reads(self) -> list[Buffer]:
        """The buffers loaded from, in order of first use."""
        return list(dict.fromkeys(e.data[0] for e in self.loads))

    def writes(self) -> list[Buffer]:
        return list(dict.fromkeys(s.buffer for s in self.stores))

    def flops(self) -> Dim:
        """Arithmetic operations of one run, multiply and add counted apart."""
        total: Dim = 0
        space = product(a.extent for a in self.axes)
        for e in self.expressions:
            if e.kind in ("call", "reduce"):
                total = total + _times(e, self.values, space)
        return total

    def bytes(self) -> Dim:
        """Bytes that have to move if every buffer is touched once."""
        from ..dtypes import ITEMSIZE

        total: Dim = 0
        for b in [*self.reads(), *self.writes()]:
            total = total + product(b.shape) * ITEMSIZE[b.dtype]
        return total


def _times(e: loops.Expr, roots: list[loops.Expr], space: Dim) -> Dim:
    """How often an expression is evaluated: once per point of the axes it depends on."""
    axes = set(e.axes)
    if e.kind == "reduce":
        axes |= set(e.data[1])
    return product(a.extent for a in axes)
