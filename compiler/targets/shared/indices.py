"""Indices and conditions as text, and the walk that writes them and values without recursing.

What stands inside of what is asked for by yielding it: `written` keeps the unfinished texts on a stack of its own, so
that Python's does not limit how deep an expression is. Leans on `levels`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from typing import Any

from ...loops import expressions as loops
from ...loops.expressions import Axis, Expr, Index
from ...shapes import Dim, Size
from .levels import Levels

Steps = Generator[Expr | Index, str, str]
"""The writing of one expression: it yields those inside, is sent the text of each, and returns its own."""


class Indices(Levels, ABC):
    """Writes indices; what an index reads from data is for `value_steps` to say."""

    @abstractmethod
    def value_steps(self, e: Expr) -> Steps:
        """The text that stands for `e` here, after what has to be computed before."""

    def written(self, what: Expr | Index) -> str:
        """The text of an expression or index, everything inside it written first."""
        open_steps = [self._steps(what)]
        answer: str | None = None
        while open_steps:
            try:
                wanted = next(open_steps[-1]) if answer is None else open_steps[-1].send(answer)
            except StopIteration as finished:
                answer = finished.value
                open_steps.pop()
            else:
                open_steps.append(self._steps(wanted))
                answer = None
        assert answer is not None
        return answer

    def _steps(self, what: Expr | Index) -> Steps:
        return self.value_steps(what) if isinstance(what, Expr) else self.index_steps(what)

    def index(self, index: Index) -> str:
        """An index expression as text."""
        return self.written(index)

    def terms(self, index: Index) -> Iterable[tuple[Any, Dim]]:
        """The atoms that stand in the text of an index, with their coefficients."""
        return index.terms

    def index_steps(self, index: Index) -> Steps:
        parts = []
        for atom, c in self.terms(index):
            text = self.axis_names[atom] if isinstance(atom, Axis) else (yield from self._atom(atom))
            if c == 1:
                parts.append(text)
            elif c == -1:
                parts.append(f"-{text}")
            else:
                parts.append(f"{text} * {self._factor(c)}")
        if index.const != 0 or not parts:
            parts.append(self._factor(index.const))
        return " + ".join(parts).replace("+ -", "- ")

    def _factor(self, size: Dim) -> str:
        if isinstance(size, int) and size < -self.names.literal:
            return f"-{self.names.size(-size)}"
        if isinstance(size, Size) and all(c < 0 for _, c in size.terms):
            return f"-{self.names.size(-size)}"
        return self.names.size(size)

    def _atom(self, atom: loops.Div | loops.Mod | loops.Dynamic) -> Steps:
        if isinstance(atom, loops.Dynamic):
            return (yield atom.value)
        operator = "//" if isinstance(atom, loops.Div) else "%"
        return f"(({(yield atom.index)}) {operator} {self.names.size(atom.by)})"

    def condition(self, c: loops.Condition) -> str:
        text = self.index(c.index)
        if isinstance(c, loops.Divides):
            return f"({text}) % {c.by} == 0"
        return f"{self.names.size(c.low)} <= {text} < {self.names.size(c.high)}"
