"""Fusion: which nodes of the tensor graph share a kernel, each decision with its reason.

One walk from the outputs to the inputs. A node is either *stored* (it starts or joins a group, one kernel
each) or *inlined* into the groups that read it. Movement is inlined, since it is index arithmetic; only
concatenations that a contraction reads, or that join joins for several kernels, are stored, and what a pass made with
the attribute `stored`, such as an operand padded to be copied widely. A group holds at
most one heavy node (a contraction or a large reduction), to which its consumers are the epilogue. The results
of one loop are a group of their own, and what they start from is stored. Groups are bounded in nodes and inputs,
and in the length of the text that they become (`places`), so that a kernel neither spills nor takes long to compile.
Leans on `graph`; nothing here knows of loops.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..graph.body import loop_of
from ..graph.node import consumers, toposort
from ..graph.tensor import Tensor
from ..shapes import Dim, Shape, product
from .places import MAX_TEXT, Place, places, text_in

MAX_NODES = 48
MAX_INPUTS = 14
MAX_ROW = 4096
SHARED_ROW = 64
MAX_ROW_REDUCTIONS = 4


@dataclass(eq=False)
class KernelGroup:
    """Nodes that become one kernel: `members` are stored, `inlined` computed on the way."""

    shape: Shape
    members: list[Tensor]
    heavy: Tensor | None = None
    loops: bool = False
    inlined: list[Tensor] = field(default_factory=list)
    inputs: set[Any] = field(default_factory=set)
    row_reductions: int = 0
    text: int = 0

    @property
    def full(self) -> bool:
        return len(self.inlined) >= MAX_NODES or len(self.inputs) >= MAX_INPUTS


@dataclass
class Fusion:
    """The groups in the order of their first use, and why each node went where it did."""

    groups: list[KernelGroup]
    reasons: dict[Any, str]


@dataclass
class _Use:
    """How a node is read: by which groups, once per element, and only point by point?"""

    groups: list[KernelGroup]
    repeated: bool
    pointwise: bool
    operand: bool


def fuse(required: Iterable[Tensor]) -> Fusion:
    """Groups that together compute every required node."""
    wanted = list(dict.fromkeys(required))
    order = toposort(wanted)
    users = consumers(order)
    must = set(wanted) | {x for node in order if node.op.joint_vjp is not None for x in stored_inputs(node)}
    turning: dict[Any, KernelGroup] = {}
    home: dict[Any, KernelGroup] = {}
    uses: dict[Any, _Use] = {}
    at: dict[Any, list[Place]] = {}
    own: dict[KernelGroup, Place] = {}
    reasons: dict[Any, str] = {}
    groups: dict[KernelGroup, None] = {}
    target: KernelGroup | None
    for node in reversed(order):
        use = uses[node] = _use_of(node, users[node], home, uses)
        if node.op.kind == "source" and node not in must:
            for g in use.groups:
                g.inputs.add(node)
            continue
        if node.op.joint_vjp is not None:
            group = turning.setdefault(loop_of(node), KernelGroup(node.shape, [], loops=True))
            target, reason = group, "results of one loop"
        else:
            target, reason = _place(node, use, node in must)
        if target is None:
            at[node] = places(node, users[node], at)
            longer = text_in(node, at[node])
            if any(g.text + more > MAX_TEXT for g, more in longer.items()):
                target, reason = (
                    _new(node),
                    f"computed at {len(at[node])} places, its readers' kernels would be too long",
                )
        reasons[node] = reason
        if target is None:
            for g, more in longer.items():
                g.text += more
            for g in use.groups:
                g.inlined.append(node)
                g.row_reductions += node.op.kind == "reduce"
            continue
        groups.setdefault(target)
        home[node] = target
        member = any(node is m for m in target.members)
        if not member and node is not target.heavy:
            target.members.append(node)
            member = True
        at[node] = [own.setdefault(target, Place(target))]
        if member:
            for g in use.groups:
                if g is not target:
                    g.inputs.add(node)
        else:
            del home[node]
            uses[node] = _Use([target], False, True, False)
    for g in groups:
        g.members.reverse()
        g.inlined.reverse()
    return Fusion(list(reversed(groups)), reasons)


def stored_inputs(node: Tensor) -> list[Tensor]:
    """What a loop needs written before it: all but what lies in memory, sequences with their axes in order."""
    body, count = node.attrs.body, len(node.attrs.body.states)
    moving, outer = node.inputs[count : count + len(body.slices)], node.inputs[count + len(body.slices) :]
    computed = [x for x in outer if x.op.kind != "source" or x.op.lower is not None]
    return [*node.inputs[:count], *(x for x in moving if not in_order(x)), *computed]


def in_order(x: Tensor) -> bool:
    """Is it in memory before any kernel runs, its axes in the order that the user has given?"""
    return x.op.kind == "source" and x.op.lower is None and x.op.name != "variable"


def _use_of(node: Tensor, readers: list[Any], home: dict[Any, KernelGroup], uses: dict[Any, _Use]) -> _Use:
    groups: dict[KernelGroup, None] = {}
    repeated, pointwise, operand = False, True, False
    for reader in readers:
        stored = reader in home
        inner = uses[reader]
        groups.update(dict.fromkeys([home[reader]] if stored else inner.groups))
        repeated |= _repeats(reader, node) or (not stored and inner.repeated)
        one_to_one = reader.op.kind == "elementwise" or reader.op.one_to_one
        pointwise &= one_to_one and (stored or inner.pointwise)
        operand |= reader.op.kind == "contract" or (reader.op.kind == "movement" and not stored and inner.operand)
    return _Use(list(groups), repeated, pointwise, operand)


def _repeats(reader: Tensor, node: Tensor) -> bool:
    """Does the reader look at an element of the node more than once?"""
    if reader.op.kind == "movement":
        return reader.op.repeats and product(reader.shape) != product(node.shape)
    return reader.op.repeats


def _place(node: Tensor, use: _Use, must: bool) -> tuple[KernelGroup | None, str]:
    """(the group that stores or absorbs the node, or None where it is inlined; why)."""
    only = use.groups[0] if len(use.groups) == 1 else None
    kind = node.op.kind
    if must:
        joins = only is not None and use.pointwise and not only.loops and only.shape == node.shape
        if only is not None and joins and not only.full and kind != "movement":
            return only, "result needed outside; joins the kernel that reads it point by point"
        return _new(node), "result needed outside"
    if getattr(node.attrs, "stored", False):
        return _new(node), "stored, as the pass that made it wants: an operand to copy widely, or sums not yet rounded"
    if node.op.joins and use.operand:
        return _new(node), "parts of a contraction's operand: joined once, so that a register tile reads one array"
    if node.op.joins and len(use.groups) > 1 and _joined_again(node):
        return _new(
            node
        ), f"joins what is joined: copied once for {len(use.groups)} kernels that would choose among all"
    if kind == "movement":
        return None, "movement is index arithmetic"
    if kind == "contract" or (kind == "reduce" and not _row(node)):
        if only is not None and _absorb(node, use, only):
            return only, f"{kind} with its only reader as epilogue"
        readers = f"{len(use.groups)} readers" if only is None else "a reader that is no epilogue"
        return _new(node), f"{kind} with {readers}"
    if kind == "reduce":
        return _place_row(node, use, only)
    if use.operand:
        return _new(node), "operand of a contraction: computed once, read many times"
    if any(g.full for g in use.groups):
        return _new(node), "its reader's kernel is full"
    if only is not None and (not use.repeated or _trivial(node)):
        return None, "one reader"
    if _trivial(node):
        return None, "cheaper to compute again than to load"
    return _new(node), f"{len(use.groups)} readers" if only is None else "read more than once per element"


def _joined_again(node: Tensor) -> bool:
    """Is one of a join's parts a join, or parts of one moved?"""
    parts = list(node.inputs)
    while parts:
        part = parts.pop()
        if part.op.joins:
            return True
        if part.op.kind == "movement":
            parts.extend(part.inputs)
    return False


def _absorb(node: Tensor, use: _Use, group: KernelGroup) -> bool:
    """Make the node the group's heavy one, if the group reads it point by point and has none yet."""
    fits = use.pointwise and not group.loops and group.heavy is None and not group.row_reductions and not group.full
    if not fits or product(group.shape) != product(node.shape):
        return False
    group.heavy = node
    group.inlined.append(node)
    return True


def _place_row(node: Tensor, use: _Use, only: KernelGroup | None) -> tuple[KernelGroup | None, str]:
    """A reduction over short rows can live inside the kernel that spreads it again over the row."""
    if only is not None and _absorb(node, use, only):
        return only, "reduction with its only reader as epilogue"
    fits = all(g.heavy is None and not g.full and g.row_reductions < MAX_ROW_REDUCTIONS for g in use.groups)
    if fits and not use.operand and (only is not None or (len(use.groups) <= 2 and _row(node, SHARED_ROW))):
        return None, "short row: reduced inside its reader"
    return _new(node), "reduction read by several kernels" if only is None else "reader cannot take the row"


def _new(node: Tensor) -> KernelGroup:
    group = KernelGroup(node.shape, [node])
    if node.op.kind in ("contract", "reduce"):
        group.heavy = node
    return group


def _row_length(node: Tensor) -> Dim:
    return product(node.inputs[0].shape[a] for a in node.attrs.axes)


def _row(node: Tensor, most: int = MAX_ROW) -> bool:
    """A reduction along short rows of known length."""
    if not node.op.reduces_axes:
        return False
    length = _row_length(node)
    return isinstance(length, int) and length <= most


def _trivial(node: Tensor) -> bool:
    """At most one cheap operation on one value that has to be loaded."""
    loaded = [x for x in node.inputs if not (x.op.kind == "source" and x.op.lower is not None)]
    return node.op.kind == "elementwise" and node.op.flops <= 1 and len(loaded) <= 1
