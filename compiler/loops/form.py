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
from .kernels import Buffer, Kernel, Store

Said = TypeVar("Said")


@dataclass(frozen=True, eq=False)
class Form:
    """`text`, which is equal for kernels alike, and the buffers and axes that it numbers, in that order."""

    text: str
    buffers: tuple[Buffer, ...]
    axes: tuple[Axis, ...]


def form(kernel: Kernel) -> Form:
    """The kernel's form, a fact of its stores: `kernel.fact(form)`."""
    writer = _Writer()
    lines = [
        ",".join(map(writer.axis, kernel.axes)),
        *map(writer.value, kernel.expressions),
        *map(writer.store, kernel.stores),
    ]
    return Form(sys.intern("\n".join(lines)), tuple(writer.buffers), tuple(writer.axes))


class _Writer:
    """Writes a form: each buffer, axis and expression has a number, in the order in which they are met.

    Functions inside of `form` would keep each other, and all expressions, until Python searches for cycles.
    """

    def __init__(self) -> None:
        self.buffers: dict[Buffer, int] = {}
        self.axes: dict[Axis, int] = {}
        self.number: dict[Expr, int] = {}

    def axis(self, a: Axis) -> str:
        return f"i{self.axes.setdefault(a, len(self.axes))}<{a.extent}"

    def index(self, i: Index) -> str:
        return "+".join(f"{self.atom(a)}*{c}" for a, c in i.terms) + f"+{i.const}"

    def atom(self, a: loops.Atom) -> str:
        if isinstance(a, Axis):
            return self.axis(a)
        if isinstance(a, loops.Dynamic):
            return f"at({self.number[a.value]})"
        return f"{type(a).__name__}({self.index(a.index)},{a.by})"

    def buffer(self, b: Buffer) -> str:
        return f"b{self.buffers.setdefault(b, len(self.buffers))}:{b.dtype}{b.shape}"

    def condition(self, c: loops.Condition) -> str:
        return f"{self.index(c.index)}{(c.low, c.high) if isinstance(c, loops.Within) else c.by}"

    def value(self, e: Expr) -> str:
        """An expression in terms of those before it."""
        if e.kind == "load":
            data = self.buffer(e.data[0]) + "[" + ";".join(map(self.index, e.data[1])) + "]"
        elif e.kind == "index":
            data = self.index(e.data)
        elif e.kind == "guard":
            data = "&".join(map(self.condition, e.data))
        elif e.kind == "reduce":
            data = e.data[0] + ",".join(map(self.axis, e.data[1]))
        else:
            data = str(e.data)
        line = f"{e.kind} {data} {[self.number[a] for a in e.args]} {e.dtype}"
        self.number[e] = len(self.number)
        return line

    def store(self, s: Store) -> str:
        return f"{self.buffer(s.buffer)}[{';'.join(map(self.index, s.index))}]={self.number[s.value]}"


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
