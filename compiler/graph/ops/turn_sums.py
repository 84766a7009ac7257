"""Sums over the turns of a loop that are contractions, as one contraction after the loop instead of one at each turn.

The gradient by a weight that a body multiplies with is such a sum. Its operands are stacked, or are sequences already.
Leans on `contract` for what a contraction reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...shapes import Dim
from ..body import substituted
from ..node import toposort
from ..tensor import Tensor, apply
from .contract import Access, Spec


def operands(value: Tensor, turning: set[Any]) -> list[Tensor]:
    """What is to be stacked for the sum to be made after the loop; nothing where it cannot be. turning: the nodes that
    depend on the turn."""
    read = [[x for x in node.inputs if x in turning] for node in _contractions(value)]
    return [x for parts in read for x in parts] if all(read) else []


def _contractions(value: Tensor) -> list[Tensor]:
    """The contractions that the value is the sum of, up to movement; none where it is anything else."""
    found: dict[Any, None] = {}
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if node.op.kind == "contract":
            found[node] = None
        elif node.op.name == "add" or (node.op.name in ("transpose", "reshape") and len(node.inputs) == 1):
            waiting += node.inputs
        else:
            return []
    return list(found)


def summed(value: Tensor, stacks: Mapping[Any, Tensor], outside: Mapping[Any, Tensor], length: Dim) -> Tensor:
    """The sum of the value over `length` turns. stacks: the operands that depend on the turn, along a first axis;
    outside: what stands for the body's inputs that do not."""
    table: dict[Any, Tensor] = {}
    for node in _contractions(value):
        along = [x in stacks for x in node.inputs]
        inputs = [stacks[x] if turning else substituted([x], outside)[0] for x, turning in zip(node.inputs, along)]
        table[node] = apply("contract", inputs, spec=_over_turns(node.attrs.spec, along, length))
    return substituted([value], table)[0]


def _over_turns(spec: Spec, along: Sequence[bool], length: Dim) -> Spec:
    """The contraction with one more summed axis, the first of the operands that are stacked."""
    turn = Access(((len(spec.extents), 1),))
    operands = tuple((turn, *reads) if turning else reads for reads, turning in zip(spec.operands, along))
    return Spec(spec.out, (*spec.red, length), operands)


def depending(roots: Sequence[Tensor], on: set[Any]) -> set[Any]:
    """The nodes that depend on any of these."""
    found = set(on)
    for node in toposort(roots):
        if any(x in found for x in node.inputs):
            found.add(node)
    return found
