"""Reductions over any axes: sum, max, min, prod, argmax; mean and argmin are composed.

Results drop the reduced axes; `keepdims` puts them back as size 1. Leans on `movement` for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...errors import DTypeError, ShapeError
from ...loops import expressions as loops
from ..synonyms import A_PAIR, also_named
from ..tensor import Like, Tensor, apply, as_tensor, dim_of, full, normalize_axes
from . import elementwise as ew
from .registry import Bad, Op, Sample, register
from .source import size_of


def _infer(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    (x,) = inputs
    if x.dtype == dtypes.BOOL:
        raise DTypeError("cannot reduce bool; cast it first, as in (x > 0).astype('int32').sum()")
    return tuple(d for i, d in enumerate(x.shape) if i not in attrs.axes), x.dtype


def _infer_order(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    shape, dtype = _infer(inputs, attrs)
    for a in attrs.axes:
        if inputs[0].shape[a] == 0:
            raise ShapeError("the extreme of no elements does not exist: a reduced axis has size 0")
    return shape, dtype


def _lower(kind: str) -> Callable[..., Any]:
    def lower(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
        x, axes = node.inputs[0], node.attrs.axes
        fresh = {a: axis(x.shape[a]) for a in axes}
        kept = iter(index)
        full_index = tuple(loops.at(fresh[i]) if i in fresh else next(kept) for i in range(x.rank))
        return loops.reduction(kind, [fresh[a] for a in axes], read(0, full_index), node.dtype)

    return lower


def _back(node: Tensor, g: Tensor) -> Tensor:
    """`g`, of the reduced shape, spread over the operand's shape."""
    from .movement import expand_dims, spread

    return spread(expand_dims(g, node.attrs.axes), node.inputs[0].shape)


def _extreme_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    """Equal shares to all places that hold the extreme, as PyTorch's amax does."""
    (x,) = node.inputs
    hits = ew.equal(x, _back(node, node)).astype(x.dtype)
    count = apply("sum", (hits,), axes=node.attrs.axes)
    return (hits * _back(node, g / count),)


def _prod_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    """The product of the others: the quotient where x != 0; where x == 0, the product of the rest if it is the only
    zero. Differentiable once more only where x has no zeros."""
    (x,) = node.inputs
    axes = node.attrs.axes
    is_zero = ew.equal(x, 0)
    zero_count = _back(node, apply("sum", (is_zero.astype(x.dtype),), axes=axes))
    rest = _back(node, apply("prod", (ew.where(is_zero, 1.0, x),), axes=axes))
    others = ew.where(
        is_zero, ew.where(ew.equal(zero_count, 1), rest, 0.0), _back(node, node) / ew.where(is_zero, 1.0, x)
    )
    return (_back(node, g) * others,)


_SAMPLES = (
    Sample(((3, 5),), {"axes": (1,)}),
    Sample(((3, 5),), {"axes": (0,)}),
    Sample(((2, 3, 7),), {"axes": (0, 2)}),
    Sample(((2, 3, 7),), {"axes": (0, 1, 2)}),
    Sample(((1, 1),), {"axes": (0,)}),
    Sample(((17, 33),), {"axes": (1,)}),
)
_EMPTY = (Sample(((0, 3),), {"axes": (0,)}), Sample(((3, 0),), {"axes": (0,)}))
_BAD = (Bad(((2, 3),), {"axes": (1,)}, dtypes=("bool",), says=("bool",)),)


def _row(name: str, numpy: Any, vjp: Any, infer: Any = _infer, extra: tuple[Sample, ...] = (), **facts: Any) -> None:
    def reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
        return np.asarray(numpy(x, axis=node.attrs.axes)).astype(dtypes.computed(node.dtype), copy=False)

    plain: dict[str, Any] = {"associative": True, "reduces_axes": True, "folds": True, **facts}
    register(Op(name, "reduce", infer, reference, _lower(name), vjp=vjp, samples=_SAMPLES + extra, bad=_BAD, **plain))


_row("sum", np.sum, lambda n, g: (_back(n, g),), extra=_EMPTY, rounds=True)
_row("prod", np.prod, _prod_gradient, extra=_EMPTY, rounds=True, underflows=True)
_row("max", np.max, _extreme_gradient, _infer_order, keeps_numbers=True)
_row("min", np.min, _extreme_gradient, _infer_order, keeps_numbers=True)


MOST_POSITIONS = 2**31 - 1
"""As many elements as int32 counts."""


def _infer_argmax(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    shape = _infer_order(inputs, attrs)[0]
    count = dim_of(inputs[0], attrs.axes)
    if isinstance(count, int) and count > MOST_POSITIONS:
        raise ShapeError(f"positions are int32, and {count} elements have more; take it over fewer axes at a time")
    return shape, dtypes.INT32


def _argmax_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    axes = node.attrs.axes
    rows = np.moveaxis(x, axes, range(-len(axes), 0))
    flat = rows.reshape(*rows.shape[: x.ndim - len(axes)], int(np.prod([x.shape[a] for a in axes])))
    return np.asarray(flat.argmax(-1), "int32")


register(
    Op(
        "argmax",
        "reduce",
        _infer_argmax,
        _argmax_reference,
        _lower("argmax"),
        vjp=lambda n, g: (None,),
        zero_gradient=True,
        samples=(
            Sample(((3, 5),), {"axes": (1,)}),
            Sample(((4, 3),), {"axes": (0,)}),
            Sample(((2, 3, 4),), {"axes": (1,)}),
            Sample(((2, 3, 4),), {"axes": (0, 2)}),
            Sample(((5, 3, 2),), {"axes": (0, 1)}),
            Sample(((3, 2, 4),), {"axes": (0, 1, 2)}),
            Sample(((2, 1, 3),), {"axes": (1,)}),
            Sample(((2, 40, 3),), {"axes": (0, 1)}, dtypes=("int32",)),  # many equal values: the first counts
        ),
        bad=(
            Bad(((2, 3),), {"axes": (1,)}, dtypes=("bool",), says=("bool",)),
            Bad(((0, 3),), {"axes": (0,)}, says=("no elements",)),
        ),
        reduces_axes=True,
    )
)


def _reduce(name: str, x: Like, axis: Any, keepdims: bool) -> Tensor:
    from .movement import expand_dims

    x = as_tensor(x)
    axes = normalize_axes(name, axis, x)
    if name in ("sum", "prod") and not dtypes.is_float(x.dtype) and x.dtype != dtypes.UINT64:
        x = x.astype(dtypes.INT64)
    if not axes:
        return x
    out = apply(name, (x,), axes=axes)
    return expand_dims(out, axes) if keepdims else out


@also_named()
def sum_(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis` (an int, several, or None for all). Integers and bools are added up in int64,
    uint64 in uint64."""
    return _reduce("sum", x, axis, keepdims)


@also_named()
def prod(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The product over `axis`. Integers and bools are multiplied in int64, uint64 in uint64."""
    return _reduce("prod", x, axis, keepdims)


@also_named(A_PAIR.format("kw.amax", "kw.argmax"))
def max_(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The greatest element over `axis`; NaN where there is one. Raises ShapeError over no elements."""
    return _reduce("max", x, axis, keepdims)


@also_named(A_PAIR.format("kw.amin", "kw.argmin"))
def min_(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The least element over `axis`; NaN where there is one. Raises ShapeError over no elements."""
    return _reduce("min", x, axis, keepdims)


@also_named()
def mean(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over `axis`. Floats; of integers and bools it is computed in float64 and given as float32."""
    x = as_tensor(x)
    if not dtypes.is_float(x.dtype):
        return mean(x.astype(dtypes.FLOAT64), axis, keepdims).astype(dtypes.DEFAULT_FLOAT)
    if x.dtype == dtypes.BFLOAT16:
        return mean(x.astype(dtypes.FLOAT32), axis, keepdims).astype(dtypes.BFLOAT16)
    axes = normalize_axes("mean", axis, x)
    count = dim_of(x, axes)
    total = sum_(x, axes, keepdims)
    if isinstance(count, int):
        return total * full((), 1.0 / count if count else float("nan"), x.dtype)
    return total / size_of(count, x.dtype)


@also_named()
def argmax(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the first greatest element, int32, over `axis` (an int, several, or None for all).

    Over several axes it is the position in row-major order within those, in the order they have in x, as
    numpy.unravel_index takes it. A NaN counts as the greatest. Raises ShapeError over no elements.
    """
    return _position("argmax", x, axis, keepdims)


@also_named()
def argmin(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the first least element, int32, over `axis`, counted as `argmax` does. A NaN counts as the least.

    Raises ShapeError over no elements.
    """
    return _position("argmin", x, axis, keepdims)


def _position(name: str, x: Like, axis: Any, keepdims: bool) -> Tensor:
    from .movement import expand_dims

    x = as_tensor(x)
    axes = normalize_axes(name, axis, x)
    if not axes:
        return full(x.shape, 0, dtypes.INT32)
    out = apply("argmax", (_reversed(x) if name == "argmin" else x,), axes=axes)
    return expand_dims(out, axes) if keepdims else out


def _reversed(x: Tensor) -> Tensor:
    """Numbers in the opposite order; none overflows."""
    if dtypes.is_float(x.dtype) or x.dtype == dtypes.BOOL:
        return -x
    limits = np.iinfo(x.dtype)
    return full(x.shape, limits.min + limits.max, x.dtype) - x
