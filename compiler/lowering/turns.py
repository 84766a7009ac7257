"""Loops in the graph as kernels: the results of one loop become the kernels of its body, which run turn after turn.

What is handed from turn to turn is in buffers of kind carry, which hold the first states before the loop. Places of
sequences, and of the outputs' stacks, are slices: buffers that the runtime moves on with each turn. The kernels stand
among all others, so that one list of passes chooses orders, tiles and memory for the whole program. Leans on `fuse`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..graph.body import Body
from ..graph.node import toposort
from ..graph.tensor import Tensor
from ..loops import expressions as loops
from ..loops.kernels import Buffer, Kernel, Loop, Store, points
from .fuse import KernelGroup, in_order

Targets = dict[Any, list[Buffer]]
Lower = Callable[[Sequence[Tensor], Mapping[Any, Buffer], Targets, dict[str, int]], list[Kernel]]


class Turns:
    """One loop on its way into kernels."""

    def __init__(self, group: KernelGroup, names: dict[str, int]) -> None:
        """names: how often a kernel's name is taken."""
        self.results, self.names = group.members, names
        first = group.members[0]
        self.body: Body = first.attrs.body
        self.loop = Loop(first.attrs.length, first.attrs.reverse)
        count = len(self.body.states)
        self.starts = first.inputs[:count]
        self.sequences = first.inputs[count : count + len(self.body.slices)]
        self.outer = first.inputs[count + len(self.body.slices) :]
        self.live = self._live_states()
        self.carries = {
            i: Buffer(f"state{i}", x.shape, x.dtype, "carry", x, loop=self.loop)
            for i, x in enumerate(self.body.states)
            if i in self.live
        }

    def _live_states(self) -> set[int]:
        """The states on which the results depend that are wanted."""
        live = {n.attrs.number for n in self.results if n.attrs.result != "stacked"}
        stacked = {n.attrs.number for n in self.results if n.attrs.result == "stacked"}
        number = {x: i for i, x in enumerate(self.body.states)}
        while True:
            roots = [*(self.body.new_states[i] for i in sorted(live)), *(self.body.outputs[i] for i in sorted(stacked))]
            found = {number[x] for x in toposort(roots) if x in number} | live
            if found == live:
                return live
            live = found

    def place(self, stored: dict[Any, Buffer], targets: Targets) -> None:
        """Where the first states and the sequences are to be written, and the stacks will be."""
        for i, carry in self.carries.items():
            targets.setdefault(self.starts[i], []).append(carry)
        for x in self.sequences:
            if not in_order(x):
                _in_order(x, stored, targets)
        for node in self.results:
            if node.attrs.result != "final":
                _in_order(node, stored, targets)

    def kernels(self, stored: Mapping[Any, Buffer], targets: Targets, lower: Lower) -> list[Kernel]:
        """The kernels of a turn, and those that copy what is wanted of the loop in more places than one."""
        body, inside = self.body, Targets()
        leaves = {body.states[i]: carry for i, carry in self.carries.items()}
        walked = [_walked(x, stored, targets) for x in self.sequences]
        leaves |= {place: self._slice(place, whole) for place, whole in zip(body.slices, walked)}
        leaves |= {x: stored[given] for x, given in zip(body.outer, self.outer)}
        copies: list[Kernel] = []
        for node in self.results:
            number = node.attrs.number
            if node.attrs.result == "final":
                copies += [_copy(self.carries[number], into) for into in targets[node]]
                continue
            value = (body.outputs if node.attrs.result == "stacked" else body.states)[number]
            whole = _walked(node, stored, targets)
            inside.setdefault(value, []).append(self._slice(value, whole))
            copies += [_copy(whole, into) for into in targets[node] if into is not whole]
        for i, carry in self.carries.items():
            inside.setdefault(body.new_states[i], []).append(carry)
        made = lower(list(inside), leaves, inside, self.names)
        for kernel in made:
            kernel.loop = self.loop
            for b in kernel.writes():
                b.loop = self.loop
        return [*made, *copies]

    def _slice(self, place: Tensor, whole: Buffer) -> Buffer:
        name = f"{whole.name}_at"
        return Buffer(name, place.shape, place.dtype, "slice", place, fixed=True, loop=self.loop, whole=whole)


def _in_order(x: Tensor, stored: dict[Any, Buffer], targets: Targets) -> None:
    """Have it written to a buffer that a loop can walk along."""
    written = targets.setdefault(x, [])
    if any(b.kind == "output" or b.fixed for b in written):
        return
    made = Buffer(x.name or "sequence", x.shape, x.dtype, "temp", x, fixed=True)
    written.append(made)
    if x.op.kind != "source" or x.op.lower is not None:
        stored[x] = made


def _walked(x: Tensor, stored: Mapping[Any, Buffer], targets: Targets) -> Buffer:
    """The buffer of a sequence or a stack that the loop walks along."""
    return next((b for b in targets.get(x, ()) if b.kind == "output" or b.fixed), None) or stored[x]


def _copy(source: Buffer, into: Buffer) -> Kernel:
    """A kernel that copies what a loop has made."""
    axes, index = points(source.shape)
    value = loops.load(source, index, source.dtype)
    return Kernel(f"{into.name}_of_loop", axes, (Store(into, index, value),), (), ("a result of a loop",))
