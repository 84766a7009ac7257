"""Elementwise ops: one row each. Inputs have the same shape (the DSL broadcasts before it gets here).

A row is `_op(name, numpy, gradient, samples)`; the scalar code is the function of the same name in the code
generator's math library. Leans on `tensor` for the operators the gradients are written in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....runtime.errors import IndexLimitError
from ... import dtypes
from ...errors import DTypeError, ShapeError
from ...loops import expressions as loops
from ...loops import formula as f
from ...loops.functions import FUNCTIONS
from ...shapes import Dim, value
from ..node import Location, location, user_location
from ..tensor import Like, Tensor, apply, as_tensor, bitwise, checked_shape, elementwise, full, full_value
from .registry import Bad, Op, Sample, register

Gradient = Callable[..., Sequence[Any]]


def _same(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    first = inputs[0]
    for other in inputs[1:]:
        if other.shape != first.shape:
            raise ShapeError("operands must have the same shape")
        if other.dtype != first.dtype:
            raise DTypeError("operands must have the same dtype")
    return first.shape, first.dtype


def _floating(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    shape, dtype = _same(inputs, attrs)
    if not dtypes.is_float(dtype):
        raise DTypeError(f"needs floats, not {dtype}")
    return shape, dtype


def _numeric(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    shape, dtype = _same(inputs, attrs)
    if dtype == dtypes.BOOL:
        raise DTypeError("needs numbers, not bool; use .astype")
    return shape, dtype


def _bits(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    shape, dtype = _same(inputs, attrs)
    if not dtypes.is_integer(dtype):
        raise DTypeError(f"needs integers, not {dtype}")
    return shape, dtype


def _compare(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    return _same(inputs, attrs)[0], dtypes.BOOL


def _logical(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    shape, dtype = _same(inputs, attrs)
    if dtype != dtypes.BOOL:
        raise DTypeError(f"needs bool, not {dtype}")
    return shape, dtype


def _where(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    if inputs[0].dtype != dtypes.BOOL:
        raise DTypeError(f"the condition must be bool, not {inputs[0].dtype}")
    return _same(inputs[1:], attrs)


def _lower(name: str, scalar: f.Formula | None) -> Callable[..., Any]:
    """The formula, or else a call of the scalar function of the op's name."""

    def lower(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
        args = [read(k, index) for k in range(len(node.inputs))]
        return loops.call(name, args, node.dtype) if scalar is None else f.expression(scalar, args)

    return lower


def _op(
    name: str,
    numpy: Callable[..., Any],
    gradient: Gradient | None = None,
    infer: Callable[..., Any] = _floating,
    domain: tuple[float, float] = (-2.0, 2.0),
    away_from: tuple[float, ...] = (),
    arity: int = 1,
    zero: bool = False,
    dtypes_: tuple[str | None, ...] | None = None,
    scalar: f.Formula | None = None,
    **facts: Any,
) -> Op:
    calls = [FUNCTIONS[name]] if scalar is None else f.functions(scalar, arity)
    shapes = [(3, 5), (1, 1), (7,), (), (0, 3)]
    strict = tuple(d or dtypes.FLOAT32 for d in dtypes_) if dtypes_ else None
    return register(
        Op(
            name,
            "elementwise",
            infer,
            lambda node, env, *arrays: np.asarray(numpy(*arrays)).astype(dtypes.computed(node.dtype), copy=False),
            _lower(name, scalar),
            vjp=gradient or ((lambda node, g: [None] * arity) if zero else None),
            zero_gradient=zero,
            samples=tuple(Sample((s,) * arity, domain=domain, away_from=away_from, dtypes=dtypes_) for s in shapes),
            bad=(Bad(((2, 3),) * (arity - 1) + ((2, 4),), dtypes=strict, says=("shape", "(2, 4)")),)
            if arity > 1
            else (),
            flops=sum(c.flops for c in calls),
            rounds=not all(c.exact for c in calls),
            underflows=any(c.underflows for c in calls),
            pointwise=arity < 3,
            folds=True,
            logical=infer is _logical,
            **facts,
        )
    )


def _unary(name: str) -> Callable[[Like], Tensor]:
    def function(x: Like) -> Tensor:
        return elementwise(name, x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each element. Any shape; floats (integers become float32)."
    return function


def _binary(name: str) -> Callable[[Like, Like], Tensor]:
    def function(x: Like, y: Like) -> Tensor:
        return elementwise(name, x, y)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each pair of elements, with NumPy broadcasting."
    return function


exp, expm1, log, log1p = _unary("exp"), _unary("expm1"), _unary("log"), _unary("log1p")
sqrt, rsqrt, tanh, sigmoid, erf = _unary("sqrt"), _unary("rsqrt"), _unary("tanh"), _unary("sigmoid"), _unary("erf")
sin, cos, sign, floor = _unary("sin"), _unary("cos"), _unary("sign"), _unary("floor")
ceil, round_, abs_ = _unary("ceil"), _unary("round"), _unary("abs")
maximum, minimum, equal, not_equal = _binary("maximum"), _binary("minimum"), _binary("eq"), _binary("ne")


def floor_divide(x: Like, y: Like) -> Tensor:
    """x // y as `numpy.floor_divide`: the quotient rounded down. Numbers of any dtype, which broadcast.

    Of integers it is an integer: 0 where y is 0, and the least number divided by -1 wraps around. The gradient is 0.
    """
    return elementwise("floor_divide", x, y)


def remainder(x: Like, y: Like) -> Tensor:
    """x % y as `numpy.remainder`: what `x // y` leaves, with the sign of y. Numbers of any dtype, which broadcast.

    Of integers it is 0 where y is 0; of floats it is NaN. The gradient is 1 for x and -(x // y) for y.
    """
    return elementwise("remainder", x, y)


def left_shift(x: Like, bits: Like) -> Tensor:
    """x << bits as `numpy.left_shift`. Integers, which broadcast; 0 where all bits are gone, or `bits` is negative."""
    return elementwise("left_shift", x, bits)


def right_shift(x: Like, bits: Like) -> Tensor:
    """x >> bits as `numpy.right_shift`. Integers, which broadcast; 0, or -1 of negative numbers, where all bits are
    gone, or `bits` is negative."""
    return elementwise("right_shift", x, bits)


def bitwise_and(x: Like, y: Like) -> Tensor:
    """x & y of each bit. Integers, which broadcast; of bools it is a bool."""
    return bitwise("bitwise_and", x, y)


def bitwise_or(x: Like, y: Like) -> Tensor:
    """x | y of each bit. Integers, which broadcast; of bools it is a bool."""
    return bitwise("bitwise_or", x, y)


def bitwise_xor(x: Like, y: Like) -> Tensor:
    """x ^ y of each bit. Integers, which broadcast; of bools it is a bool."""
    return bitwise("bitwise_xor", x, y)


def invert(x: Like) -> Tensor:
    """~x, every bit turned. Integers of any shape; of bools it is a bool."""
    return bitwise("invert", x)


def where(condition: Like, x: Like, y: Like) -> Tensor:
    """`x` where the condition holds, else `y`; all three broadcast."""
    return elementwise("where", condition, x, y)


def clip(x: Like, low: Like, high: Like) -> Tensor:
    """`x` limited to [low, high]; all three broadcast. NaN stays NaN; where low > high it is high.

    The gradient passes where low <= x <= high, the bounds included; beyond them it goes to the bound. It stops at NaN.
    """
    return elementwise("clip", x, low, high)


def relu(x: Like) -> Tensor:
    """max(x, 0); NaN stays NaN. The gradient at 0 is 0."""
    return elementwise("relu", x)


def _pow_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    """By the exponent: x**y log x, which is 0 for x = 0 and y >= 0 (PyTorch's choice), and NaN for x < 0."""
    x, y = node.inputs
    if full_value(y):
        return g * y * x ** (y - 1), None
    constant, flat = equal(y, 0.0), equal(x, 0.0) & (y >= 0)  # x**0 is constant, at 0 as well
    by_x = where(constant, 0.0, g * y * x ** where(constant, 0.0, y - 1))
    return by_x, g * where(flat, 0.0, node * log(where(flat, 1.0, x)))


def _split_ties(node: Tensor, g: Tensor) -> Sequence[Any]:
    """max and min: the gradient goes to the operand that was taken, half to each at a tie, whole to both beside NaN.
    That of the other is 0, where infinity times 0 would be NaN."""
    x, y = node.inputs
    lost = (x < y, y < x) if node.op.name == "maximum" else (y < x, x < y)
    tie = where(equal(x, y), 0.5, 1.0).astype(g.dtype)
    return tuple(where(each, 0.0, g * tie) for each in lost)


def _clip_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    x, low, high = node.inputs
    inside = (x >= low) & (x <= high)
    return where(inside, g, 0.0), where((x < low) & (low < high), g, 0.0), where((x > high) | (high < low), g, 0.0)


def _abs_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    """The sign times g; 0 at 0 and at NaN."""
    (x,) = node.inputs
    return (where(x > 0, g, where(x < 0, -g, 0.0)),)


_op("add", np.add, lambda n, g: (g, g), _numeric, arity=2, commutative=True)
_op("sub", np.subtract, lambda n, g: (g, -g), _numeric, arity=2)
_op("mul", np.multiply, lambda n, g: (g * n.inputs[1], g * n.inputs[0]), _numeric, arity=2, commutative=True)
_op(
    "div",
    np.divide,
    lambda n, g: (g / n.inputs[1], -g * n / n.inputs[1]),
    arity=2,
    domain=(0.5, 2.0),
    promotes=True,
)
_op("floor_divide", np.floor_divide, infer=_numeric, arity=2, domain=(0.3, 2.0), zero=True)
_op(
    "remainder",
    np.remainder,
    lambda n, g: (g, -g * floor_divide(*n.inputs)),
    _numeric,
    arity=2,
    domain=(0.3, 2.0),
)
for _name in ("left_shift", "right_shift", "bitwise_and", "bitwise_or", "bitwise_xor"):
    _op(_name, getattr(np, _name), infer=_bits, arity=2, zero=True, dtypes_=("int32", "int32"))
_op("invert", np.invert, infer=_bits, zero=True, dtypes_=("int32",))
_op("neg", np.negative, lambda n, g: (-g,), _numeric)
_op("pow", np.power, _pow_gradient, arity=2, domain=(0.3, 2.0))
_op("maximum", np.maximum, _split_ties, _numeric, arity=2, commutative=True)
_op("minimum", np.minimum, _split_ties, _numeric, arity=2, commutative=True)
_op(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda n, g: (where(n <= 0, 0, g),),  # of the result, which the next layer keeps anyway
    _numeric,
    away_from=(0.0,),
    scalar=lambda x: f.maximum(x, 0),
)
_op(
    "clip",
    lambda x, low, high: np.minimum(np.maximum(x, low), high),
    _clip_gradient,
    _numeric,
    arity=3,
    scalar=lambda x, low, high: f.minimum(f.maximum(x, low), high),
)
_op("abs", np.abs, _abs_gradient, _numeric, away_from=(0.0,))
_op("sign", np.sign, infer=_numeric, zero=True, away_from=(0.0,))
_op("floor", np.floor, zero=True, away_from=(-2.0, -1.0, 0.0, 1.0, 2.0))
_op("ceil", np.ceil, zero=True, away_from=(-2.0, -1.0, 0.0, 1.0, 2.0))
_op("round", np.round, zero=True, away_from=(-1.5, -0.5, 0.5, 1.5))
_op("exp", np.exp, lambda n, g: (g * n,), promotes=True)
_op("expm1", np.expm1, lambda n, g: (g * (n + 1),), promotes=True)
_op("log", np.log, lambda n, g: (g / n.inputs[0],), domain=(0.3, 3.0), promotes=True)
_op("log1p", np.log1p, lambda n, g: (g / (n.inputs[0] + 1),), domain=(-0.6, 3.0), promotes=True)
_op("sqrt", np.sqrt, lambda n, g: (g / (2 * n),), domain=(0.3, 3.0), promotes=True)
_op("rsqrt", lambda x: 1 / np.sqrt(x), lambda n, g: (g * -0.5 * n * n * n,), domain=(0.3, 3.0), promotes=True)
_op("tanh", np.tanh, lambda n, g: (g * (1 - n * n),), promotes=True)
_op("sigmoid", FUNCTIONS["sigmoid"].numpy, lambda n, g: (g * n * (1 - n),), promotes=True)
_op(
    "erf",
    FUNCTIONS["erf"].numpy,
    lambda n, g: (g * (2 / math.sqrt(math.pi)) * exp(-(n.inputs[0] * n.inputs[0])),),
    promotes=True,
)
_op("sin", np.sin, lambda n, g: (g * cos(n.inputs[0]),), promotes=True)
_op("cos", np.cos, lambda n, g: (-g * sin(n.inputs[0]),), promotes=True)
_op("lt", np.less, infer=_compare, arity=2, zero=True)
_op("le", np.less_equal, infer=_compare, arity=2, zero=True)
_op("eq", np.equal, infer=_compare, arity=2, zero=True, commutative=True)
_op("ne", np.not_equal, infer=_compare, arity=2, zero=True, commutative=True)
_op("logical_and", np.logical_and, infer=_logical, arity=2, zero=True, dtypes_=("bool", "bool"), commutative=True)
_op("logical_or", np.logical_or, infer=_logical, arity=2, zero=True, dtypes_=("bool", "bool"), commutative=True)
_op("logical_not", np.logical_not, infer=_logical, zero=True, dtypes_=("bool",))
_op(
    "where",
    np.where,
    lambda n, g: (None, where(n.inputs[0], g, 0.0), where(n.inputs[0], 0.0, g)),
    _where,
    arity=3,
    dtypes_=("bool", None, None),
    chooses=True,
)


def check_limit(values: np.ndarray, limit: int, what: str, place: Location) -> None:
    """Raise IndexLimitError, with the first offender and where it stands, if not all values lie in [0, limit)."""
    outside = (values < 0) | (values >= limit)
    if outside.any():
        first = np.unravel_index(int(np.argmax(outside)), values.shape) if values.ndim else ()
        where = ", ".join(map(str, first))
        raise IndexLimitError(f"{what} {values[first]} at position [{where}] does not lie in [0, {limit}) (at {place})")


def _check_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    check_limit(x, value(node.attrs.limit, env), node.attrs.what, location(node))
    return x


def converted(value: loops.Expr, dtype: str) -> loops.Expr:
    """A scalar of the loop form as one of a dtype."""
    if value.dtype != dtypes.computed(dtype):
        saturates = dtypes.is_float(value.dtype) and dtypes.is_integer(dtype)
        value = loops.call(f"saturate_{dtype}" if saturates else "cast", [value], dtype)
    return loops.call("round_bfloat16", [value], dtype) if dtype == dtypes.BFLOAT16 else value


def _lower_cast(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    return converted(read(0, index), node.dtype)


def _cast_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    return dtypes.converted(x, dtypes.computed(node.dtype))


register(
    Op(
        "cast",
        "elementwise",
        lambda inputs, attrs: (inputs[0].shape, attrs.dtype),
        _cast_reference,
        _lower_cast,
        vjp=lambda n, g: (
            g.astype(n.inputs[0].dtype) if dtypes.is_float(n.dtype) and dtypes.is_float(n.inputs[0].dtype) else None,
        ),
        samples=(
            Sample(((3, 5),), {"dtype": "float64"}),
            Sample(((3, 5),), {"dtype": "float32"}, dtypes=("int32",)),
            Sample(((4,),), {"dtype": "int32"}, dtypes=("float32",)),
            Sample(((3, 5),), {"dtype": "bfloat16"}, dtypes=("float32",)),
            Sample(((3, 5),), {"dtype": "float32"}, dtypes=("bfloat16",)),
        ),
        pointwise=True,
        folds=True,
        rounds=True,
        underflows=True,
    )
)
register(
    Op(
        "stop_gradient",
        "elementwise",
        lambda inputs, attrs: (inputs[0].shape, inputs[0].dtype),
        lambda node, env, x: x,
        lambda node, index, read, axis: read(0, index),
        vjp=lambda n, g: (None,),
        zero_gradient=True,
        flops=0,
    )
)
register(
    Op(
        "check_range",
        "elementwise",
        lambda inputs, attrs: (inputs[0].shape, inputs[0].dtype),
        _check_reference,
        lambda node, index, read, axis: read(0, index),
        vjp=lambda n, g: (g,),
        flops=0,
        same_elements=True,
    )
)


def stop_gradient(x: Like) -> Tensor:
    """`x`, through which no gradient flows."""
    return apply("stop_gradient", (as_tensor(x),))


def check_range(x: Tensor, limit: Dim, what: str = "label") -> Tensor:
    """`x`, an integer tensor whose values are checked to lie in [0, limit): at once where `x` is a constant, before
    each run where it is an input, when the run ends where kernels compute it (`limits.py`)."""
    if not dtypes.is_integer(x.dtype):
        raise DTypeError(f"{what}s must be integers, not {x.dtype} (at {user_location()})")
    if x.op.name == "array" and isinstance(limit, int):
        check_limit(x.attrs.value.array, limit, what, user_location())
    return apply("check_range", (x,), limit=limit, what=what)


def zeros(shape: Any, dtype: Any = dtypes.DEFAULT_FLOAT) -> Tensor:
    """A constant of zeros."""
    return full(checked_shape("zeros", shape), 0, dtypes.check(dtype))
