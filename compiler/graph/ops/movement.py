"""Ops that give arrays another shape: broadcast, reshape, transpose.

All of them are only index arithmetic to the loop form, so they cost nothing when fused. Leans on `loops`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...loops import expressions as loops
from ...shapes import Dim, Shape, Size, as_index, broadcast, divide, product, show
from ..node import user_location
from ..synonyms import also_named
from ..tensor import (
    Like,
    Tensor,
    apply,
    as_tensor,
    broadcast_to,
    checked_shape,
    full,
    full_value,
    normalize_axes,
    normalize_axis,
)
from .registry import Bad, Op, Sample, register
from .source import concrete

Index = loops.Index

# ---------------------------------------------------------------- broadcast


def _infer_broadcast(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    (x,) = inputs
    if broadcast(x.shape, attrs.shape) != attrs.shape:
        raise ShapeError(f"{show(x.shape)} does not broadcast to {show(attrs.shape)}")
    return attrs.shape, x.dtype


def _lower_broadcast(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    x = node.inputs[0]
    lead = node.rank - x.rank
    return read(0, tuple(Index() if d == 1 else index[lead + i] for i, d in enumerate(x.shape)))


def _broadcast_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    x = node.inputs[0]
    lead = node.rank - x.rank
    axes = tuple(i for i in range(node.rank) if i < lead or (x.shape[i - lead] == 1 and node.shape[i] != 1))
    return (reshape(apply("sum", (g,), axes=axes) if axes else g, x.shape),)


register(
    Op(
        "broadcast_to",
        "movement",
        _infer_broadcast,
        lambda node, env, x: np.broadcast_to(x, concrete(node.shape, env)),
        _lower_broadcast,
        vjp=_broadcast_gradient,
        samples=(
            Sample(((1, 5),), {"shape": (3, 5)}),
            Sample(((5,),), {"shape": (2, 3, 5)}),
            Sample(((),), {"shape": (2, 2)}),
            Sample(((3, 1, 2),), {"shape": (3, 4, 2)}),
        ),
        bad=(Bad(((2, 3),), {"shape": (2, 4)}, says=("(2, 3)", "(2, 4)")),),
        flops=0,
        keeps_numbers=True,
        same_elements=True,
        repeats=True,
    )
)


def spread(x: Tensor, shape: Shape) -> Tensor:
    """`x` broadcast to `shape`."""
    return broadcast_to(x, tuple(shape))


# ---------------------------------------------------------------- reshape


def _infer_reshape(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    (x,) = inputs
    if product(x.shape) != product(attrs.shape):
        raise ShapeError(
            f"cannot reshape {show(x.shape)} ({product(x.shape)} elements) to {show(attrs.shape)} "
            f"({product(attrs.shape)} elements)"
        )
    return attrs.shape, x.dtype


def groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """The smallest runs of old and new axes that hold the same elements, in order."""
    out, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        left, right = [], []
        a: Dim = 1
        b: Dim = 1
        if i < len(old):
            left.append(i)
            a, i = old[i], i + 1
        if j < len(new):
            right.append(j)
            b, j = new[j], j + 1
        while a != b:
            grow_left = i < len(old) and (j >= len(new) or divide(b, a) is not None or not _smaller(b, a))
            if grow_left:
                left.append(i)
                a, i = a * old[i], i + 1
            else:
                right.append(j)
                b, j = b * new[j], j + 1
        out.append((left, right))
    return out


def _smaller(a: Dim, b: Dim) -> bool:
    if isinstance(a, int) and isinstance(b, int):
        return a < b
    return isinstance(a, int) or (isinstance(b, Size) and divide(b, a) is not None)


def _lower_reshape(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    x = node.inputs[0]
    out: list[Index] = [Index()] * x.rank
    if 0 in x.shape:
        return read(0, tuple(out))
    for left, right in groups(x.shape, node.shape):
        flat = Index()
        for j in right:
            flat = flat * node.shape[j] + index[j]
        for i in reversed(left):
            if i == left[0]:
                out[i] = flat
            else:
                out[i] = flat % x.shape[i]
                flat = flat // x.shape[i]
    return read(0, tuple(out))


register(
    Op(
        "reshape",
        "movement",
        _infer_reshape,
        lambda node, env, x: np.reshape(x, concrete(node.shape, env)),
        _lower_reshape,
        vjp=lambda n, g: (reshape(g, n.inputs[0].shape),),
        samples=(
            Sample(((3, 4),), {"shape": (12,)}),
            Sample(((6, 5),), {"shape": (3, 2, 5)}),
            Sample(((4, 6),), {"shape": (3, 8)}),
            Sample(((2, 1, 3),), {"shape": (6, 1)}),
            Sample(((1,),), {"shape": ()}),
            Sample(((0, 3),), {"shape": (0,)}),
        ),
        bad=(Bad(((2, 3),), {"shape": (4, 2)}, says=("6 elements", "8 elements")),),
        flops=0,
        folds=True,
        keeps_numbers=True,
        same_elements=True,
        one_to_one=True,
    )
)


def reshape(x: Like, shape: Any) -> Tensor:
    """`x` in row-major order as `shape`; one size may be -1. Raises ShapeError where the counts differ."""
    x = as_tensor(x)
    given = list(shape) if isinstance(shape, Iterable) and as_index(shape) is None else [shape]
    free = [i for i, d in enumerate(given) if as_index(d) == -1]
    if len(free) > 1:
        raise ShapeError(f"reshape: only one size may be -1, not {tuple(given)}\n  at {user_location()}")
    wanted = list(checked_shape("reshape", [0 if i in free else d for i, d in enumerate(given)]))
    if free:
        known = product(d for i, d in enumerate(wanted) if i not in free)
        rest = divide(product(x.shape), known)
        if rest is None:
            raise ShapeError(
                f"reshape: cannot reshape {show(x.shape)} to {tuple(given)}: {product(x.shape)} elements are no whole "
                f"multiple of {known}, so the -1 has no size\n  at {user_location()}"
            )
        wanted[free[0]] = rest
    target = tuple(wanted)
    if target == x.shape:
        return x
    number = full_value(x)
    if number is not None and product(target) == product(x.shape):
        return full(target, number, x.dtype)
    return apply("reshape", (x,), shape=target)


@also_named()
def flatten(x: Like, start: int = 1) -> Tensor:
    """`x` with all axes from `start` on as one (a new axis of size 1, where there are none from there on)."""
    x = as_tensor(x)
    first = normalize_axis("flatten", start, x, x.rank + 1) if as_index(start) != -1 else max(x.rank - 1, 0)
    return reshape(x, x.shape[:first] + (product(x.shape[first:]),))


@also_named()
def expand_dims(x: Like, axes: Any) -> Tensor:
    """`x` with new axes of size 1 at the given positions of the result."""
    x = as_tensor(x)
    added = tuple(axes) if isinstance(axes, Iterable) and as_index(axes) is None else (axes,)
    rank = x.rank + len(added)
    places = normalize_axes("expand_dims", added, x, rank)
    kept = iter(x.shape)
    return reshape(x, tuple(1 if i in places else next(kept) for i in range(rank)))


@also_named()
def squeeze(x: Like, axis: Any = None) -> Tensor:
    """`x` without axes of size 1 (all of them, or those named)."""
    x = as_tensor(x)
    axes = tuple(i for i, d in enumerate(x.shape) if d == 1) if axis is None else normalize_axes("squeeze", axis, x)
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(
                f"squeeze: axis {a} of {show(x.shape)} has size {x.shape[a]}, not 1\n  at {user_location()}"
            )
    return reshape(x, tuple(d for i, d in enumerate(x.shape) if i not in axes))


# ---------------------------------------------------------------- transpose


def _infer_transpose(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    (x,) = inputs
    if sorted(attrs.axes) != list(range(x.rank)):
        raise ShapeError(f"axes {attrs.axes} are not a permutation of the {x.rank} axes of {show(x.shape)}")
    return tuple(x.shape[a] for a in attrs.axes), x.dtype


def _lower_transpose(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    out: list[Any] = [None] * node.rank
    for i, a in enumerate(node.attrs.axes):
        out[a] = index[i]
    return read(0, tuple(out))


register(
    Op(
        "transpose",
        "movement",
        _infer_transpose,
        lambda node, env, x: np.transpose(x, node.attrs.axes),
        _lower_transpose,
        vjp=lambda n, g: (apply("transpose", (g,), axes=tuple(int(i) for i in np.argsort(n.attrs.axes))),),
        samples=(
            Sample(((3, 5),), {"axes": (1, 0)}),
            Sample(((2, 3, 4),), {"axes": (2, 0, 1)}),
            Sample(((1, 3),), {"axes": (1, 0)}),
        ),
        bad=(Bad(((2, 3),), {"axes": (0, 0)}, says=("permutation",)),),
        flops=0,
        folds=True,
        keeps_numbers=True,
        same_elements=True,
        one_to_one=True,
    )
)


@also_named()
def transpose(x: Like, axes: Sequence[int] | None = None) -> Tensor:
    """`x` with its axes in the given order (reversed by default)."""
    x = as_tensor(x)
    order = tuple(reversed(range(x.rank))) if axes is None else tuple(normalize_axis("transpose", a, x) for a in axes)
    return x if order == tuple(range(x.rank)) else apply("transpose", (x,), axes=order)
