"""Ops that move values without changing them: broadcast, reshape, transpose, slice, pad, flip, concat.

All of them are only index arithmetic to the loop form, so they cost nothing when fused. Leans on `loops`.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ....runtime.errors import RuntimeShapeError
from ... import dtypes
from ...errors import DTypeError, ShapeError
from ...loops import expressions as loops
from ...shapes import Dim, Shape, Size, as_index, broadcast, divide, product, show
from ..node import user_location
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


def flatten(x: Like, start: int = 1) -> Tensor:
    """`x` with all axes from `start` on as one (a new axis of size 1, where there are none from there on)."""
    x = as_tensor(x)
    first = normalize_axis("flatten", start, x, x.rank + 1) if as_index(start) != -1 else max(x.rank - 1, 0)
    return reshape(x, x.shape[:first] + (product(x.shape[first:]),))


def expand_dims(x: Like, axes: Any) -> Tensor:
    """`x` with new axes of size 1 at the given positions of the result."""
    x = as_tensor(x)
    added = tuple(axes) if isinstance(axes, Iterable) and as_index(axes) is None else (axes,)
    rank = x.rank + len(added)
    places = normalize_axes("expand_dims", added, x, rank)
    kept = iter(x.shape)
    return reshape(x, tuple(1 if i in places else next(kept) for i in range(rank)))


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
        vjp=lambda n, g: (transpose(g, tuple(int(i) for i in np.argsort(n.attrs.axes))),),
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


def transpose(x: Like, axes: Sequence[int] | None = None) -> Tensor:
    """`x` with its axes in the given order (reversed by default)."""
    x = as_tensor(x)
    order = tuple(reversed(range(x.rank))) if axes is None else tuple(normalize_axis("transpose", a, x) for a in axes)
    return x if order == tuple(range(x.rank)) else apply("transpose", (x,), axes=order)


# ---------------------------------------------------------------- slice and pad (each the other's gradient)


def _infer_slice(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    return attrs.sizes, inputs[0].dtype


def _slice_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    a = node.attrs
    sizes = concrete(a.sizes, env)
    starts = concrete(a.starts, env)
    for axis, (d, s, n, t) in enumerate(zip(x.shape, starts, sizes, a.steps)):
        if n and not (s >= 0 and n > 0 and s + (n - 1) * t < d):
            raise RuntimeShapeError(
                f"{node!r} takes {n} places from {s} on along axis {axis}, of which there are {d} in this run"
            )
    return x[tuple(builtins.slice(s, s + (n - 1) * t + 1 if n else s, t) for s, n, t in zip(starts, sizes, a.steps))]


def slice_room(node: Tensor) -> list[tuple[int, Dim]]:
    """(axis, places left) per bound of a slice that only a run's sizes can settle; negative where it does not fit."""
    a, out = node.attrs, []
    for axis, (d, s, n, t) in enumerate(zip(node.inputs[0].shape, a.starts, a.sizes, a.steps)):
        out += [(axis, room) for room in (s, n, d - s - (n - 1) * t - 1) if not _never_negative(room)]
    return out


def _never_negative(size: Dim) -> bool:
    """Is this known for every value of the symbols?"""
    return size >= 0 if isinstance(size, int) else all(c >= 0 for _, c in size.terms)


def _slice_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    a, x = node.attrs, node.inputs[0]
    high = tuple(
        d - s - ((n - 1) * t + 1) if n != 0 else d - s for d, s, n, t in zip(x.shape, a.starts, a.sizes, a.steps)
    )
    return (apply("pad", (g,), low=a.starts, high=high, interior=tuple(t - 1 for t in a.steps), value=0.0),)


register(
    Op(
        "slice",
        "movement",
        _infer_slice,
        _slice_reference,
        lambda node, index, read, axis: read(
            0, tuple(i * t + s for i, s, t in zip(index, node.attrs.starts, node.attrs.steps))
        ),
        vjp=_slice_gradient,
        samples=(
            Sample(((5, 7),), {"starts": (1, 2), "sizes": (3, 4), "steps": (1, 1)}),
            Sample(((5, 7),), {"starts": (0, 1), "sizes": (3, 3), "steps": (2, 2)}),
            Sample(((3,),), {"starts": (1,), "sizes": (0,), "steps": (1,)}),
        ),
        flops=0,
        folds=True,
        keeps_numbers=True,
    )
)


def _infer_pad(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    (x,) = inputs
    for amount in attrs.low + attrs.high + attrs.interior:
        if isinstance(amount, int) and amount < 0:
            raise ShapeError(f"padding must not be negative; got low {attrs.low}, high {attrs.high}")
    return tuple(
        lo + hi + (d + (d - 1) * inner if d != 0 else 0)
        for d, lo, hi, inner in zip(x.shape, attrs.low, attrs.high, attrs.interior)
    ), x.dtype


def _pad_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    a = node.attrs
    out = np.full(concrete(node.shape, env), a.value, dtypes.computed(node.dtype))
    low = concrete(a.low, env)
    out[
        tuple(
            builtins.slice(lo, lo + (n - 1) * (k + 1) + 1 if n else lo, k + 1)
            for lo, n, k in zip(low, x.shape, a.interior)
        )
    ] = x
    return out


def _lower_pad(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    a, x = node.attrs, node.inputs[0]
    conditions: list[loops.Condition] = []
    inner: list[Index] = []
    for i, d, lo, k in zip(index, x.shape, a.low, a.interior):
        shifted = i + -lo
        conditions.append(loops.Within(shifted, d * (k + 1) - k if d != 0 else 0))
        if k:
            conditions.append(loops.Divides(shifted, k + 1))
        inner.append(shifted // (k + 1))
    return loops.guard(conditions, read(0, tuple(inner)), loops.const(a.value, node.dtype))


def _pad_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    a, x = node.attrs, node.inputs[0]
    return (apply("slice", (g,), starts=a.low, sizes=x.shape, steps=tuple(k + 1 for k in a.interior)),)


register(
    Op(
        "pad",
        "movement",
        _infer_pad,
        _pad_reference,
        _lower_pad,
        vjp=_pad_gradient,
        samples=(
            Sample(((3, 2),), {"low": (1, 0), "high": (2, 1), "interior": (0, 0), "value": 0.0}),
            Sample(((3, 2),), {"low": (0, 1), "high": (0, 0), "interior": (1, 2), "value": 1.5}),
            Sample(((1,),), {"low": (2,), "high": (2,), "interior": (0,), "value": 0.0}),
        ),
        bad=(Bad(((2,),), {"low": (-1,), "high": (0,), "interior": (0,), "value": 0.0}, says=("negative",)),),
        flops=0,
        folds=True,
    )
)


def pad(x: Like, widths: Sequence[Any], value: float = 0.0) -> Tensor:
    """`x` with `widths[i] = n` or `(before, after)` more elements of `value` around axis i.

    Raises ShapeError for widths that are none, DTypeError for a value that x's dtype cannot hold.
    """
    x = as_tensor(x)
    given = list(widths) if isinstance(widths, Iterable) else [widths]
    pairs = [checked_shape("pad", w if isinstance(w, Iterable) and as_index(w) is None else (w, w)) for w in given]
    if len(pairs) != x.rank or any(len(p) != 2 for p in pairs):
        raise ShapeError(
            f"pad: widths must be one per axis of {show(x.shape)}, each a number or (before, after), not {widths!r}"
            f"\n  at {user_location()}"
        )
    held = full_value(full((), value, x.dtype))
    if held != value and not dtypes.is_float(x.dtype):
        raise DTypeError(f"pad: {x.dtype} cannot hold {value}; cast {show(x.shape)} first (at {user_location()})")
    if all(p == (0, 0) for p in pairs):
        return x
    low, high = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
    return apply("pad", (x,), low=low, high=high, interior=(0,) * x.rank, value=held)


# ---------------------------------------------------------------- flip and concat


def _lower_flip(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    axes = node.attrs.axes
    return read(0, tuple(i * -1 + (d - 1) if n in axes else i for n, (i, d) in enumerate(zip(index, node.shape))))


register(
    Op(
        "flip",
        "movement",
        lambda inputs, attrs: (inputs[0].shape, inputs[0].dtype),
        lambda node, env, x: np.flip(x, node.attrs.axes),
        _lower_flip,
        vjp=lambda n, g: (flip(g, n.attrs.axes),),
        samples=(
            Sample(((3, 4),), {"axes": (1,)}),
            Sample(((3, 4),), {"axes": (0, 1)}),
            Sample(((1,),), {"axes": (0,)}),
        ),
        flops=0,
        folds=True,
        keeps_numbers=True,
        same_elements=True,
    )
)


def flip(x: Like, axis: Any = None) -> Tensor:
    """`x` reversed along the axes."""
    x = as_tensor(x)
    axes = normalize_axes("flip", axis, x)
    return apply("flip", (x,), axes=axes) if axes else x


def _infer_concat(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    first, at = inputs[0], attrs.axis
    total: Dim = 0
    for x in inputs:
        if x.dtype != first.dtype:
            raise DTypeError("all parts must have the same dtype")
        if x.rank != first.rank or any(i != at and a != b for i, (a, b) in enumerate(zip(x.shape, first.shape))):
            raise ShapeError(f"parts must agree in every axis but {at}: " + ", ".join(show(t.shape) for t in inputs))
        total = total + x.shape[at]
    return first.shape[:at] + (total,) + first.shape[at + 1 :], first.dtype


def _lower_concat(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    at = node.attrs.axis
    offset: Dim = 0
    offsets = []
    for x in node.inputs:
        offsets.append(offset)
        offset = offset + x.shape[at]
    value = loops.const(0, node.dtype)
    for k in reversed(range(len(node.inputs))):
        here = index[at] + offsets[k] * -1
        inner = index[:at] + (here,) + index[at + 1 :]
        value = loops.guard([loops.Within(here, node.inputs[k].shape[at])], read(k, inner), value)
    return value


def _concat_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    at = node.attrs.axis
    out = []
    start: Dim = 0
    for x in node.inputs:
        starts = tuple(start if i == at else 0 for i in range(node.rank))
        out.append(apply("slice", (g,), starts=starts, sizes=x.shape, steps=(1,) * node.rank))
        start = start + x.shape[at]
    return out


register(
    Op(
        "concat",
        "movement",
        _infer_concat,
        lambda node, env, *xs: np.concatenate(xs, node.attrs.axis),
        _lower_concat,
        vjp=_concat_gradient,
        samples=(
            Sample(((2, 3), (4, 3)), {"axis": 0}),
            Sample(((2, 3), (2, 1), (2, 2)), {"axis": 1}),
            Sample(((0, 3), (2, 3)), {"axis": 0}),
        ),
        bad=(Bad(((2, 3), (2, 4)), {"axis": 0}, says=("(2, 3)", "(2, 4)")),),
        flops=0,
        joins=True,
    )
)


def _parts(op: str, parts: Any) -> list[Tensor]:
    if isinstance(parts, Tensor) or not isinstance(parts, Iterable):
        raise ShapeError(f"{op}: takes a list of tensors, not {parts!r}\n  at {user_location()}")
    tensors = [as_tensor(p) for p in parts]
    if not tensors:
        raise ShapeError(f"{op}: there are no parts (at {user_location()})")
    return tensors


def concat(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The parts one after another along `axis`; equal in all other sizes."""
    parts = _parts("concat", parts)
    at = normalize_axis("concat", axis, parts[0])
    return parts[0] if len(parts) == 1 else apply("concat", tuple(parts), axis=at)


def stack(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The parts, of one shape, along a new axis."""
    parts = _parts("stack", parts)
    at = normalize_axis("stack", axis, parts[0], parts[0].rank + 1)
    if any(p.shape != parts[0].shape for p in parts):
        shapes = ", ".join(show(p.shape) for p in parts)
        raise ShapeError(f"stack: parts must have one shape, not {shapes}\n  at {user_location()}")
    return concat([expand_dims(p, at) for p in parts], at)
