"""Rewriting: rules as data, patterns that read like algebra, and the driver that applies them to a fixed point.

A rule is `Rule("x + 0", x + 0, lambda x: x)`: a name, a pattern, and what takes its place. Patterns overload
operators; a wildcard that stands twice must match the same node (nodes are interned, so that is identity).
Every application is counted under the rule's name. Common subexpressions need no rule, since equal
expressions are one node, and dead code none, since what no output needs is never visited. Leans on `tensor`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..graph.node import inherit_location, name_of, set_name, toposort
from ..graph.tensor import Tensor, apply_with, full_value

MAX_REWRITES = 64
_PACKAGE = Path(__file__).parents[2]

Binding = dict[str, Any]


class Pattern:
    """A shape that nodes may have."""

    root: str | None = None

    def match(self, node: Tensor, bound: Binding) -> Binding | None:
        """`bound` with this pattern's wildcards, or None."""
        raise NotImplementedError

    def __add__(self, other: Any) -> OpPattern:
        return op("add", self, other)

    def __radd__(self, other: Any) -> OpPattern:
        return op("add", other, self)

    def __sub__(self, other: Any) -> OpPattern:
        return op("sub", self, other)

    def __rsub__(self, other: Any) -> OpPattern:
        return op("sub", other, self)

    def __mul__(self, other: Any) -> OpPattern:
        return op("mul", self, other)

    def __rmul__(self, other: Any) -> OpPattern:
        return op("mul", other, self)

    def __truediv__(self, other: Any) -> OpPattern:
        return op("div", self, other)

    def __rtruediv__(self, other: Any) -> OpPattern:
        return op("div", other, self)

    def __pow__(self, other: Any) -> OpPattern:
        return op("pow", self, other)

    def __neg__(self) -> OpPattern:
        return op("neg", self)


@dataclass(frozen=True, eq=False)
class Any_(Pattern):
    """Any node; the same one wherever the name stands again."""

    name: str

    def match(self, node: Tensor, bound: Binding) -> Binding | None:
        if self.name in bound:
            return bound if bound[self.name] is node else None
        return {**bound, self.name: node}


@dataclass(frozen=True, eq=False)
class Number(Pattern):
    """A tensor that holds one number everywhere; binds the number."""

    name: str

    def match(self, node: Tensor, bound: Binding) -> Binding | None:
        number = full_value(node)
        return None if number is None else {**bound, self.name: number}


@dataclass(frozen=True, eq=False)
class Literal(Pattern):
    """A tensor that holds this number everywhere."""

    number: float

    def match(self, node: Tensor, bound: Binding) -> Binding | None:
        number = full_value(node)
        return bound if number is not None and number == self.number else None


@dataclass(frozen=True, eq=False)
class OpPattern(Pattern):
    """A node of one op whose inputs match, in either order where the op commutes. Binds itself under `name`."""

    op: str
    inputs: tuple[Pattern, ...]
    name: str = ""

    def match(self, node: Tensor, bound: Binding) -> Binding | None:
        if node.op.name != self.op or len(node.inputs) != len(self.inputs):
            return None
        if self.name:
            if bound.get(self.name, node) is not node:
                return None
            bound = {**bound, self.name: node}
        orders = [node.inputs]
        if node.op.commutative and node.inputs[0] is not node.inputs[1]:
            orders.append(node.inputs[::-1])
        for inputs in orders:
            found: Binding | None = bound
            for pattern, x in zip(self.inputs, inputs):
                if found is not None:
                    found = pattern.match(x, found)
            if found is not None:
                return found
        return None


def op(name: str, *inputs: Any, bind: str = "") -> OpPattern:
    """The pattern of an op; numbers stand for tensors of that number."""
    return OpPattern(name, tuple(i if isinstance(i, Pattern) else Literal(float(i)) for i in inputs), bind)


@dataclass(frozen=True, eq=False)
class Rule:
    """What matches `pattern` (and `where`, given the bindings) becomes `build(**bindings)`; None: leave it."""

    name: str
    pattern: OpPattern
    build: Callable[..., Tensor | None]
    where: Callable[..., bool] | None = None
    source: str = field(default_factory=lambda: _caller())

    @cached_property
    def needs(self) -> frozenset[str]:
        """The ops that have to be among those of a node's inputs."""
        numbers = ("full" for x in self.pattern.inputs if isinstance(x, (Number, Literal)))
        return frozenset([*numbers, *(x.op for x in self.pattern.inputs if isinstance(x, OpPattern))])

    def try_on(self, node: Tensor) -> Tensor | None:
        bound = self.pattern.match(node, {})
        if bound is None or (self.where is not None and not self.where(**bound)):
            return None
        return self.build(**bound)


def _caller() -> str:
    """Where a rule is written: a file of the package by its path in it."""
    frame = sys._getframe(3)
    path = Path(frame.f_code.co_filename)
    place = path.relative_to(_PACKAGE) if path.is_relative_to(_PACKAGE) else path
    return f"{place}:{frame.f_lineno}"


class Table:
    """A named list of rules, indexed by the op at the root. Tables add up."""

    def __init__(self, name: str, rules: Iterable[Rule]):
        self.name, self.rules = name, tuple(rules)
        self.by_op: dict[str, list[Rule]] = {}
        for rule in self.rules:
            self.by_op.setdefault(rule.pattern.op, []).append(rule)

    def __add__(self, other: Table) -> Table:
        return Table(f"{self.name}+{other.name}", self.rules + other.rules)


@dataclass
class Report:
    """How often each rule was applied, and where each stands, as file:line."""

    hits: Counter[str] = field(default_factory=Counter)
    sources: dict[str, str] = field(default_factory=dict)

    def note(self, rule: Rule) -> None:
        self.hits[rule.name] += 1
        self.sources[rule.name] = rule.source

    def __str__(self) -> str:
        return "\n".join(f"{count:6}  {name}" for name, count in self.hits.most_common())


def rewrite(outputs: Sequence[Tensor], table: Table) -> tuple[list[Tensor], Report]:
    """The outputs with every rule of the table applied until none fits. Values are preserved."""
    walk = _Walk(table, set(toposort(outputs)))
    return [walk.settle(y) for y in outputs], walk.report


class _Walk:
    """One run to the fixed point: nodes are settled inputs first, and what replaces a node is settled in turn."""

    def __init__(self, table: Table, original: set[Any]):
        self.table, self.original, self.report = table, original, Report()
        self.final: dict[Any, Tensor] = {}
        self.becomes: dict[Any, Tensor] = {}
        self.trail: dict[Any, tuple[str, ...]] = {}  # the rules that led to a node, for the error below
        self.origin: dict[Any, Tensor] = {}  # the node of the original graph that a new node stands for

    def settle(self, root: Tensor) -> Tensor:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.final:
                stack.pop()
            elif node in self.becomes:
                self._close(node)
            else:
                stack.extend(self._open(node))
        return self.final[root]

    def _open(self, node: Tensor) -> list[Tensor]:
        """What must be settled before `node` is: its inputs, then what it becomes. Nothing: it is settled now."""
        waiting = [i for i in reversed(node.inputs) if i not in self.final]
        if waiting:
            for x in waiting:
                self._came_from(x, node, ())
            return waiting
        current = rebuild(node, [self.final[i] for i in node.inputs])
        if current is not node:
            return [self._replace(node, current, ())]
        new = _once(node, self.table, self.report)
        if new is None:
            self.final[node] = node
            return []
        return [self._replace(node, new[1], (new[0].name,))]

    def _replace(self, node: Tensor, new: Tensor, rules: tuple[str, ...]) -> Tensor:
        self.becomes[node] = new
        self._came_from(new, node, rules)
        if new in self.becomes and new not in self.final:
            self._endless(new, (*self.trail.get(node, ()), *rules))
        return new

    def _came_from(self, new: Tensor, node: Tensor, rules: tuple[str, ...]) -> None:
        if new in self.original or new in self.origin:
            return
        self.origin[new] = self.origin.get(node, node)
        inherit_location(new, self.origin[new])
        trail = self.trail[new] = (*self.trail.get(node, ()), *rules)[-MAX_REWRITES:]
        if len(trail) == MAX_REWRITES:
            self._endless(new, trail)

    def _close(self, node: Tensor) -> None:
        """`node` is settled where what it became is; where that waits for `node` itself, rewriting does not end."""
        settled = self.final.get(self.becomes[node])
        if settled is None:
            self._endless(node, self.trail.get(self.becomes[node], ()))
        else:
            self.final[node] = settled
            _keep_name(settled, node)

    def _endless(self, node: Tensor, rules: tuple[str, ...]) -> None:
        cycle = ", ".join(map(repr, dict.fromkeys(rules)))
        raise AssertionError(f"rewriting {node.brief()} does not end; the rules that keep firing: {cycle}")


def _once(node: Tensor, table: Table, report: Report) -> tuple[Rule, Tensor] | None:
    """The first rule that fits the node, and what it makes of it."""
    below = {x.op.name for x in node.inputs}
    for rule in table.by_op.get(node.op.name, ()):
        new = rule.try_on(node) if rule.needs <= below else None
        if new is not None and new is not node:
            assert new.shape == node.shape and new.dtype == node.dtype, (
                f"rule {rule.name!r} ({rule.source}) made {new.brief()} of {node.brief()}"
            )
            report.note(rule)
            return rule, new
    return None


def _keep_name(new: Tensor, old: Tensor) -> None:
    name = name_of(old)
    if name is not None and name_of(new) is None and new.op.kind != "source":
        set_name(new, name)


def rebuild(node: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """The same op over other inputs."""
    if all(a is b for a, b in zip(node.inputs, inputs)):
        return node
    return apply_with(node.op.name, inputs, node.attrs)
