"""`kw.pad`: a constant around an array, or what is inside it reflected, repeated at its edge, or gone around.

Modes have NumPy's and PyTorch's names. All but the constant are slices joined to the array, which kernels do as index
arithmetic. Leans on `ops.slicing`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ShapeError
from ..shapes import show
from .node import user_location
from .ops.slicing import checked_widths, concat, flip
from .ops.slicing import pad as constant_pad
from .tensor import Like, Tensor, as_tensor, broadcast_to

Part = Callable[[Tensor, int, int], Tensor]
"""(x, axis, how many) to the elements that come before, or after."""


def _cut(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    return x[(*(slice(None),) * axis, slice(start, stop))]


def _edge(x: Tensor, axis: int, n: int) -> Tensor:
    return broadcast_to(x, (*x.shape[:axis], n, *x.shape[axis + 1 :]))


MODES: dict[str, tuple[Callable[[int], float], Part, Part]] = {
    "reflect": (
        lambda size: size - 1,
        lambda x, a, n: flip(_cut(x, a, 1, n + 1), a),
        lambda x, a, n: flip(_cut(x, a, -n - 1, -1), a),
    ),
    "symmetric": (
        lambda size: size,
        lambda x, a, n: flip(_cut(x, a, None, n), a),
        lambda x, a, n: flip(_cut(x, a, -n, None), a),
    ),
    "wrap": (lambda size: size, lambda x, a, n: _cut(x, a, -n, None), lambda x, a, n: _cut(x, a, None, n)),
    "edge": (
        lambda size: math.inf if size else 0,
        lambda x, a, n: _edge(_cut(x, a, None, 1), a, n),
        lambda x, a, n: _edge(_cut(x, a, -1, None), a, n),
    ),
}
"""For each mode: how many elements it finds in an axis of a size, those before the axis, those after it."""

NAMES = {"circular": "wrap", "replicate": "edge"}
"""PyTorch's names for NumPy's."""


def pad(x: Like, widths: Sequence[Any], value: float = 0.0, mode: str = "constant") -> Tensor:
    """`x` with `widths[i] = n` or `(before, after)` more elements around axis i: `value`, or by the mode others of x.

    "reflect" mirrors at the first and last element, "symmetric" beside them, "edge" ("replicate") repeats them, "wrap"
    ("circular") goes on at the other end. Raises ShapeError for widths or a mode that are none, or where an axis is
    shorter than what is taken from it; DTypeError for a value that x's dtype cannot hold.
    """
    x = as_tensor(x)
    if mode == "constant":
        return constant_pad(x, widths, value)
    if mode not in MODES and mode not in NAMES:
        known = ", ".join(sorted(["constant", *MODES, *NAMES]))
        raise ShapeError(f"pad: mode must be one of {known}, not {mode!r} (at {user_location()})")
    most, before, after = MODES[NAMES.get(mode, mode)]
    for axis, (low, high) in enumerate(checked_widths(x, widths)):
        if not (isinstance(low, int) and isinstance(high, int)):
            raise ShapeError(f"pad: mode {mode!r} needs numbers for widths, not {widths!r} (at {user_location()})")
        size = x.shape[axis]
        if isinstance(size, int) and max(low, high) > max(most(size), 0):
            raise ShapeError(
                f"pad: mode {mode!r} finds {max(most(size), 0)} elements along axis {axis} of {show(x.shape)}, not "
                f"{max(low, high)}\n  at {user_location()}"
            )
        parts = [before(x, axis, low)] if low else []
        x = concat([*parts, x, *([after(x, axis, high)] if high else [])], axis)
    return x
