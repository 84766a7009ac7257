"""A simplified graph as kernels in loop form, with a buffer for everything that is stored.

Nothing here knows a target: buffers have no order of axes yet. Leans on `fuse` and `lower`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..graph.node import location, name_of, toposort
from ..graph.tensor import Tensor
from ..loops.kernels import Buffer, Kernel
from . import turns
from .fuse import fuse
from .lower import lower


@dataclass(frozen=True, eq=False)
class Lowered:
    """Kernels in loop form, the buffer of every input, variable and array, and those of the outputs in order."""

    kernels: list[Kernel]
    buffers: dict[Any, Buffer]
    returned: list[Buffer]


def in_kernels(inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]) -> Lowered:
    """The graph's nodes in groups, each a kernel. updates: the new value of each variable that changes."""
    leaves = _leaves([*inputs, *outputs, *updates, *updates.values()])
    targets: dict[Any, list[Buffer]] = {}
    result: dict[Any, Buffer] = {}
    for y in outputs:
        if y not in result:
            result[y] = Buffer(name_of(y) or "output", y.shape, y.dtype, "output", y)
            targets.setdefault(y, []).append(result[y])
    for variable, new in updates.items():
        targets.setdefault(new, []).append(leaves[variable])
    kernels = kernels_of([*outputs, *updates.values()], leaves, targets, {})
    return Lowered(kernels, leaves, [result[y] for y in outputs])


def kernels_of(
    wanted: Sequence[Tensor],
    leaves: Mapping[Any, Buffer],
    targets: dict[Any, list[Buffer]],
    names: dict[str, int],
) -> list[Kernel]:
    """The kernels of a graph. leaves: where what the graph starts from lies; targets: what each wanted tensor is
    written to; names: how often a name of a kernel is taken."""
    fusion = fuse(wanted)
    stored = dict(leaves)
    for y, written in targets.items():
        first = next((b for b in written if not b.lasting), None)
        if first is not None and y not in leaves:
            stored[y] = first
    loops = [turns.Turns(group, names) for group in fusion.groups if group.loops]
    for loop in loops:
        loop.place(stored, targets)
    read = {n for g in fusion.groups for n in g.inputs}
    for group in fusion.groups:
        for node in group.members:
            written = targets.setdefault(node, [])
            if node not in stored and (not written or node in read):
                stored[node] = Buffer(_temp_name(node), node.shape, node.dtype, "temp", node)
                written.append(stored[node])
    once = lower([group for group in fusion.groups if not group.loops], fusion.reasons, stored, targets, names)
    return [*once, *(kernel for loop in loops for kernel in loop.kernels(stored, targets, kernels_of))]


def _leaves(roots: Sequence[Tensor]) -> dict[Any, Buffer]:
    """A buffer for each input, variable and array."""
    leaves: dict[Any, Buffer] = {}
    for node in toposort(roots):
        if node.op.name == "input":
            leaves[node] = Buffer(node.attrs.name, node.shape, node.dtype, "input", node)
        elif node.op.name == "variable":
            state = node.attrs.state
            leaves[node] = Buffer(node.attrs.name, node.shape, node.dtype, "state", node, tuple(state.order))
        elif node.op.name == "array":
            leaves[node] = Buffer("constant", node.shape, node.dtype, "constant", node)
    return leaves


def _temp_name(node: Tensor) -> str:
    scope = location(node).scope.split(".")[-1]
    return name_of(node) or "_".join(filter(None, [scope, node.op.name]))
