"""Variables: values that live between runs (parameters, optimizer state, random state).

A variable is a leaf of the graph; its storage is a runtime `State`, shared by every program that uses it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..errors import DTypeError, InputError, ShapeError
from .tensor import Tensor, apply


def variable(name: str, value: Any, dtype: Any = None) -> Tensor:
    """A variable holding a copy of `value` (any array, or one that is still being made), in which programs can leave
    new values.

    Raises DTypeError for a dtype that is unknown, or bfloat16.
    """
    from ...runtime.awaited import Awaited
    from ...runtime.state import State

    array = value if isinstance(value, Awaited) else np.asarray(value)
    checked = dtypes.check(dtype if dtype is not None else array.dtype)
    if checked == dtypes.BFLOAT16:
        raise DTypeError(f"variable {name!r}: values are kept in float32; cast to bfloat16 where it is read")
    state = State(name, array if array.dtype == checked else np.asarray(array, checked))
    return apply("variable", (), name=name, shape=tuple(array.shape), dtype=checked, state=state)


def get_value(x: Tensor) -> np.ndarray:
    """A copy of the variable's present value. Raises InputError for what is no variable."""
    _check(x)
    result: np.ndarray = x.attrs.state.get()
    return result


def set_value(x: Tensor, value: Any) -> None:
    """Replace the variable's value. Raises ShapeError where the shape differs, InputError for what is no variable."""
    _check(x)
    array = np.asarray(value, x.dtype)
    if array.shape != x.shape:
        raise ShapeError(f"variable {x.attrs.name!r} has shape {x.shape}, not {array.shape}")
    x.attrs.state.set(array)


def _check(x: Tensor) -> None:
    if not isinstance(x, Tensor) or x.op.name != "variable":
        raise InputError(f"only variables hold values between runs, not {x!r}")
