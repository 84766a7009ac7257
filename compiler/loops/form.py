"""The form of a kernel: what it has in common with kernels that differ from it in names and variables alone.

A deep network has a few forms and thousands of kernels. What is decided from a kernel's form is decided once and
carried over to the others: `renamed` gives what was said of one kernel in terms of another. Leans on `kernels`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

from . import expressions as loops
from .expressions import Axis, Expr, Index
from .kernels import Buffer, Kernel

Said = TypeVar("Said")


@dataclass(frozen=True, eq=False)
class Form:
    """`text`, which is equal for kernels alike, and the buffers and axes that it numbers, in that order."""

    text: str
    buffers: tuple[Buffer, ...]
    axes: tuple[Axis, ...]


def form(kernel: Kernel) -> Form:
    """The kernel's form, a fact of its stores: `kernel.fact(form)`."""
    buffers: dict[Buffer, int] = {}
    axes: dict[Axis, int] = {}

    def axis(a: Axis) -> str:
        return f"i{axes.setdefault(a, len(axes))}<{a.extent}"

    def index(i: Index) -> str:
        return "+".join(f"{atom(a)}*{c}" for a, c in i.terms) + f"+{i.const}"

    def atom(a: loops.Atom) -> str:
        if isinstance(a, Axis):
            return axis(a)
        if isinstance(a, loops.Dynamic):
            return f"at({number[a.value]})"
        return f"{type(a).__name__}({index(a.index)},{a.by})"

    def buffer(b: Buffer) -> str:
        return f"b{buffers.setdefault(b, len(buffers))}:{b.dtype}{b.shape}"

    head = ",".join(axis(a) for a in kernel.axes)
    number: dict[Expr, int] = {}
    lines = [head]
    for e in kernel.expressions:
        if e.kind == "load":
            data = buffer(e.data[0]) + "[" + ";".join(map(index, e.data[1])) + "]"
        elif e.kind == "index":
            data = index(e.data)
        elif e.kind == "guard":
            data = "&".join(
                f"{index(c.index)}{(c.low, c.high) if isinstance(c, loops.Within) else c.by}" for c in e.data
            )
        elif e.kind == "reduce":
            data = e.data[0] + ",".join(axis(a) for a in e.data[1])
        else:
            data = str(e.data)
        lines.append(f"{e.kind} {data} {[number[a] for a in e.args]} {e.dtype}")
        number[e] = len(number)
    for s in kernel.stores:
        lines.append(f"{buffer(s.buffer)}[{';'.join(map(index, s.index))}]={number[s.value]}")
    return Form(sys.intern("\n".join(lines)), tuple(buffers), tuple(axes))


class Renaming:
    """From one kernel to another of the same form: axes, buffers and expressions by their numbers."""

    def __init__(self, one: Kernel, other: Kernel) -> None:
        before, after = one.fact(form), other.fact(form)
        self.buffers: Mapping[Buffer, Buffer] = dict(zip(before.buffers, after.buffers, strict=True))
        self.axes: Mapping[Axis, Axis] = dict(zip(before.axes, after.axes, strict=True))
        self.values: dict[Expr, Expr] = dict(zip(one.expressions, other.expressions, strict=True))

    def of(self, said: Said) -> Said:
        """What was said of the one kernel (a schedule, say), of the other. Axes that are not the kernel's stay."""
        return self._of(said)  # type: ignore[no-any-return]

    def _of(self, said: Any) -> Any:
        if isinstance(said, Axis):
            return self.axes.get(said, said)
        if isinstance(said, Expr):
            return self._value(said)
        if isinstance(said, Index):
            return Index([(self._of(atom), c) for atom, c in said.terms], said.const)
        if isinstance(said, Buffer):
            return self.buffers.get(said, said)
        if isinstance(said, tuple):
            return tuple(map(self._of, said))
        if is_dataclass(said) and not isinstance(said, type):
            return replace(said, **{f.name: self._of(getattr(said, f.name)) for f in fields(said)})
        return said

    def _value(self, root: Expr) -> Expr:
        if root not in self.values:
            for e in loops.postorder([root]):
                if e not in self.values:
                    data = self._of(e.data) if e.kind in ("load", "index", "guard", "reduce") else None
                    self.values[e] = loops.rebuild(e, tuple(self.values[a] for a in e.args), data)
        return self.values[root]


__all__ = ["Form", "Renaming", "form"]
