"""`kw.elementwise`: a user's own scalar function as an op, and its derivative.

The op's node holds the function as text (`loops/definition.py`); what Numba makes of it is the target's. The derivative
is what the user gives, or that of the function run once on tensors. Leans on `capture`.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...errors import CompileError, DTypeError, GradientError
from ...loops import expressions as loops
from ...loops.definition import Definition, argument, elements, python
from ...loops.functions import FUNCTIONS
from ...loops.scalar_types import Untyped, inferred, result_dtype
from .. import tensor as dsl
from ..capture import Captured, capture
from ..node import location, toposort, user_location
from ..tensor import Like, Tensor, as_tensor, broadcast_to, cast
from . import elementwise as rows
from .registry import OPS, Op, Sample, register


class Derivative:
    """What a user gave as `gradient=`. It decides which node it is, and nothing about the node's kernels."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self.rule = rule

    def __repr__(self) -> str:
        return getattr(self.rule, "__name__", "gradient")


# ---------------------------------------------------------------- the op


def _infer(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    """The dtype asked for; floats stay what they are; else what Numba says."""
    first = inputs[0]
    try:
        natural = result_dtype(attrs.function, first.dtype)
    except Untyped as error:
        raise DTypeError(f"{attrs.function}: {error}") from None
    if attrs.dtype is not None:
        return first.shape, attrs.dtype
    keeps = dtypes.is_float(first.dtype) and dtypes.is_float(natural)
    return first.shape, first.dtype if keeps else natural


def _reference(node: Tensor, env: Any, *arrays: np.ndarray) -> np.ndarray:
    definition = node.attrs.function
    natural = result_dtype(definition, node.inputs[0].dtype)
    function = python(dict(definition.functions))[definition.name]
    return dtypes.converted(elements(function, arrays, natural), dtypes.computed(node.dtype))


def _lower(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    given = argument(node.inputs[0].dtype)
    args = [rows.converted(read(k, index), given) for k in range(len(node.inputs))]
    natural = result_dtype(node.attrs.function, node.inputs[0].dtype)
    return rows.converted(loops.call(node.attrs.function, args, natural), node.dtype)


def _vjp(node: Tensor, g: Tensor) -> Sequence[Any]:
    given: Derivative | None = node.attrs.derivative
    if given is None:
        return _traced(node, g)
    partial = given.rule(*node.inputs)
    slopes = partial if isinstance(partial, (tuple, list)) else (partial,)
    if len(slopes) != len(node.inputs):
        raise GradientError(
            f"the gradient of {node.attrs.function} gives {len(slopes)} derivatives for {len(node.inputs)} arguments "
            f"(at {location(node)}); it must give one for each, or None"
        )
    return [None if s is None else _times(g, s, node) for s in slopes]


def _times(g: Tensor, slope: Like, node: Tensor) -> Tensor:
    made = as_tensor(slope, node.dtype) if not isinstance(slope, Tensor) else cast(slope, node.dtype)
    product = g * made
    if product.shape != node.shape:
        raise GradientError(
            f"the gradient of {node.attrs.function} (at {location(node)}) must be elementwise: it gives "
            f"{made.brief()} for {node.brief()}"
        )
    return cast(product, node.inputs[0].dtype)


def _traced(node: Tensor, g: Tensor) -> Sequence[Any]:
    """By the function run once on tensors in place of numbers."""
    from ..autodiff import vjp

    definition = node.attrs.function
    stand_ins = [dsl.input(f"argument {i}", x.shape, x.dtype) for i, x in enumerate(node.inputs)]
    try:
        y = cast(python(dict(definition.functions), _SYMBOLS)[definition.name](*stand_ins), node.dtype)
        y = broadcast_to(y, node.shape)
    except (TypeError, ValueError, AttributeError) as error:
        raise GradientError(
            f"grad: {definition}, called at {location(node)}, has no derivative that can be read off its text, because "
            f"{_why(error)}; say it by kw.elementwise(gradient=lambda x, ...: (derivative for each argument, ...)), or "
            "write the function with np.where, np.maximum and arithmetic"
        ) from None
    slopes = vjp([y], stand_ins, [g])
    return replaced(slopes, dict(zip(stand_ins, node.inputs)))


def _why(error: Exception) -> str:
    return "it branches on a value" if "truth of" in str(error) else f"of this: {str(error).splitlines()[0]}"


def replaced(roots: Sequence[Tensor], table: dict[Tensor, Tensor]) -> list[Tensor]:
    """The expressions with other tensors of the same shapes and dtypes in place of some."""
    done: dict[Any, Any] = dict(table)
    for node in toposort(roots):
        if node not in done:
            inputs = tuple(done[i] for i in node.inputs)
            same = all(a is b for a, b in zip(inputs, node.inputs))
            done[node] = node if same else dsl.apply(node.op.name, inputs, **dict(node.attrs.items()))
    return [done[r] for r in roots]


_SYMBOLS: dict[str, Any] = {
    **{name: functools.partial(dsl.elementwise, name) for name in FUNCTIONS if name in OPS},
    **{name: functools.partial(lambda dtype, x: cast(x, dtype), name) for name in ("float32", "float64", "int32")},
    **{"INFINITY": math.inf, "NAN": math.nan},
}
"""What the names of a definition mean to tensors."""

_EXAMPLE = Definition(
    (("bend_example", "def bend_example(x, y):\n    return where(x > y, x * 0.5 + sin(y), tanh(x) * y)\n"),), 2, 40
)

register(
    Op(
        "scalar_function",
        "elementwise",
        _infer,
        _reference,
        _lower,
        vjp=_vjp,
        samples=tuple(
            Sample((s, s), {"function": _EXAMPLE, "dtype": None, "derivative": None})
            for s in ((3, 5), (1, 1), (7,), (), (0, 3))
        ),
        flops=20,
        rounds=True,
        underflows=True,
    )
)


# ---------------------------------------------------------------- what users call


class Elementwise:
    """A scalar function that takes tensors as well as numbers. Made by `elementwise`."""

    def __init__(self, function: Callable[..., Any], gradient: Callable[..., Any] | None, dtype: str | None) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self.signature = inspect.signature(function)
        self.dtype = dtype
        self.captured: Captured = capture(function)
        self.derivative = None if gradient is None else Derivative(gradient)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """The function of every element; of numbers alone, Python's own result."""
        try:
            bound = self.signature.bind(*args, **named)
        except TypeError as error:
            raise CompileError(f"{self!r}: {error} (at {user_location()})") from None
        bound.apply_defaults()
        if not any(isinstance(x, (Tensor, np.ndarray)) for x in bound.args):
            return self.py_func(*bound.args)
        attrs = {"function": self.captured.definition, "dtype": self.dtype, "derivative": self.derivative}
        try:
            return dsl.elementwise("scalar_function", *bound.args, **attrs)
        except DTypeError as error:
            raise self._explained(error, bound.args) from None

    def _explained(self, error: DTypeError, args: Sequence[Any]) -> DTypeError:
        """The error with the line of the function that Numba stopped at."""
        kinds = [as_tensor(x).dtype for x in args if isinstance(x, (Tensor, np.ndarray))]
        dtype = functools.reduce(dtypes.promote, kinds)
        captured = self.captured
        try:
            inferred(captured.trees, captured.definition.arity, dtype)
        except Untyped as why:
            line = why.line or captured.line
            return DTypeError(
                f"{self.py_func.__name__}, written at {captured.file}:{line}, cannot be computed for {dtype}: {why} "
                f"(called at {user_location()})"
            )
        return error

    def __repr__(self) -> str:
        return f"<scalar function {self.py_func.__name__} at {self.captured.file}:{self.captured.line}>"


def elementwise(
    function: Callable[..., Any] | None = None, *, gradient: Callable[..., Any] | None = None, dtype: Any = None
) -> Any:
    """A decorator: your own scalar function as an op. It takes tensors of any shape, arrays and numbers, which
    broadcast and promote to one dtype, and is computed for every element, compiled by Numba inside the kernels.

        @kw.elementwise
        def softsign(x):
            return x / (1 + x) if x > 0 else x / (1 - x)

    The function may have arithmetic, `if`, `for` over `range`, `while`, calls of `math` and NumPy's scalar functions,
    and of other such functions. It is read when it is decorated; numbers from outside are those of that moment.

    gradient: `lambda x, ...: (d/dx, ...)` in the DSL, called with the arguments as tensors; one derivative for each
    argument, or None for zero. Without it, the derivative is that of the function run on tensors, where it has no
    branches on values. dtype: the result's. Without it, floats keep their dtype, and what Numba infers holds for
    others (sums of integers are int64).

    Raises CompileError for a function that cannot be read or says what no kernel can do; when called, DTypeError for
    what Numba cannot type and ShapeError for shapes that do not broadcast.
    """
    wanted = None if dtype is None else dtypes.check(dtype)
    if function is None:
        return functools.partial(elementwise, gradient=gradient, dtype=dtype)
    if not inspect.isfunction(function):
        raise CompileError(f"elementwise takes a Python function, not {function!r} (at {user_location()})")
    return Elementwise(function, gradient, wanted)
