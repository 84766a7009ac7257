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
from .fuse import Fusion, fuse
from .lower import lower


@dataclass(frozen=True, eq=False)
class Lowered:
    """Kernels in loop form, the buffer of every input, variable and array, and those of the outputs in order."""

    kernels: list[Kernel]
    buffers: dict[Any, Buffer]
    returned: list[Buffer]


def in_kernels(inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]) -> Lowered:
    """The graph's nodes in groups, each a kernel. updates: the new value of each variable that changes."""
    fusion = fuse([*outputs, *updates.values()])
    buffers, stored, targets, returned = _allocate(inputs, outputs, updates, fusion)
    return Lowered(lower(fusion, stored, targets), buffers, returned)


def _allocate(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor], fusion: Fusion
) -> tuple[dict[Any, Buffer], dict[Any, Buffer], dict[Any, list[Buffer]], list[Buffer]]:
    """(buffers of leaves, where every stored node is read, where it is written, the output buffers in order)."""
    leaves: dict[Any, Buffer] = {}
    for node in toposort([*inputs, *outputs, *updates, *updates.values()]):
        if node.op.name == "input":
            leaves[node] = Buffer(node.attrs.name, node.shape, node.dtype, "input", node)
        elif node.op.name == "variable":
            state = node.attrs.state
            leaves[node] = Buffer(node.attrs.name, node.shape, node.dtype, "state", node, tuple(state.order))
        elif node.op.name == "array":
            leaves[node] = Buffer("constant", node.shape, node.dtype, "constant", node)
    stored = dict(leaves)
    targets: dict[Any, list[Buffer]] = {}
    result: dict[Any, Buffer] = {}
    for y in outputs:
        if y not in result:
            result[y] = Buffer(name_of(y) or "output", y.shape, y.dtype, "output", y)
            targets.setdefault(y, []).append(result[y])
            if y not in leaves:
                stored[y] = result[y]
    for variable, new in updates.items():
        targets.setdefault(new, []).append(leaves[variable])
    read = {n for g in fusion.groups for n in g.inputs}
    for group in fusion.groups:
        for node in group.members:
            wanted = targets.setdefault(node, [])
            if node not in stored and (not wanted or node in read):
                stored[node] = Buffer(_temp_name(node), node.shape, node.dtype, "temp", node)
                wanted.append(stored[node])
    return leaves, stored, targets, [result[y] for y in outputs]


def _temp_name(node: Tensor) -> str:
    scope = location(node).scope.split(".")[-1]
    return name_of(node) or "_".join(filter(None, [scope, node.op.name]))
