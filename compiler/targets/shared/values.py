"""Scalar expressions as text.

A value is written at the outermost level where all the axes it depends on are bound, so what does not change inside a
loop is computed outside of it; a value used once is written in place. Leans on `indices` for where values stand.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence

from ... import dtypes
from ...loops import expressions as loops
from ...loops.definition import Definition
from ...loops.expressions import Axis, Expr
from ...loops.functions import FUNCTIONS, Form, Function, Text, printed
from .indices import Indices, Steps
from .literals import constant, wrapped
from .names import Names

LINE = 100


class Values(Indices):
    """Writes all expressions but the loops of reductions."""

    def __init__(self, names: Names, roots: Sequence[Expr], masks: bool = False):
        super().__init__(names, masks)
        self.uses = count_uses(roots)

    def value(self, e: Expr) -> str:
        """The text that stands for `e` here; writes whatever has to be computed before."""
        return self.written(e)

    @abstractmethod
    def reduced(self, e: Expr) -> str:
        """The name of a reduction's value, after its loops."""

    def value_steps(self, e: Expr) -> Steps:
        for level in reversed(self.levels):
            if e in level.values:
                return level.values[e]
        if e.kind == "const":
            return constant(e)
        if e.kind == "index":
            return f"{e.dtype}({(yield e.data)})"
        if e.kind == "size":
            return f"{e.dtype}({self.names.size(e.data)})"
        if e.kind == "reduce":
            return self.reduced(e)
        if e.kind == "guard":
            return (yield from self._guard(e))
        at = self._level_for(e)
        inner, self.levels = self.levels[at + 1 :], self.levels[: at + 1]
        text = yield from self.operation(e)
        if self.uses[e] > 1 or inner or len(text) > LINE:
            name = self.fresh("v")
            self.line(f"{name} = {text}")
            self.levels[-1].values[e] = text = name
        self.levels += inner
        return text

    def _level_for(self, e: Expr) -> int:
        """The outermost level at which `e` can be computed."""
        bound: set[Axis] = set()
        need = 0
        for depth, level in enumerate(self.levels):
            if level.conditional or (e.axes & level.bound) - bound:
                need = depth
            bound |= level.bound
        assert e.axes <= bound, f"{e} needs axes that are not bound"
        return need

    def operation(self, e: Expr) -> Steps:
        """The text of a load or a call."""
        if e.kind == "load":
            buffer, index = e.data
            return f"{self.names.buffer(buffer)}[{(yield buffer.address(index))}]"
        args = []
        for a in e.args:
            args.append((yield a))
        if e.data == "cast" and e.dtype == dtypes.BOOL:
            return f"({args[0]} != 0)"
        if isinstance(e.data, Definition):
            return self.defined(e.data, args, e.dtype)
        function = FUNCTIONS[e.data]
        form = self.form(function)
        text = printed(form, e.data, args, e.dtype)
        if not function.widens:
            return text
        return wrapped(text if isinstance(form, Text) else f"({text})", e.dtype)

    def defined(self, definition: Definition, args: Sequence[str], dtype: str) -> str:
        """A call of a user's function, whose own source is put before the kernel's."""
        self.definitions.update(definition.functions)
        text = f"{definition.name}({', '.join(args)})"
        return text if dtype == dtypes.BOOL else f"{dtype}({text})"

    def form(self, function: Function) -> Form:
        """How the target has a scalar function."""
        return function.cpu

    def _guard(self, e: Expr) -> Steps:
        name = self.fresh("g")
        otherwise = yield e.args[1]
        self.line(f"{name} = {otherwise}")
        with self.nest(f"if {' and '.join(map(self.condition, e.data))}:", conditional=True):
            value = yield e.args[0]
            self.line(f"{name} = {value}")
        self.levels[-1].values[e] = name
        return name


def count_uses(roots: Sequence[Expr]) -> Counter[Expr]:
    """How often each expression below the roots is an argument."""
    uses: Counter[Expr] = Counter(roots)
    for e in loops.postorder(roots):
        uses.update(e.args)
    return uses
