"""Images of another size: interpolation, and windows as many as are asked for (adaptive pooling).

Both are a product with a small matrix along each axis in turn, or movement where sizes divide: what stands in the
matrix is known while compiling, or computed in the run where an axis has a symbolic size. Leans on the op families.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import DTypeError, ShapeError
from ..shapes import Dim, divide, show
from .node import user_location
from .ops.elementwise import equal, floor, maximum, minimum, where
from .ops.indexing import gather
from .ops.movement import expand_dims, transpose
from .ops.slicing import concat, stack
from .ops.source import iota
from .tensor import Like, Tensor, as_tensor, broadcast_to, checked_shape

IN_A_RUN = SimpleNamespace(floor=floor, maximum=maximum, minimum=minimum, where=where, equal=equal)
"""What weights are computed by where an axis has the size of a run; NumPy elsewhere."""
MODES = ("nearest", "linear", "bilinear", "trilinear", "bicubic", "area")
CUBIC = -0.75
"""The slope of the cubic kernel (Keys 1981, equation 4, with a = -3/4) that PyTorch and OpenCV have."""


def resize(x: Like, size: Any, mode: str = "nearest", align_corners: bool = False) -> Tensor:
    """Images (batch, channels, *spatial) with `size` places on each spatial axis: a number for all, or one for each.

    mode: "nearest" (element floor(i n / size)), "linear" ("bilinear", "trilinear" for images and volumes), "bicubic",
    or "area" (means, see `adaptive_avg_pool`). Centres of elements keep their places, as in PyTorch's
    `interpolate(x, size, mode=mode)`; with `align_corners` the first and last elements do. Sizes may be those of a run.
    "nearest" takes numbers of any dtype, the others floats. Raises ShapeError or DTypeError.
    """
    x = as_tensor(x)
    sizes = _sizes("resize", x, size)
    return _resized("resize", x, sizes, [None] * len(sizes), mode, align_corners)


def interpolate(
    x: Like, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool = False
) -> Tensor:
    """`resize` with PyTorch's arguments: `scale_factor` says how much longer each spatial axis becomes, rounded down.

    Places are then computed with the factor itself, as in `torch.nn.functional.interpolate`. Raises ShapeError unless
    exactly one of size and scale_factor is given.
    """
    x = as_tensor(x)
    if (size is None) == (scale_factor is None):
        raise ShapeError(f"interpolate: size or scale_factor is needed, and not both (at {user_location()})")
    if size is not None:
        return resize(x, size, mode, align_corners)
    spatial = _spatial("interpolate", x)
    factors = list(scale_factor) if isinstance(scale_factor, (tuple, list)) else [scale_factor] * len(spatial)
    good = len(factors) == len(spatial) and all(isinstance(f, (int, float)) and 0 < f < math.inf for f in factors)
    if not good or not all(isinstance(n, int) or f == int(f) for n, f in zip(spatial, factors)):
        raise ShapeError(
            f"interpolate: scale_factor={scale_factor!r} should be a positive number for all or one for each of the "
            f"{len(spatial)} spatial axes of {show(x.shape)}, and whole where a size is that of a run "
            f"(at {user_location()})"
        )
    sizes = [int(n * f) if isinstance(n, int) else n * int(f) for n, f in zip(spatial, factors)]
    return _resized("interpolate", x, sizes, [1 / f for f in factors], mode, align_corners)


def adaptive_avg_pool(x: Like, output_size: Any) -> Tensor:
    """Means over windows that give `output_size` places on each spatial axis: a number for all, or one for each.

    Place i is the mean from floor(i n / size) up to ceil((i + 1) n / size) of an axis of n, as in PyTorch: windows
    overlap where size does not divide n. (batch, channels, *spatial) of floats, of which spatial sizes may be those of
    a run. Raises ShapeError.
    """
    x = as_tensor(x)
    for axis, places in enumerate(_sizes("adaptive_avg_pool", x, output_size), 2):
        x = _means(x, axis, _known("adaptive_avg_pool", places))
    return x


def adaptive_max_pool(x: Like, output_size: Any) -> Tensor:
    """The greatest in each of the windows of `adaptive_avg_pool`. Sizes that are those of a run must be divided by
    `output_size`. Raises ShapeError."""
    x = as_tensor(x)
    for axis, places in enumerate(_sizes("adaptive_max_pool", x, output_size), 2):
        x = _greatest(x, axis, _known("adaptive_max_pool", places))
    return x


# ------------------------------------------------------------------ arguments
def _spatial(op: str, x: Tensor) -> Sequence[Dim]:
    if x.rank < 3 or 0 in x.shape[2:]:
        raise ShapeError(f"{op}: (batch, channels, *spatial) is needed, not {show(x.shape)} (at {user_location()})")
    return x.shape[2:]


def _sizes(op: str, x: Tensor, size: Any) -> list[Dim]:
    """One size for each spatial axis."""
    spatial = _spatial(op, x)
    given = checked_shape(op, size if isinstance(size, (tuple, list)) else [size] * len(spatial))
    if len(given) != len(spatial) or 0 in given:
        raise ShapeError(
            f"{op}: {size!r} should be a size above 0 for all or one for each of the {len(spatial)} spatial axes of "
            f"{show(x.shape)} (at {user_location()})"
        )
    return list(given)


def _known(op: str, places: Dim) -> int:
    if not isinstance(places, int):
        raise ShapeError(f"{op}: output_size must be known while compiling, not {places} (at {user_location()})")
    return places


# ------------------------------------------------------------------ interpolation
def _resized(
    op: str, x: Tensor, sizes: Sequence[Dim], ratios: Sequence[float | None], mode: str, align_corners: bool
) -> Tensor:
    """ratios: places there for one here, where it is not n / size."""
    if mode not in MODES:
        raise ShapeError(f"{op}: mode={mode!r} is none; there are {', '.join(MODES)} (at {user_location()})")
    if mode != "nearest" and not dtypes.is_float(x.dtype):
        raise DTypeError(
            f"{op}: mode={mode!r} weighs floats, not {x.dtype}; cast, or take 'nearest' (at {user_location()})"
        )
    if mode == "area":
        return adaptive_avg_pool(x, tuple(sizes))
    for axis, (size, ratio) in enumerate(zip(sizes, ratios), 2):
        n = x.shape[axis]
        times = divide(size, n)
        if times == 1 and ratio in (None, 1.0):
            continue
        if mode == "nearest":
            x = _repeated(x, axis, times) if isinstance(times, int) else _nearest(x, axis, size, ratio)
        elif mode != "bicubic" and isinstance(times, int) and not align_corners:
            x = _between(x, axis, times)
        else:
            x = _weighed(x, axis, _weights(n, size, ratio, mode, align_corners, x.dtype))
    return x


def _repeated(x: Tensor, axis: int, times: int) -> Tensor:
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    wide = broadcast_to(expand_dims(x, axis + 1), (*before, times, *after))
    return wide.reshape(*before[:-1], before[-1] * times, *after)


def _nearest(x: Tensor, axis: int, size: Dim, ratio: float | None) -> Tensor:
    n = x.shape[axis]
    if ratio is None:
        places: Tensor = iota(size, dtypes.INT64) * as_tensor(n) // as_tensor(size)
    else:
        places = floor(iota(size, dtypes.INT64).astype("float32") * ratio).astype(dtypes.INT64)
    return gather(x, minimum(places, as_tensor(n) - 1), axis)


def _between(x: Tensor, axis: int, times: int) -> Tensor:
    """The `times` places that each element gives are weighted means of it and of the neighbour on their side."""
    here = (slice(None),) * axis
    lower = concat([x[(*here, slice(0, 1))], x[(*here, slice(0, -1))]], axis)
    upper = concat([x[(*here, slice(1, None))], x[(*here, slice(-1, None))]], axis)
    places = []
    for k in range(times):
        offset = (k + 0.5) / times - 0.5
        neighbour = lower if offset < 0 else upper
        places.append(x * (1 - abs(offset)) + neighbour * abs(offset) if offset else x)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    return stack(places, axis + 1).reshape(*before, x.shape[axis] * times, *after)


def _weighed(x: Tensor, axis: int, weights: Tensor) -> Tensor:
    """Along the axis, sums weighed by the columns of (n, size)."""
    order = [k for k in range(x.rank) if k != axis] + [axis]
    return transpose(transpose(x, order) @ weights, [order.index(k) for k in range(x.rank)])


def _weights(n: Dim, size: Dim, ratio: float | None, mode: str, align_corners: bool, dtype: str) -> Tensor:
    """(n, size): what each element counts in each place."""
    if isinstance(n, int) and isinstance(size, int):
        of: Any = np
        element: Any = np.arange(n)[:, None]
        place: Any = np.arange(size, dtype="float64")[None]
        step: Any = _step(n, size, ratio, align_corners)
        last: Any = n - 1
    else:
        of, last = IN_A_RUN, as_tensor(n).astype(dtype) - 1
        element, place = expand_dims(iota(n).astype(dtype), 1), expand_dims(iota(size).astype(dtype), 0)
        many = as_tensor(size).astype(dtype)
        whole = last / maximum(many - 1, 1) if align_corners else (last + 1) / many
        step = whole if ratio is None or align_corners else ratio
    at = place * step if align_corners else (place + 0.5) * step - 0.5
    if mode != "bicubic":
        at = of.maximum(at, 0.0)
    first = of.floor(at)
    counts: Any = 0.0
    for offset, weight in _taps(mode):
        there = of.minimum(of.maximum(first + offset, 0.0), last)
        counts = counts + of.where(of.equal(there, element), weight(at - first), 0.0)
    return as_tensor(counts.astype(dtype))


def _step(n: int, size: int, ratio: float | None, align_corners: bool) -> float:
    if align_corners:
        return (n - 1) / max(size - 1, 1)
    return n / size if ratio is None else ratio


def _taps(mode: str) -> Sequence[tuple[int, Callable[[Any], Any]]]:
    """(how far from the element before a place, its weight by how far the place is past that element)."""
    if mode != "bicubic":
        return (0, lambda t: 1 - t), (1, lambda t: t)
    return (
        (-1, lambda t: _far(t + 1)),
        (0, _near),
        (1, lambda t: _near(1 - t)),
        (2, lambda t: _far(2 - t)),
    )


def _near(d: Any) -> Any:
    return ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1


def _far(d: Any) -> Any:
    return ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC


# ------------------------------------------------------------------ adaptive windows
def _bounds(n: Dim, places: int) -> list[tuple[Dim, Dim]]:
    return [(i * n // places, -(-((i + 1) * n) // places)) for i in range(places)]


def _means(x: Tensor, axis: int, places: int) -> Tensor:
    n = x.shape[axis]
    length = divide(n, places)
    if length is not None:
        return x.reshape(*x.shape[:axis], places, length, *x.shape[axis + 1 :]).mean(axis + 1)
    return _weighed(x, axis, _shares(n, places, x.dtype))


def _shares(n: Dim, places: int, dtype: str) -> Tensor:
    """(n, places): what each element counts in the mean of each place."""
    if isinstance(n, int):
        weights = np.zeros((n, places), dtype)
        for i, (first, end) in enumerate(_bounds(n, places)):
            weights[first:end, i] = 1
        return as_tensor(weights / weights.sum(0))
    element = iota(n, "int32")
    return stack(
        [
            where((element >= a) & (element < b), 1.0 / as_tensor(b - a).astype(dtype), 0.0)
            for a, b in _bounds(n, places)
        ],
        1,
    )


def _greatest(x: Tensor, axis: int, places: int) -> Tensor:
    n = x.shape[axis]
    length = divide(n, places)
    if length is not None:
        return x.reshape(*x.shape[:axis], places, length, *x.shape[axis + 1 :]).max(axis + 1)
    if not isinstance(n, int):
        raise ShapeError(
            f"adaptive_max_pool: {places} places do not divide axis {axis} of {show(x.shape)} for every size of a run; "
            f"give the size, or take adaptive_avg_pool (at {user_location()})"
        )
    here = (slice(None),) * axis
    return stack([x[(*here, slice(a, b))].max(axis) for a, b in _bounds(n, places)], axis)
