"""Running sums in printed kernels: `acc = acc + v`, the only additions that LLVM may regroup.

A vector of partial sums, which is what a loop over `acc = acc + v` becomes, adds in another order than the text does,
so those additions carry `reassoc`. No other operation does: with it, LLVM would put the numbers of `(x * c) * (y * d)`
together across roundings, or turn `c / (a / b)` into `c * b / a`, and either may overflow where the text does not.
All additions and products may be contracted into a multiply-add, which rounds once where the text rounds twice and
cannot overflow earlier. `arcp` (x / y as x * (1 / y)) is never set. Leans on Numba's extension API.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ...shared.wrapping import wrapping

SUM = ("reassoc", "nsz", "contract")
OTHERWISE = ("contract",)


def added(statement: ast.stmt) -> tuple[ast.Name, ast.expr] | None:
    """(name, value) of `name = name + value`, or None for any other statement."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target, total = statement.targets[0], statement.value
    if not isinstance(target, ast.Name) or not isinstance(total, ast.BinOp) or not isinstance(total.op, ast.Add):
        return None
    first = total.left
    return (first, total.right) if isinstance(first, ast.Name) and first.id == target.id else None


def allow(value: Any) -> Any:
    """The sum that the builder made, which LLVM may from now on regroup."""
    if isinstance(value, ir.Instruction) and value.opname == "fadd" and not value.flags:
        value.flags.extend(SUM)
    return value


def marked(source: str) -> str:
    """The source with running sums as calls of `accumulate`, for Numba's own front end; its int64 wraps around."""
    tree = wrapping(ast.parse(source))
    for statement in ast.walk(tree):
        total = added(statement) if isinstance(statement, ast.stmt) else None
        if total is not None and isinstance(statement, ast.Assign):
            statement.value = ast.Call(ast.Name("accumulate", ast.Load()), list(total), [])
    return ast.unparse(ast.fix_missing_locations(tree))


@intrinsic
def accumulate(typingctx: Any, a: Any, b: Any) -> Any:
    """a + b, as Numba types it."""
    sig = typingctx.resolve_function_type(operator.add, (types.unliteral(a), types.unliteral(b)), {})

    def generate(context: Any, builder: ir.IRBuilder, outer: Any, args: tuple[Any, ...]) -> Any:
        add: Callable[..., Any] = context.get_function(operator.add, sig)
        return allow(add(builder, args))

    return sig.return_type(*sig.args), generate
