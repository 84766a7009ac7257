"""Nodes without inputs: program inputs, variables, numbers, arrays, index ramps, sizes.

Leans on `registry` and `loops`; a variable's storage is the runtime's `State`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ...errors import DTypeError
from ...loops import expressions as loops
from ...shapes import Dim, value
from ..tensor import Tensor, apply, checked_shape
from .registry import Op, register


def concrete(shape: Any, env: dict[str, int]) -> tuple[int, ...]:
    """A shape as numbers."""
    return tuple(value(d, env) for d in shape)


def _named(inputs: Any, attrs: Any) -> Any:
    return attrs.shape, attrs.dtype


def _number(node: Any) -> Any:
    from ..tensor import full_value

    return full_value(node)


def _missing(node: Any, env: Any) -> np.ndarray:
    raise KeyError(f"no value given for {node!r}")


register(Op("input", "source", _named, _missing, None, vjp=lambda node, g: ()))
register(Op("variable", "source", _named, _missing, None, vjp=lambda node, g: ()))
register(
    Op(
        "full",
        "source",
        _named,
        lambda node, env: np.full(concrete(node.shape, env), _number(node), dtypes.computed(node.dtype)),
        lambda node, index, read, axis: loops.const(_number(node), node.dtype),
        vjp=lambda node, g: (),
    )
)
register(
    Op(
        "array",
        "source",
        lambda inputs, attrs: (attrs.value.array.shape, dtypes.check(attrs.value.array.dtype)),
        lambda node, env: node.attrs.value.array,
        None,
        vjp=lambda node, g: (),
    )
)
register(
    Op(
        "iota",
        "source",
        lambda inputs, attrs: ((attrs.size,), attrs.dtype),
        lambda node, env: np.arange(value(node.attrs.size, env), dtype=dtypes.computed(node.dtype)),
        lambda node, index, read, axis: loops.index_value(index[0], node.dtype),
        vjp=lambda node, g: (),
    )
)
register(
    Op(
        "size",
        "source",
        lambda inputs, attrs: ((), attrs.dtype),
        lambda node, env: np.asarray(value(node.attrs.size, env), dtypes.computed(node.dtype)),
        lambda node, index, read, axis: loops.size_value(node.attrs.size, node.dtype),
        vjp=lambda node, g: (),
    )
)


def iota(size: Dim, dtype: str = dtypes.INT32) -> Tensor:
    """0, 1, ... size-1 as a vector of numbers. Raises ShapeError for what is no size, DTypeError for bool."""
    (length,) = checked_shape("iota", (size,))
    kind = dtypes.check(dtype)
    if kind == dtypes.BOOL:
        raise DTypeError(f"iota: counts in numbers, not {kind}; compare the result with a number instead")
    return apply("iota", (), size=length, dtype=kind)


def size_of(size: Dim, dtype: str) -> Tensor:
    """A size as a scalar tensor: a constant where it is known, else read when the program runs."""
    from ..tensor import full

    return full((), size, dtype) if isinstance(size, int) else apply("size", (), size=size, dtype=dtype)
