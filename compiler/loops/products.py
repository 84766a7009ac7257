"""Sums of products in the loop form: what is a contraction, and what are its two factors.

Every target schedules these in a way of its own, and layout and recomputing leave their operands alone. Passes ask a
kernel for it as a fact, `kernel.fact(contraction)`, which is recognised once. Leans on `expressions`.
"""

from __future__ import annotations

from .. import dtypes
from . import expressions as loops
from .expressions import Expr
from .kernels import Buffer, Kernel

Conditions = tuple[loops.Condition, ...]


def is_zero(e: Expr) -> bool:
    """Is this the number zero?"""
    return e.kind == "const" and bool(loops.const_value(e) == 0)


def unguarded(e: Expr) -> tuple[Conditions, Expr]:
    """(conditions, what is read where all hold) of an expression that is zero elsewhere."""
    conditions: list[loops.Condition] = []
    while e.kind == "guard" and is_zero(e.args[1]):
        conditions += e.data
        e = e.args[0]
    return tuple(conditions), e


def factors(body: Expr) -> tuple[Conditions, Expr, Expr] | None:
    """(conditions, left, right) where a term of a sum is a product, zero where the conditions fail; else None."""
    conditions, product = unguarded(body)
    if product.kind != "call" or product.data != "mul":
        return None
    left, right = product.args
    return conditions, left, right


def contraction(kernel: Kernel) -> tuple[Expr, Expr, Expr, Conditions] | None:
    """(reduction, load a, load b, conditions) where the kernel holds exactly one sum of products of floats, each factor
    a load that is zero where conditions fail; else None."""
    found = None
    for e in kernel.expressions:
        if e.kind != "reduce" or e.data[0] != "sum" or not dtypes.is_float(e.dtype):
            continue
        parts = _loads(e.args[0])
        if parts is not None and found is None:
            found = (e, *parts)
        elif e.args[0].axes:
            return None
    return found


def _loads(body: Expr) -> tuple[Expr, Expr, Conditions] | None:
    product = factors(body)
    if product is None:
        return None
    conditions, left, right = product
    (of_a, a), (of_b, b) = unguarded(left), unguarded(right)
    if a.kind != "load" or b.kind != "load":
        return None
    return a, b, tuple(dict.fromkeys([*conditions, *of_a, *of_b]))


def operands(kernel: Kernel) -> list[Buffer]:
    """The buffers that a contraction reads many times over, which it wants in an order of its own."""
    parts = kernel.fact(contraction)
    return [] if parts is None else list(dict.fromkeys(e.data[0] for e in parts[1:3]))
