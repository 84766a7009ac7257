"""The loop form: scalar expressions over loop axes, which every printer (CPU, CUDA) is generated from.

An `Expr` says what one element of a result is: loads at affine indices, guards, scalar calls and
reductions over further axes. Fusing a producer is substitution into the expression; fusing a consumer is
wrapping it. Both kinds of value here, `Index` (where) and `Expr` (what), are immutable, and expressions are
interned, so that equal subexpressions are one object. Leans on `shapes`.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...runtime.locks import fork_safe_lock
from .. import dtypes
from ..shapes import Dim, divide, surely

_ids = itertools.count()
_INTERNING = fork_safe_lock()


@dataclass(frozen=True, eq=False)
class Axis:
    """A loop index running over [0, extent)."""

    extent: Dim
    hint: str = "i"
    uid: int = field(default_factory=lambda: next(_ids))

    def __repr__(self) -> str:
        return f"{self.hint}{self.uid}"

    def __lt__(self, other: Axis) -> bool:
        return self.uid < other.uid


# ---------------------------------------------------------------- where: index expressions


@dataclass(frozen=True)
class Div:
    """floor(index / by)"""

    index: Index
    by: Dim

    def __repr__(self) -> str:
        return f"({self.index} // {self.by})"


@dataclass(frozen=True)
class Mod:
    """index - by * floor(index / by)"""

    index: Index
    by: Dim

    def __repr__(self) -> str:
        return f"({self.index} % {self.by})"


@dataclass(frozen=True)
class Dynamic:
    """An index read from data."""

    value: Expr

    def __repr__(self) -> str:
        return f"{self.value}"


Atom = Axis | Div | Mod | Dynamic


class Index:
    """An affine expression: the sum of coefficient times atom, plus a constant."""

    __slots__ = ("_axes", "_hash", "_read", "const", "terms")

    def __init__(self, terms: Mapping[Atom, Dim] | Iterable[tuple[Atom, Dim]] = (), const: Dim = 0):
        items = terms.items() if isinstance(terms, Mapping) else terms
        self.terms: tuple[tuple[Atom, Dim], ...] = tuple((a, c) for a, c in items if c != 0)
        self.const = const
        self._hash: int | None = None
        self._axes: frozenset[Axis] | None = None
        self._read: tuple[Expr, ...] | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((frozenset(self.terms), self.const))
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Index) or hash(self) != hash(other):
            return False
        return self.const == other.const and dict(self.terms) == dict(other.terms)

    def __add__(self, other: Index | Dim) -> Index:
        if not isinstance(other, Index):
            return Index(self.terms, self.const + other)
        terms = dict(self.terms)
        for atom, c in other.terms:
            terms[atom] = terms.get(atom, 0) + c
        return Index(terms, self.const + other.const)

    def __mul__(self, by: Dim) -> Index:
        return Index([(a, c * by) for a, c in self.terms], self.const * by)

    def __floordiv__(self, by: Dim) -> Index:
        """Exact simplification: what `by` divides moves out; what is known to stay below `by` vanishes."""
        if by == 1:
            return self
        out, rest = self._split(by)
        if rest.within(by):
            return out
        return out + Index([(Div(rest, by), 1)])

    def __mod__(self, by: Dim) -> Index:
        if by == 1:
            return Index()
        _, rest = self._split(by)
        if rest.within(by):
            return rest
        return Index([(Mod(rest, by), 1)])

    def _split(self, by: Dim) -> tuple[Index, Index]:
        """(a, b) with self = a * by + b."""
        out: list[tuple[Atom, Dim]] = []
        rest: list[tuple[Atom, Dim]] = []
        for atom, c in self.terms:
            q = divide(c, by)
            (rest if q is None else out).append((atom, c if q is None else q))
        q_const: Dim
        r_const: Dim
        if isinstance(self.const, int) and isinstance(by, int):
            q_const, r_const = divmod(self.const, by)
        else:
            q = divide(self.const, by)
            q_const, r_const = (q, 0) if q is not None else (0, self.const)
        return Index(out, q_const), Index(rest, r_const)

    def within(self, bound: Dim) -> bool:
        """Is 0 <= self < bound known?"""
        low, high = self.bounds()
        if low is None or high is None or low < 0:
            return False
        if isinstance(high, int) and isinstance(bound, int):
            return high < bound
        return surely(bound - high - 1)

    def bounds(self) -> tuple[int | None, Dim | None]:
        """(least, greatest) value, None where not known; symbols are taken to be at least 1."""
        if not isinstance(self.const, int):
            return None, None
        low: int | None = self.const
        high: Dim | None = self.const
        for atom, c in self.terms:
            extent = atom.extent if isinstance(atom, Axis) else atom.by if isinstance(atom, Mod) else None
            if extent is None:
                return None, None
            reach = (extent - 1) * c
            if not isinstance(c, int) or c > 0:
                high = None if high is None else high + reach
            elif isinstance(reach, int) and low is not None:
                low = low + reach
            else:
                low = None
        return low, high

    def recombined(self) -> Index:
        """With every `i // by * (c * by) + i % by * c` as `i * c`."""
        terms = dict(self.terms)
        for atom, c in self.terms:
            if isinstance(atom, Mod) and terms.get(Div(atom.index, atom.by)) == c * atom.by:
                del terms[atom], terms[Div(atom.index, atom.by)]
                return (atom.index * c + Index(terms, self.const)).recombined()
        return self

    @property
    def axes(self) -> frozenset[Axis]:
        if self._axes is None:
            out: set[Axis] = set()
            for atom, _ in self.terms:
                if isinstance(atom, Axis):
                    out.add(atom)
                elif isinstance(atom, Dynamic):
                    out |= atom.value.axes
                else:
                    out |= atom.index.axes
            self._axes = frozenset(out)
        return self._axes

    @property
    def read_from_data(self) -> tuple[Expr, ...]:
        """The values that the index takes from data, those inside divisions and remainders too."""
        if self._read is None:
            found: list[Expr] = []
            waiting = [self]
            while waiting:
                for atom, _ in waiting.pop().terms:
                    if isinstance(atom, Dynamic):
                        found.append(atom.value)
                    elif isinstance(atom, Div | Mod):
                        waiting.append(atom.index)
            self._read = tuple(found)
        return self._read

    def affine_in(self, axes: Iterable[Axis]) -> bool:
        """Do these axes stand in no division, remainder or index read from data?"""
        within = set().union(*(Index([(a, 1)]).axes for a, _ in self.terms if not isinstance(a, Axis)))
        return within.isdisjoint(axes)

    def coefficient(self, axis: Axis) -> Dim:
        for atom, c in self.terms:
            if atom is axis:
                return c
        return 0

    def substitute(self, table: Mapping[Axis, Index]) -> Index:
        if not any(a in table for a in self.axes):
            return self
        out = Index(const=self.const)
        for atom, c in self.terms:
            if isinstance(atom, Axis):
                new = table.get(atom, Index([(atom, 1)]))
            elif isinstance(atom, Div):
                new = atom.index.substitute(table) // atom.by
            elif isinstance(atom, Mod):
                new = atom.index.substitute(table) % atom.by
            else:
                new = Index([(Dynamic(substitute(atom.value, table)), 1)])
            out = out + new * c
        return out

    def __repr__(self) -> str:
        parts = [f"{a}" if c == 1 else f"{c}*{a}" for a, c in self.terms]
        if self.const != 0 or not parts:
            parts.append(str(self.const))
        return " + ".join(parts)


def at(axis: Axis | Dim) -> Index:
    """An axis or a constant as an index."""
    return Index([(axis, 1)]) if isinstance(axis, Axis) else Index(const=axis)


@dataclass(frozen=True)
class Within:
    """The condition low <= index < high."""

    index: Index
    high: Dim
    low: Dim = 0


@dataclass(frozen=True)
class Divides:
    """The condition index % by == 0."""

    index: Index
    by: int


Condition = Within | Divides


# ---------------------------------------------------------------- what: scalar expressions


class Expr:
    """One scalar value. `kind` is const, load, call, index, size, guard or reduce; `data` what belongs to it:

    `dtype` is what is computed with: values of a bfloat16 buffer are float32 once loaded, until they are stored.
    const: the Python number · load: (tensor, index per dimension) · call: the function's name · index: the
    Index · size: the Dim · guard: the conditions (args: value, otherwise) · reduce: (kind, axes)

    `origin`, which is not part of what an expression is, is the node of the graph whose value it was lowered as; None
    for what is inside of such a value.
    """

    __slots__ = ("__weakref__", "args", "axes", "data", "dtype", "kind", "origin", "weight")

    kind: str
    args: tuple[Expr, ...]
    data: Any
    dtype: str
    axes: frozenset[Axis]
    weight: int
    origin: Any

    _interned: ClassVar[weakref.WeakValueDictionary[tuple[Any, ...], Expr]] = weakref.WeakValueDictionary()

    def __repr__(self) -> str:
        return show(self)


def _make(kind: str, args: tuple[Expr, ...], data: Any, dtype: str) -> Expr:
    dtype = dtypes.computed(dtype)
    key = (kind, tuple(map(id, args)), type(data), data, dtype)
    expr = Expr._interned.get(key)
    if expr is not None:
        return expr
    expr = object.__new__(Expr)
    expr.kind, expr.args, expr.data, expr.dtype, expr.origin = kind, args, data, dtype, None
    free: set[Axis] = set().union(*(a.axes for a in args)) if args else set()
    if kind == "load":
        free.update(*(i.axes for i in data[1]))
    elif kind == "index":
        free |= data.axes
    elif kind == "guard":
        free.update(*(c.index.axes for c in data))
    elif kind == "reduce":
        free -= set(data[1])
    expr.axes = frozenset(free)
    expr.weight = 1 + sum(a.weight for a in args)
    with _INTERNING:  # of two threads that make the same one, the first's is kept
        known = Expr._interned.get(key)
        if known is not None:
            return known
        Expr._interned[key] = expr
    return expr


def const(value: int | float | bool, dtype: str) -> Expr:
    # the sign of zero and NaN have to survive interning: key on the representation
    return _make("const", (), (repr(value), value) if value == value else ("nan", repr(value)), dtype)


def const_value(expr: Expr) -> Any:
    return float("nan") if expr.data[0] == "nan" else expr.data[1]


def load(tensor: Any, index: Sequence[Index], dtype: str) -> Expr:
    return _make("load", (), (tensor, tuple(index)), dtype)


def call(function: str, args: Sequence[Expr], dtype: str) -> Expr:
    return _make("call", tuple(args), function, dtype)


def index_value(index: Index, dtype: str) -> Expr:
    return _make("index", (), index, dtype)


def size_value(size: Dim, dtype: str) -> Expr:
    return const(size, dtype) if isinstance(size, int) else _make("size", (), size, dtype)


def guard(conditions: Iterable[Condition], value: Expr, otherwise: Expr) -> Expr:
    """`value` where every condition holds (and only there evaluated), else `otherwise`."""
    kept = []
    for c in conditions:
        if isinstance(c, Within) and c.low == 0 and c.index.within(c.high):
            continue
        if isinstance(c, Divides) and c.by == 1:
            continue
        kept.append(c)
    return _make("guard", (value, otherwise), tuple(dict.fromkeys(kept)), value.dtype) if kept else value


def reduction(kind: str, axes: Sequence[Axis], body: Expr, dtype: str) -> Expr:
    """Sum, product, max, min or argmax of `body` over `axes`, outermost axis first."""
    return _make("reduce", (body,), (kind, tuple(axes)), dtype) if axes else body


def rebuild(expr: Expr, args: tuple[Expr, ...], data: Any = None) -> Expr:
    """The same expression over other arguments."""
    data = expr.data if data is None else data
    if args == expr.args and data == expr.data:
        return expr
    if expr.kind == "guard":
        return guard(data, *args)
    return _make(expr.kind, args, data, expr.dtype)


def postorder(roots: Iterable[Expr], leaf: Callable[[Expr], bool] | None = None) -> list[Expr]:
    """Every subexpression, arguments first, and the values that indices take from data. Does not look past leaves."""
    order: list[Expr] = []
    done: set[Expr] = set()
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(list(roots))]
    while stack:
        expr, ready = stack.pop()
        if expr in done:
            continue
        if ready:
            done.add(expr)
            order.append(expr)
            continue
        stack.append((expr, True))
        if leaf is not None and leaf(expr):
            continue
        stack.extend((a, False) for a in reversed(expr.args) if a not in done)
        for index in indices(expr):
            for value in index.read_from_data:
                stack.append((value, False))
    return order


def indices(expr: Expr) -> tuple[Index, ...]:
    """The index expressions that stand directly in `expr`."""
    if expr.kind == "load":
        result: tuple[Index, ...] = expr.data[1]
        return result
    if expr.kind == "index":
        return (expr.data,)
    if expr.kind == "guard":
        return tuple(c.index for c in expr.data)
    return ()


def stem_from(expr: Expr, origin: Any) -> Expr:
    """The expression, known to be the value of the node `origin`, unless it is known to be another's. Numbers, which
    all programs share, are no one's."""
    if expr.origin is None and expr.kind not in ("const", "size", "index"):
        expr.origin = origin
    return expr


def transform(root: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """`root` with `change` applied to every subexpression, arguments first. What takes the place of a node's value is
    that node's."""
    done: dict[Expr, Expr] = {}
    for expr in postorder([root]):
        done[expr] = stem_from(change(rebuild(expr, tuple(done[a] for a in expr.args))), expr.origin)
    return done[root]


def substitute(root: Expr, table: Mapping[Axis, Index]) -> Expr:
    """`root` with axes replaced by indices (reductions over a replaced axis must be rewritten by the caller)."""

    def change(expr: Expr) -> Expr:
        if expr.kind == "load":
            tensor, index = expr.data
            return load(tensor, [i.substitute(table) for i in index], expr.dtype)
        if expr.kind == "index":
            return index_value(expr.data.substitute(table), expr.dtype)
        if expr.kind == "guard":
            conditions = [
                Within(c.index.substitute(table), c.high, c.low)
                if isinstance(c, Within)
                else Divides(c.index.substitute(table), c.by)
                for c in expr.data
            ]
            return guard(conditions, *expr.args)
        return expr

    return transform(root, change)


def loads(roots: Iterable[Expr]) -> list[Expr]:
    """The load expressions below `roots`, in order of first use."""
    return [e for e in postorder(roots) if e.kind == "load"]


def show(root: Expr, names: Mapping[Expr, str] | None = None, named: Mapping[Any, str] | None = None) -> str:
    """The expression as text, in which those below `root` that have names stand by them. named: what buffers are
    called here."""
    known, called = names or {}, named or {}
    text: dict[Expr, str] = {}
    for e in postorder([root], lambda e: e in known and e is not root):
        if e in known and e is not root:
            text[e] = known[e]
            continue
        args = ", ".join(text[a] for a in e.args)
        if e.kind == "const":
            text[e] = e.data[0]
        elif e.kind == "load":
            name = called.get(e.data[0]) or getattr(e.data[0], "name", None) or "t"
            text[e] = f"{name}[{', '.join(map(repr, e.data[1]))}]"
        elif e.kind == "call":
            text[e] = f"{e.data}({args})"
        elif e.kind == "guard":
            text[e] = f"guard({' and '.join(map(repr, e.data))}: {args})"
        elif e.kind == "reduce":
            kind, axes = e.data
            text[e] = f"{kind}[{', '.join(f'{a}<{a.extent}' for a in axes)}]({args})"
        else:
            text[e] = str(e.data)
    return text[root]
