"""Sizes and shapes: a dimension is an `int` or a `Size`, a polynomial in named symbols.

`None` in a user's shape means the symbol `batch`. A `Size` is immutable and hashable; arithmetic gives
back an `int` whenever the result is one, so static shapes never see this class. `size // 2`, which strides give, is
rounded down; it stands in a polynomial as a symbol does, in one form, so that equal sizes are found equal
(`2*h // 2` is `h`, and halving twice is a quotient by 4). Leans on nothing.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, reduce
from types import MappingProxyType
from typing import Any, TypeAlias

from ..runtime.sizes import Factor, Poly, describe, evaluate, order, symbols
from .errors import ShapeError

Monomial: TypeAlias = tuple[Factor, ...]


class Size:
    """A polynomial with integer coefficients in size symbols, such as `784*batch`."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Monomial, int]):
        self.terms: tuple[tuple[Monomial, int], ...] = tuple(
            sorted(((m, c) for m, c in terms.items() if c), key=lambda term: order(term[0]))
        )
        self._hash = hash(self.terms)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.terms == other.terms

    def __add__(self, other: Dim) -> Dim:
        return _plus(self, other) if _is_size(other) else NotImplemented

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1 if _is_size(other) else NotImplemented

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other if _is_size(other) else NotImplemented

    def __mul__(self, other: Dim) -> Dim:
        return _times(self, other) if _is_size(other) else NotImplemented

    __rmul__ = __mul__

    def __floordiv__(self, by: int) -> Dim:
        """The size over a whole number of at least 1, rounded down."""
        number = as_index(by)
        return NotImplemented if number is None or number < 1 else _quotient(self, number)

    def __repr__(self) -> str:
        return describe(tuple(reversed(self.terms)))


Dim = int | Size
Shape = tuple[Dim, ...]


def _is_size(x: object) -> bool:
    """A Size or an integer, NumPy's too; a bool is none."""
    return isinstance(x, Size) or as_index(x) is not None


def as_index(x: Any) -> int | None:
    """An integer of any type as Python's; None for anything else, bools included."""
    try:
        return None if isinstance(x, bool) else operator.index(x)
    except TypeError:
        return None


@lru_cache(4096)  # a network has few sizes, and asks for the same sums and products at every layer
def _plus(a: Size, b: Dim) -> Dim:
    terms = dict(a.terms)
    for monomial, coefficient in poly(b):
        terms[monomial] = terms.get(monomial, 0) + coefficient
    return _normal(terms)


@lru_cache(4096)
def _times(a: Size, b: Dim) -> Dim:
    terms: dict[Monomial, int] = {}
    for m1, c1 in a.terms:
        for m2, c2 in poly(b):
            m = tuple(sorted(m1 + m2, key=lambda factor: order((factor,))))
            terms[m] = terms.get(m, 0) + c1 * c2
    return _normal(terms)


def _normal(terms: Mapping[Monomial, int]) -> Dim:
    size = Size(terms)
    if not size.terms:
        return 0
    if len(size.terms) == 1 and size.terms[0][0] == ():
        return size.terms[0][1]
    return size


def _quotient(size: Dim, by: int) -> Dim:
    """`size // by`. What the divisor divides moves out, so that the rest has factors from 0 to `by` alone."""
    out: Dim = 0
    while isinstance(size, Size):
        rest: dict[Monomial, int] = {}
        for monomial, count in size.terms:
            whole, rest[monomial] = divmod(count, by)
            out = out + _normal({monomial: whole})
        const = rest.pop((), 0)
        common = math.gcd(by, *rest.values())
        by, const = by // common, const // common
        rest = {monomial: count // common for monomial, count in rest.items() if count}
        if not rest:
            return out
        ((monomial, count), *others) = rest.items()
        if others or count != 1 or len(monomial) != 1 or isinstance(monomial[0], str):
            inner = Size({**rest, (): const})
            return out + Size({((inner.terms, by),): 1})
        under, inner_by = monomial[0]  # a quotient of a quotient is one
        size, by = Size(dict(under)) + const * inner_by, inner_by * by
    return out + size // by


def surely(size: Dim) -> bool:
    """Is it known that the size is at least 0, from how far rounding down goes?"""
    while isinstance(size, Size):
        found = next(((m, c) for m, c in size.terms if len(m) == 1 and not isinstance(m[0], str)), None)
        if found is None:
            return False
        (quotient,), count = found
        assert not isinstance(quotient, str)
        under, by = Size(dict(quotient[0])), quotient[1]
        least = under - (by - 1) if count > 0 else under  # by * quotient lies between them
        size = (size - _normal({(quotient,): count})) * by + least * count
    return size >= 0


def symbol(name: str) -> Size:
    """The size symbol called `name`."""
    return Size({(name,): 1})


BATCH = symbol("batch")


def poly(size: Dim) -> Poly:
    """The size as the runtime's plain data."""
    if isinstance(size, Size):
        return size.terms
    return (((), operator.index(size)),) if size else ()


def value(size: Dim, env: Mapping[str, int]) -> int:
    """The size as a number, for given values of its symbols."""
    return size if isinstance(size, int) else evaluate(size.terms, dict(env))


NOMINAL = 128
"""What a symbol counts as in estimates where nothing else is said."""

_TYPICAL: ContextVar[Mapping[str, int]] = ContextVar("typical sizes", default=MappingProxyType({}))


@contextmanager
def typical(sizes: Mapping[str, int]) -> Iterator[None]:
    """Within this context estimates take symbols to have these sizes."""
    token = _TYPICAL.set(sizes)
    try:
        yield
    finally:
        _TYPICAL.reset(token)


def nominal(size: Dim) -> int:
    """A size for estimates."""
    if isinstance(size, int):
        return size
    known = _TYPICAL.get()
    return max(0, value(size, {s: known.get(s, NOMINAL) for s in symbols(size.terms)}))


def product(sizes: Iterable[Dim]) -> Dim:
    """The number of elements of a shape."""
    one: Dim = 1
    return reduce(lambda a, b: a * b, sizes, one)


def divide(a: Dim, b: Dim) -> Dim | None:
    """`a / b` where it is exact for every value of the symbols, else None. Long division of polynomials."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b and a % b == 0 else None
    if b == 0:
        return None
    (by, by_count), out = _leading(b), {}
    while a != 0:
        monomial, count = _leading(a)
        rest = _without(monomial, by)
        if rest is None or count % by_count:
            return None
        out[rest] = count // by_count
        a = a - _normal({rest: out[rest]}) * b
    return _normal(out)


def _leading(size: Dim) -> tuple[Monomial, int]:
    """The greatest term in an order that products keep: by degree, then by name."""
    return max(poly(size), key=lambda term: (len(term[0]), order(term[0])))


def _without(monomial: Monomial, by: Monomial) -> Monomial | None:
    """The monomial divided by another, None where it is no multiple."""
    rest = list(monomial)
    for name in by:
        if name not in rest:
            return None
        rest.remove(name)
    return tuple(rest)


def from_user(shape: object) -> Shape:
    """A user's shape, with `None` for the batch, as a `Shape`; one size alone is the shape of a vector.

    Raises ShapeError for anything that is no size.
    """
    if type(shape) is tuple and all(type(d) is Size or (type(d) is int and d >= 0) for d in shape):
        return shape
    alone = isinstance(shape, (str, Size)) or as_index(shape) is not None or not isinstance(shape, Iterable)
    items = (shape,) if alone else tuple(shape)  # type: ignore[arg-type]
    out: list[Dim] = []
    for item in items:
        if item is None:
            out.append(BATCH)
        elif isinstance(item, str):
            out.append(symbol(item))
        elif isinstance(item, Size):
            out.append(item)
        elif (n := as_index(item)) is not None and n >= 0:
            out.append(n)
        else:
            raise ShapeError(f"a size must be None, a name or an integer of at least 0, not {item!r} in {shape!r}")
    return tuple(out)


def show(shape: Sequence[Dim]) -> str:
    """The shape as people write it: `(batch, 784)`."""
    return "(" + ", ".join(str(d) for d in shape) + ("," if len(shape) == 1 else "") + ")"


def broadcast(*shapes: Shape) -> Shape | None:
    """The shape that all broadcast to under NumPy's rules, or None where they do not."""
    rank = max((len(s) for s in shapes), default=0)
    out: list[Dim] = []
    for i in range(rank):
        dim: Dim = 1
        for shape in shapes:
            j = i - rank + len(shape)
            if j < 0 or shape[j] == 1:
                continue
            if dim != 1 and dim != shape[j]:
                return None
            dim = shape[j]
        out.append(dim)
    return tuple(out)
