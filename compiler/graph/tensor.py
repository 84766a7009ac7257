"""The DSL's expressions: tensors with NumPy's operators, checked for shape and dtype where they are written.

`apply` is the only way to make a node. Leans on `graph` (what a node is) and the op table (what is legal).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ...runtime.errors import KernelwrightError
from .. import dtypes
from ..errors import DTypeError, ShapeError
from ..shapes import Dim, Shape, Size, as_index, broadcast, from_user, product, show
from .absent import absent
from .bfloat16 import rounded
from .methods import method
from .node import Attrs, Node, location, name_of, set_name, user_location
from .ops.registry import OPS
from .synonyms import A_PAIR, also_named

Number: TypeAlias = bool | int | float
NO_ATTRS = Attrs()


class Tensor(Node):
    """A value of static rank and dtype in a computation graph. Immutable; equal expressions are one object.

    Operators are NumPy's, `==` and `!=` too: `x == y` is a tensor of bool, and `x is y` says whether two are the same
    expression. Tensors are hashed by identity, so sets and keys of dictionaries may be tensors, while `x in a_list`,
    `if x == y` and `x < y < z` ask for the truth of a tensor, which raises TypeError.
    """

    __slots__ = ()
    __array_ufunc__ = None  # NumPy's operators leave `array + tensor` to the tensor

    # -------------------------------------------------------- arithmetic
    def __add__(self, other: Like) -> Tensor:
        return elementwise("add", self, other)

    def __radd__(self, other: Like) -> Tensor:
        return elementwise("add", other, self)

    def __sub__(self, other: Like) -> Tensor:
        return elementwise("sub", self, other)

    def __rsub__(self, other: Like) -> Tensor:
        return elementwise("sub", other, self)

    def __mul__(self, other: Like) -> Tensor:
        return elementwise("mul", self, other)

    def __rmul__(self, other: Like) -> Tensor:
        return elementwise("mul", other, self)

    def __truediv__(self, other: Like) -> Tensor:
        return elementwise("div", self, other)

    def __rtruediv__(self, other: Like) -> Tensor:
        return elementwise("div", other, self)

    def __floordiv__(self, other: Like) -> Tensor:
        return elementwise("floor_divide", self, other)

    def __rfloordiv__(self, other: Like) -> Tensor:
        return elementwise("floor_divide", other, self)

    def __mod__(self, other: Like) -> Tensor:
        return elementwise("remainder", self, other)

    def __rmod__(self, other: Like) -> Tensor:
        return elementwise("remainder", other, self)

    def __pow__(self, other: Like) -> Tensor:
        return elementwise("pow", self, other)

    def __rpow__(self, other: Like) -> Tensor:
        return elementwise("pow", other, self)

    def __neg__(self) -> Tensor:
        return elementwise("neg", self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return elementwise("abs", self)

    def __matmul__(self, other: Like) -> Tensor:
        from .ops.contract import matmul

        return matmul(self, other)

    def __rmatmul__(self, other: Like) -> Tensor:
        from .ops.contract import matmul

        return matmul(other, self)

    # -------------------------------------------------------- bits of integers, logic of bools
    def __invert__(self) -> Tensor:
        return bitwise("invert", self)

    def __and__(self, other: Like) -> Tensor:
        return bitwise("bitwise_and", self, other)

    def __or__(self, other: Like) -> Tensor:
        return bitwise("bitwise_or", self, other)

    def __xor__(self, other: Like) -> Tensor:
        return bitwise("bitwise_xor", self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, other: Like) -> Tensor:
        return elementwise("left_shift", self, other)

    def __rlshift__(self, other: Like) -> Tensor:
        return elementwise("left_shift", other, self)

    def __rshift__(self, other: Like) -> Tensor:
        return elementwise("right_shift", self, other)

    def __rrshift__(self, other: Like) -> Tensor:
        return elementwise("right_shift", other, self)

    # -------------------------------------------------------- comparison, element by element (`is`: the same tensor)
    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return elementwise("eq", self, other) if _comparable(other) else NotImplemented

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return elementwise("ne", self, other) if _comparable(other) else NotImplemented

    __hash__ = Node.__hash__  # of the object: no two that live have the same, so a dict never asks `==`

    def __lt__(self, other: Any) -> Tensor:
        return elementwise("lt", self, other)

    def __le__(self, other: Any) -> Tensor:
        return elementwise("le", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return elementwise("lt", other, self)

    def __ge__(self, other: Any) -> Tensor:
        return elementwise("le", other, self)

    # -------------------------------------------------------- shape
    def __getitem__(self, key: Any) -> Tensor:
        from .ops.subscript import getitem

        return getitem(self, key)

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            why = "its first size is known in a run only; x.shape[0] is that size" if self.shape else "it has no axes"
            raise TypeError(f"{self.brief()} has no length, nor can it be iterated over: {why} ({user_location()})")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        raise TypeError(
            f"the truth of {self.brief()} is not known while the graph is built ({user_location()}); "
            f"{_in_place_of_truth(self.op.name)}"
        )

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        raise TypeError(
            f"{self.brief()} has no value while the graph is built ({user_location()}); use the functions of kw on it, "
            "or run it with kw.compile"
        )

    __float__: Any = __array__
    __int__: Any = __array__

    if not TYPE_CHECKING:  # a checker knows the attributes there are

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(absent(name), name=name, obj=self)

    def __reduce__(self) -> Any:
        """For `pickle` and `copy.deepcopy`: the same expression over new variables of equal values."""
        from .copies import as_rows, revived

        return revived, (as_rows([self])[0],)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape, one size of which may be -1. Raises ShapeError where they do not fit."""
        from .ops.movement import reshape

        return reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """The axes in another order; reversed without `axes`. Raises ShapeError for what is no order of them."""
        from .ops.movement import transpose

        return transpose(self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None)

    @property
    def ndim(self) -> int:
        """The number of axes, as NumPy calls it."""
        return self.rank

    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
        return self.transpose()

    def astype(self, dtype: Any) -> Tensor:
        """This tensor converted to `dtype`, as `cast` does. Any shape. Raises DTypeError for a dtype that is none."""
        return cast(self, dtype)

    @also_named()
    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """The sum over an axis, several, or all. Integers are summed in 64 bits (docs/arithmetic.md)."""
        from .ops.reduce import sum_

        return sum_(self, axis, keepdims)

    @also_named()
    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """The mean over an axis, several, or all; of integers as float32."""
        from .ops.reduce import mean

        return mean(self, axis, keepdims)

    @also_named(A_PAIR.format("kw.amax", "kw.argmax"))
    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """The greatest over an axis, several, or all; NaN where there is one."""
        from .ops.reduce import max_

        return max_(self, axis, keepdims)

    @also_named(A_PAIR.format("kw.amin", "kw.argmin"))
    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """The least over an axis, several, or all; NaN where there is one."""
        from .ops.reduce import min_

        return min_(self, axis, keepdims)

    # -------------------------------------------------------- functions of kw as methods, and PyTorch's names of some
    exp, expm1, log, log1p = (method("ops.elementwise", name) for name in ("exp", "expm1", "log", "log1p"))
    sqrt, rsqrt, tanh, sigmoid = (method("ops.elementwise", name) for name in ("sqrt", "rsqrt", "tanh", "sigmoid"))
    erf, sin, cos, sign = (method("ops.elementwise", name) for name in ("erf", "sin", "cos", "sign"))
    floor, ceil, clip, relu = (method("ops.elementwise", name) for name in ("floor", "ceil", "clip", "relu"))
    round, abs = method("ops.elementwise", "round", "round_"), method("ops.elementwise", "abs", "abs_")
    log2, log10, exp2, square = (method("ops.elementary", name) for name in ("log2", "log10", "exp2", "square"))
    tan, sinh, cosh, trunc = (method("ops.elementary", name) for name in ("tan", "sinh", "cosh", "trunc"))
    asin, acos, atan = (method("ops.elementary", name) for name in ("asin", "acos", "atan"))
    lgamma, digamma = method("ops.gamma", "lgamma"), method("ops.gamma", "digamma")
    isnan, isinf, isfinite = (method("predicates", name) for name in ("isnan", "isinf", "isfinite"))
    clamp, amax, amin = (method("aliases", name) for name in ("clamp", "amax", "amin"))
    detach = method("ops.elementwise", "detach", "stop_gradient")
    prod, argmax, argmin = (method("ops.reduce", name) for name in ("prod", "argmax", "argmin"))
    any, all = method("statistics", "any", "any_"), method("statistics", "all", "all_")
    var, std, norm, logsumexp = (method("statistics", name) for name in ("var", "std", "norm", "logsumexp"))
    softmax, log_softmax = (method("functions", name) for name in ("softmax", "log_softmax"))
    squeeze, unsqueeze = method("ops.movement", "squeeze"), method("ops.movement", "unsqueeze", "expand_dims")
    flip, roll, tile = method("ops.slicing", "flip"), method("arrangement", "roll"), method("arrangement", "tile")
    ravel, repeat, split, chunk = (method("arrangement", name) for name in ("ravel", "repeat", "split", "chunk"))
    swapaxes, diagonal, trace = (method("arrangement", name) for name in ("swapaxes", "diagonal", "trace"))
    tril, triu, masked_fill = (method("arrangement", name) for name in ("tril", "triu", "masked_fill"))
    sort, argsort, topk = (method("sorting", name) for name in ("sort", "argsort", "topk"))
    cumsum, cumprod = method("scans", "cumsum"), method("scans", "cumprod")
    view, permute = reshape, transpose

    @also_named()
    def flatten(self, start: int = 0) -> Tensor:
        """All axes from `start` on as one: all of them by default, as in NumPy (kw.flatten keeps the first)."""
        from .ops.movement import flatten

        return flatten(self, start)

    # -------------------------------------------------------- names and printing
    @property
    def name(self) -> str | None:
        """The name that the user gave: an input's, a variable's, or that of `named`."""
        return name_of(self) or getattr(self.attrs, "name", None) if self.op.kind == "source" else name_of(self)

    def named(self, name: str) -> Tensor:
        """Give the value a name, which kernels and messages then use. Returns the tensor."""
        set_name(self, name)
        return self

    def _repr_html_(self) -> str:
        """For notebooks: as `repr`, with what it is computed from."""
        parts = "".join(f"<br>&nbsp;&nbsp;{html.escape(repr(x))}" for x in self.inputs)
        return f"<code>{html.escape(repr(self))}{parts}</code>"

    def __repr__(self) -> str:
        return f"<{self.name + ': ' if self.name else ''}{self.brief()} at {location(self)}>"


Like: TypeAlias = Tensor | Number | Size | np.ndarray


def _comparable(other: Any) -> bool:
    """Can it be compared element by element? Anything else (None, text) is not equal to a tensor, as in PyTorch."""
    return isinstance(other, (Tensor, np.ndarray, list, tuple)) or _is_number(other)


def _in_place_of_truth(op: str) -> str:
    """What to write where Python asks for the truth of a tensor that `op` made."""
    choose = "use kw.where to choose by it, and & | ~ in place of and, or, not and of chains like a < b < c"
    if op not in ("eq", "ne"):
        return choose
    return f"{choose}. To ask whether two tensors are the same object, use `is`: any(x is y for y in tensors)"


def apply(op_name: str, inputs: Sequence[Any], **attrs: Any) -> Tensor:
    """The node for `op_name` over `inputs`: infers shape and dtype, and raises the user's error if it cannot."""
    return apply_with(op_name, inputs, Attrs(**attrs) if attrs else NO_ATTRS)


def apply_with(op_name: str, inputs: Sequence[Any], attrs: Attrs) -> Tensor:
    """As `apply`, with attributes that are made already, such as another node's."""
    op, operands = OPS[op_name], tuple(inputs)
    try:
        shape, dtype = op.infer(operands, attrs)
    except KernelwrightError as error:
        if getattr(error, "located", False):
            raise
        shown = ", ".join(i.brief() if not i.name else f"{i.name}{show(i.shape)} {i.dtype}" for i in inputs)
        wrapped = type(error)(f"{op_name}: {error}\n  operands: {shown}\n  at {user_location()}")
        wrapped.located = True  # type: ignore[attr-defined]
        raise wrapped from None
    node: Tensor = Tensor.intern(op, operands, attrs, shape, dtype)
    return node


class ArrayConstant:
    """An array inside a graph, hashed and compared by content."""

    __slots__ = ("_key", "array")

    def __init__(self, array: np.ndarray):
        self.array = np.array(array, order="C")  # ascontiguousarray would give a scalar an axis
        self.array.flags.writeable = False
        self._key = (self.array.dtype.str, self.array.shape, self.array.tobytes())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArrayConstant) and self._key == other._key

    def __lt__(self, other: ArrayConstant) -> bool:
        return self._key < other._key

    def __repr__(self) -> str:
        return f"array{self.array.shape}"


def full(shape: Shape, value: Number, dtype: str) -> Tensor:
    """A tensor with the same number everywhere."""
    if dtypes.is_float(dtype):
        value = _as_float(value)
        if dtype == dtypes.BFLOAT16:
            value = float(rounded(np.asarray(value)))
    elif dtype == dtypes.BOOL:
        value = bool(value)
    else:
        value = int(value)
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            raise DTypeError(
                f"{value} does not fit {dtype}, which holds {limits.min} to {limits.max}; cast the tensor it meets "
                f"to a wider dtype (at {user_location()})"
            )
    return apply("full", (), shape=tuple(shape), value=repr(value), dtype=dtype)


def _as_float(value: Number) -> float:
    try:
        return float(value)
    except OverflowError:
        raise DTypeError(f"an integer of {len(str(value))} digits fits no float (at {user_location()})") from None


def full_value(node: Tensor) -> Number | None:
    """The number a `full` node holds, None for other nodes."""
    if node.op.name != "full":
        return None
    text = node.attrs.value
    return (
        {"True": True, "False": False}[text]
        if node.dtype == "bool"
        else (float(text) if dtypes.is_float(node.dtype) else int(text))
    )


def zeros_like(x: Tensor) -> Tensor:
    return full(x.shape, 0, x.dtype)


def as_tensor(value: Any, dtype: str | None = None) -> Tensor:
    """A tensor from a tensor, a number, a symbolic size, or an array (which becomes a constant of the graph).

    Raises DTypeError for anything else.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Size):
        return apply("size", (), size=value, dtype=dtype or dtypes.DEFAULT_INT)
    if isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        scalar = value.item() if isinstance(value, np.generic) else value
        kind = {bool: dtypes.BOOL, int: dtypes.DEFAULT_INT}.get(type(scalar), dtypes.DEFAULT_FLOAT)
        return full((), scalar, dtype or kind)
    try:
        array = np.asarray(value)
        checked = dtypes.check(
            dtype
            or (dtypes.DEFAULT_FLOAT if array.dtype.kind == "f" and not isinstance(value, np.ndarray) else array.dtype)
        )
    except (DTypeError, ValueError) as error:
        raise DTypeError(f"cannot use {type(value).__name__} as a tensor: {error} (at {user_location()})") from None
    constant = apply("array", (), value=ArrayConstant(array.astype(dtypes.computed(checked))))
    return cast(constant, checked)


def cast(x: Like, dtype: Any) -> Tensor:
    """`x` converted to `dtype`; the same tensor where it has it already. Any shape.

    Integers wrap around. A float becomes an integer towards zero; one beyond the dtype's range becomes its nearest end,
    and NaN becomes 0. Raises DTypeError for a dtype that is none.
    """
    x, name = as_tensor(x), dtypes.check(dtype)
    return x if x.dtype == name else apply("cast", (x,), dtype=name)


def broadcast_to(x: Like, shape: Any) -> Tensor:
    """`x` repeated to `shape` under NumPy's rules; the same tensor where it has it already.

    Raises ShapeError where it does not broadcast to that shape.
    """
    x, target = as_tensor(x), checked_shape("broadcast_to", shape)
    if x.shape == target:
        return x
    number = full_value(x)
    if number is not None and broadcast(x.shape, target) == target:
        return full(target, number, x.dtype)
    return apply("broadcast_to", (x,), shape=target)


def checked_shape(op: str, shape: Any) -> Shape:
    """A user's shape (see `shapes.from_user`). Raises ShapeError that names `op` and the user's line."""
    try:
        return from_user(shape)
    except ShapeError as error:
        raise ShapeError(f"{op}: {error}\n  at {user_location()}") from None


def elementwise(op: str, *operands: Like, **attrs: Any) -> Tensor:
    """An elementwise op with NumPy broadcasting, promotion, and weak Python numbers. attrs: what the op has besides."""
    row = OPS[op]
    alike = None if row.chooses else _alike(operands)
    if alike is not None and (dtypes.is_float(alike) or not row.promotes):
        return apply(op, operands, **attrs)
    tensors = [x for x in operands if isinstance(x, Tensor) or not _is_number(x)]
    strong = [as_tensor(x).dtype for x in tensors]
    if row.chooses:
        strong = [as_tensor(x).dtype for x in operands[1:] if not _is_number(x)]
    dtype = strong[0] if strong else dtypes.DEFAULT_INT
    for other in strong[1:]:
        dtype = dtypes.promote(dtype, other)
    numbers = [x for x in operands if _is_number(x)]
    if not dtypes.is_float(dtype) and any(isinstance(x, (float, np.floating)) for x in numbers):
        dtype = dtypes.DEFAULT_FLOAT
    if dtype == dtypes.BOOL and not row.logical and any(not isinstance(x, (bool, np.bool_)) for x in numbers):
        dtype = dtypes.DEFAULT_INT
    if row.promotes and not dtypes.is_float(dtype):
        dtype = dtypes.DEFAULT_FLOAT
    converted = []
    for i, x in enumerate(operands):
        if row.chooses and i == 0:
            converted.append(as_tensor(x, dtypes.BOOL if _is_number(x) else None))
        elif row.logical:
            converted.append(as_tensor(x))
        else:
            converted.append(as_tensor(x, dtype) if _is_number(x) else cast(as_tensor(x), dtype))
    shape = broadcast(*(x.shape for x in converted))
    if shape is None:
        shapes = " and ".join(f"{x.name or 'operand'} {show(x.shape)}" for x in converted)
        error = ShapeError(
            f"{op}: shapes {shapes} do not broadcast: from the right, sizes must be equal or 1\n  at {user_location()}"
        )
        error.located = True  # type: ignore[attr-defined]
        raise error
    return apply(op, [broadcast_to(x, shape) for x in converted], **attrs)


def _alike(operands: Sequence[Like]) -> str | None:
    """The dtype of tensors that have one shape and dtype, and need no conversion; None for any other operands."""
    first = operands[0]
    if not isinstance(first, Tensor):
        return None
    for x in operands[1:]:
        if not isinstance(x, Tensor) or x.dtype != first.dtype or x.shape != first.shape:
            return None
    return first.dtype


_LOGIC = {"bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "ne", "invert": "logical_not"}


def bitwise(op: str, *operands: Like) -> Tensor:
    """An operator of the bits of integers, which of bools alone is one of truth values."""
    kinds = (type(x) if _is_number(x) else as_tensor(x).dtype for x in operands)
    truths = all(kind in (dtypes.BOOL, bool, np.bool_) for kind in kinds)
    return elementwise(_LOGIC[op] if truths else op, *operands)


def _is_number(x: Any) -> bool:
    return isinstance(x, (bool, int, float, np.bool_, np.integer, np.floating, Size))


def input(name: str, shape: Any, dtype: Any = dtypes.DEFAULT_FLOAT) -> Tensor:
    """A value given at each call. `None` in the shape is the batch size, any number at run time.

    Raises ShapeError or DTypeError for a shape or dtype that cannot be, TypeError for a name that is no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"input: the name must be text, not {name!r} (at {user_location()})")
    return apply("input", (), name=name, shape=checked_shape("input", shape), dtype=dtypes.check(dtype))


def normalize_axes(op: str, axis: Any, x: Tensor, rank: int | None = None) -> tuple[int, ...]:
    """One axis, several or all (None) as sorted non-negative integers below `rank` (that of x).

    Raises ShapeError, naming `op`, for an axis that is no integer, out of range or repeated.
    """
    if axis is None:
        return tuple(range(x.rank))
    several = isinstance(axis, Iterable) and not isinstance(axis, str) and as_index(axis) is None
    out = tuple(sorted(normalize_axis(op, a, x, rank) for a in (axis if several else (axis,))))
    if len(set(out)) != len(out):
        raise ShapeError(f"{op}: axes {tuple(axis)} of {show(x.shape)} repeat\n  at {user_location()}")
    return out


def normalize_axis(op: str, axis: Any, x: Tensor, rank: int | None = None) -> int:
    """One axis as a non-negative integer below `rank` (that of x).

    Raises ShapeError, naming `op`, for an axis that is no integer or out of range.
    """
    limit, number = x.rank if rank is None else rank, as_index(axis)
    if number is None or not -limit <= number < limit:
        possible = f"an integer in [{-limit}, {limit})" if limit else "left out: there are no axes"
        raise ShapeError(
            f"{op}: axis {axis!r} does not fit {x.name or 'a tensor'} {show(x.shape)}; it must be {possible}"
            f"\n  at {user_location()}"
        )
    return number % limit


def dim_of(x: Tensor, axes: Sequence[int]) -> Dim:
    """The number of elements along `axes`."""
    return product(x.shape[a] for a in axes)
