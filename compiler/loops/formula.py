"""Formulas: functions of scalars written with Python's operators, which become loop expressions.

    from ...loops import formula as f

    def hard_sigmoid(x: f.Value) -> f.Value:
        return f.minimum(f.maximum(x + 3, 0), 6) / 6

`f.NAME` calls the scalar function of that name in `functions.py`. A number takes the dtype of the value that it meets.
A formula is written once and lowers on every target. Leans on `expressions` and `functions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .. import dtypes
from . import expressions as loops
from .functions import FUNCTIONS, Function


class Value:
    """A scalar inside a formula."""

    __slots__ = ("expr",)

    def __init__(self, expr: loops.Expr):
        self.expr = expr

    def __add__(self, other: Like) -> Value:
        return call("add", self, other)

    def __radd__(self, other: Like) -> Value:
        return call("add", other, self)

    def __sub__(self, other: Like) -> Value:
        return call("sub", self, other)

    def __rsub__(self, other: Like) -> Value:
        return call("sub", other, self)

    def __mul__(self, other: Like) -> Value:
        return call("mul", self, other)

    def __rmul__(self, other: Like) -> Value:
        return call("mul", other, self)

    def __truediv__(self, other: Like) -> Value:
        return call("div", self, other)

    def __rtruediv__(self, other: Like) -> Value:
        return call("div", other, self)

    def __neg__(self) -> Value:
        return call("neg", self)

    def __abs__(self) -> Value:
        return call("abs", self)

    def __lt__(self, other: Like) -> Value:
        return call("lt", self, other)

    def __le__(self, other: Like) -> Value:
        return call("le", self, other)

    def __gt__(self, other: Like) -> Value:
        return call("lt", other, self)

    def __ge__(self, other: Like) -> Value:
        return call("le", other, self)

    def __bool__(self) -> bool:
        raise TypeError("a formula has no branches, its values are known in the kernel only; use where(c, a, b)")


Like = Value | float | int | bool
Formula = Callable[..., Value]


def call(name: str, *args: Like) -> Value:
    """A call of a scalar function; numbers among the arguments take the dtype of the last value among them."""
    function = FUNCTIONS[name]
    if len(args) != function.arity:
        raise TypeError(f"{name} takes {function.arity} arguments, not {len(args)}")
    values = [x.expr.dtype for x in args[-2:] if isinstance(x, Value)]  # of `where` the two to choose from
    if not values:
        raise TypeError(f"{name}: one of the arguments has to be a value of the formula")
    dtype = values[-1]
    exprs = [x.expr if isinstance(x, Value) else loops.const(x, dtype) for x in args]
    return Value(loops.call(name, exprs, dtypes.BOOL if function.truth else dtype))


def expression(formula: Formula, args: Sequence[loops.Expr]) -> loops.Expr:
    """The formula's value for these arguments."""
    return formula(*map(Value, args)).expr


def functions(formula: Formula, arity: int) -> list[Function]:
    """The functions that the formula calls, one for each of its calls; equal calls are one."""
    args = [loops.load(f"argument {i}", (), dtypes.FLOAT32) for i in range(arity)]
    return [FUNCTIONS[e.data] for e in loops.postorder([expression(formula, args)]) if e.kind == "call"]


def __getattr__(name: str) -> Callable[..., Value]:
    if name not in FUNCTIONS:
        raise AttributeError(f"no scalar function {name!r}; loops/functions.py has them all")
    return partial(call, name)
