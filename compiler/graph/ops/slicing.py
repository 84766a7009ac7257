"""Ops that take parts of arrays and put arrays together: slice, pad, flip, concat.

All of them are only index arithmetic to the loop form, so they cost nothing when fused. Leans on `loops`, and on
`movement` for axes of size 1.
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
from ...shapes import Dim, Shape, as_index, show
from ..node import user_location
from ..synonyms import also_named
from ..tensor import (
    Like,
    Tensor,
    apply,
    as_tensor,
    checked_shape,
    full,
    full_value,
    normalize_axes,
    normalize_axis,
)
from .movement import expand_dims
from .registry import Bad, Op, Sample, register
from .source import concrete

Index = loops.Index

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
    pairs = checked_widths(x, widths)
    held = full_value(full((), value, x.dtype))
    if held != value and not dtypes.is_float(x.dtype):
        raise DTypeError(f"pad: {x.dtype} cannot hold {value}; cast {show(x.shape)} first (at {user_location()})")
    if all(p == (0, 0) for p in pairs):
        return x
    low, high = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
    return apply("pad", (x,), low=low, high=high, interior=(0,) * x.rank, value=held)


def checked_widths(x: Tensor, widths: Any) -> list[Shape]:
    """A user's widths of padding as (before, after) for each axis. Raises ShapeError for what is none."""
    given = list(widths) if isinstance(widths, Iterable) else [widths]
    pairs = [checked_shape("pad", w if isinstance(w, Iterable) and as_index(w) is None else (w, w)) for w in given]
    if len(pairs) != x.rank or any(len(p) != 2 for p in pairs):
        raise ShapeError(
            f"pad: widths must be one per axis of {show(x.shape)}, each a number or (before, after), not {widths!r}"
            f"\n  at {user_location()}"
        )
    return pairs


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
        vjp=lambda n, g: (apply("flip", (g,), axes=n.attrs.axes),),
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


@also_named()
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


@also_named()
def concat(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The parts one after another along `axis`; equal in all other sizes."""
    parts = _parts("concat", parts)
    at = normalize_axis("concat", axis, parts[0])
    return parts[0] if len(parts) == 1 else apply("concat", tuple(parts), axis=at)


@also_named()
def stack(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The parts, of one shape, along a new axis."""
    parts = _parts("stack", parts)
    at = normalize_axis("stack", axis, parts[0], parts[0].rank + 1)
    if any(p.shape != parts[0].shape for p in parts):
        shapes = ", ".join(show(p.shape) for p in parts)
        raise ShapeError(f"stack: parts must have one shape, not {shapes}\n  at {user_location()}")
    return concat([expand_dims(p, at) for p in parts], at)
