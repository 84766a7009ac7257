"""NumPy's and PyTorch's names for what the package calls by the other's, and operators as functions.

An alias is the function itself. Leans on the op families.
"""

from __future__ import annotations

from typing import Any

from .ops.elementary import acos, acosh, asin, asinh, atan, atan2, atanh
from .ops.elementwise import _binary, abs_, clip
from .ops.movement import expand_dims, transpose
from .ops.reduce import max_, min_
from .ops.slicing import concat
from .synonyms import also_named
from .tensor import Like, Tensor, elementwise

arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
absolute, clamp = abs_, clip
cat = concatenate = concat
unsqueeze, permute = expand_dims, transpose

add, subtract, multiply, divide, power = (_binary(name) for name in ("add", "sub", "mul", "div", "pow"))


@also_named()
def amax(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`max`, which PyTorch calls so where it gives the values alone."""
    return max_(x, axis, keepdims)


@also_named()
def amin(x: Like, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`min`, which PyTorch calls so where it gives the values alone."""
    return min_(x, axis, keepdims)


def negative(x: Like) -> Tensor:
    """-x of each element. Numbers of any dtype; the least integer stays as it is."""
    return elementwise("neg", x)
