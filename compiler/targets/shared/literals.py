"""Numbers, starts and steps of reductions as text of a dtype. Leans on `dtypes` and on the loop form's constants."""

from __future__ import annotations

import math

from ... import dtypes
from ...loops import expressions as loops
from ...loops.expressions import Expr


def constant(e: Expr) -> str:
    """A number of the expression's dtype as text."""
    v = loops.const_value(e)
    if e.dtype == dtypes.BOOL:
        return str(bool(v))
    if dtypes.is_float(e.dtype):
        v = float(v)
        if math.isnan(v) or math.isinf(v):
            return f"{e.dtype}({str(v).replace('inf', 'INFINITY').replace('nan', 'NAN')})"
        return f"{e.dtype}({v!r})"
    return _integer(int(v), e.dtype)


def _integer(value: int, dtype: str) -> str:
    """An integer of a dtype. The least int64 is no literal: its digits alone are one more than the greatest."""
    return f"{dtype}({value})" if value != -(2**63) else f"{dtype}({value + 1} - 1)"


def wrapped(text: str, dtype: str) -> str:
    """The result of an operator. Of integers it is in parentheses and cast to its dtype, in which NumPy computes it and
    wraps around; Numba computes it in 64 bits."""
    return f"{dtype}{text}" if dtypes.is_integer(dtype) else text


def initial(kind: str, dtype: str) -> str:
    """What a reduction starts from."""
    if kind in ("sum", "prod"):
        return f"{dtype}({0 if kind == 'sum' else 1})"
    if dtypes.is_float(dtype):
        return f"{dtype}({'-' if kind == 'max' else ''}INFINITY)"
    import numpy as np

    limits = np.iinfo(dtype)
    return _integer(int(limits.min if kind == "max" else limits.max), dtype)


def combine(kind: str, acc: str, v: str, dtype: str) -> str:
    """One step of a reduction whose result is of `dtype`."""
    if kind in ("sum", "prod"):
        text = f"{acc} {'+' if kind == 'sum' else '*'} {v}"
        return wrapped(f"({text})", dtype) if dtypes.is_integer(dtype) else text
    return f"{'maximum' if kind == 'max' else 'minimum'}({acc}, {v})"
