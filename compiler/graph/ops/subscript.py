"""`x[...]`: NumPy's basic indexing, and positions along the first axis, composed of slice, flip, reshape and gather.

Leans on `movement` and `indexing`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ...errors import DTypeError, ShapeError
from ...shapes import Dim, Size, as_index, show
from ..node import user_location
from ..tensor import Tensor, apply, as_tensor
from .indexing import gather
from .movement import reshape
from .slicing import flip


def getitem(x: Tensor, key: Any) -> Tensor:
    """Indexing as in NumPy: integers, slices, `...`, None; or one tensor, array or list of integers for the first axis.

    An axis whose size is known at run time only takes slices of step 1 or -1, whose bounds the run checks (it does not
    cut them to the size, as NumPy does). Raises ShapeError for a key that does not fit, DTypeError for
    a mask, since no shape depends on data.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(k, (Tensor, list, np.ndarray)) and as_index(k) is None for k in keys):
        return _take(x, keys)
    keys = _complete(x, keys)
    starts: list[Dim] = []
    sizes: list[Dim] = []
    shape: list[Dim] = []
    steps: list[int] = []
    flips: list[int] = []
    dims = iter(enumerate(x.shape))
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        axis, dim = next(dims)
        start, size, step = _slice(k, dim, axis, x) if isinstance(k, slice) else (_place(k, dim, axis, x), 1, 1)
        if step < 0:
            flips.append(axis)
            start, step = start + (size - 1) * step, -step
        starts.append(start)
        sizes.append(size)
        steps.append(step)
        if isinstance(k, slice):
            shape.append(size)
    out = x
    if tuple(sizes) != x.shape or any(t != 1 for t in steps):
        out = apply("slice", (x,), starts=tuple(starts), sizes=tuple(sizes), steps=tuple(steps))
    return reshape(flip(out, flips) if flips else out, tuple(shape))


def _take(x: Tensor, keys: list[Any]) -> Tensor:
    """The rows of x at the positions that the only key holds."""
    if len(keys) > 1:
        raise ShapeError(f"index with one integer tensor alone, or use kw.gather for an axis (at {user_location()})")
    positions = as_tensor(keys[0])
    if positions.dtype == dtypes.BOOL:
        raise DTypeError(
            f"cannot index {show(x.shape)} with the mask {positions.brief()}: how many it takes depends on data, and "
            "shapes do not. Keep the shape and choose by the mask, as in kw.where(mask, x, 0), whose sums and extremes "
            f"leave the rest out\n  at {user_location()}"
        )
    if positions.op.name == "array" and np.issubdtype(positions.dtype, np.integer) and x.rank:
        size, values = x.shape[0], positions.attrs.value.array.astype("int64")
        if isinstance(size, int):
            if ((values < -size) | (values >= size)).any():
                raise ShapeError(
                    f"index {values.tolist()} is out of range for axis 0 of {show(x.shape)} (at {user_location()})"
                )
            positions = as_tensor(np.where(values < 0, values + size, values))
    return gather(x, positions, 0)


def _complete(x: Tensor, keys: list[Any]) -> list[Any]:
    """The keys with a slice for every axis that they leave out."""
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    given = sum(k is not None and k is not Ellipsis for k in keys)
    if len(dots) > 1 or given > x.rank:
        what = "more than one ..." if len(dots) > 1 else f"{given} indices for {x.rank} axes"
        raise ShapeError(f"cannot index {show(x.shape)} with {what} (at {user_location()})")
    rest = [slice(None)] * (x.rank - given)
    return keys[: dots[0]] + rest + keys[dots[0] + 1 :] if dots else keys + rest


def _slice(k: slice, dim: Dim, axis: int, x: Tensor) -> tuple[Dim, Dim, int]:
    """(start, size, step) of a slice of an axis of size dim."""
    bounds = [b if b is None or isinstance(b, Size) else as_index(b) for b in (k.start, k.stop, k.step)]
    if any(b is None and g is not None for b, g in zip(bounds, (k.start, k.stop, k.step))) or bounds[2] == 0:
        raise ShapeError(
            f"{k} of axis {axis} of {show(x.shape)} needs integers, and a step other than 0 (at {user_location()})"
        )
    if isinstance(dim, int) and not any(isinstance(b, Size) for b in bounds):
        start, stop, step = slice(*bounds).indices(dim)
        count = len(range(start, stop, step))
        return (start, count, step) if count else (0, 0, 1)
    pace = 1 if bounds[2] is None else bounds[2]
    if pace not in (1, -1):
        raise ShapeError(
            f"axis {axis} of {show(x.shape)} has a size known at run time only: its step must be 1 or -1, not {pace} "
            f"(at {user_location()})"
        )
    first, last = (dim + b if isinstance(b, int) and b < 0 else b for b in bounds[:2])
    if pace == -1:
        first = dim - 1 if first is None else first
        size = first + 1 if last is None else first - last
    else:
        first = 0 if first is None else first
        size = (dim if last is None else last) - first
    return (first, size, 1 if pace == 1 else -1) if isinstance(size, Size) or size > 0 else (0, 0, 1)


def _place(k: Any, dim: Dim, axis: int, x: Tensor) -> Dim:
    """The position an integer names along an axis of size dim."""
    number = as_index(k)
    if number is None:
        instead = "kw.where for masks" if isinstance(k, (bool, np.bool_)) else "kw.gather with an integer tensor"
        raise ShapeError(f"cannot index {show(x.shape)} with {k!r}; use {instead} (at {user_location()})")
    if isinstance(dim, int) and not -dim <= number < dim:
        raise ShapeError(f"index {number} is out of range for axis {axis} of {show(x.shape)} (at {user_location()})")
    return dim + number if number < 0 else number
