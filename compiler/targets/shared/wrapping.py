"""Sums and products of int64 that wrap around, for Numba's own front ends, on the CPU and for CUDA.

They take it that signed numbers of 64 bits do not overflow, and LLVM builds on that: `int64(a + b) - b` would be a. In
unsigned numbers the bits are the same and nothing is taken for granted. Printed kernels keep the shorter text.
Leans on the standard library's `ast`.
"""

from __future__ import annotations

import ast

WIDEST, UNSIGNED = "int64", "uint64"


class _Wrapping(ast.NodeTransformer):
    """`int64(a + b)` as `int64(uint64(a) + uint64(b))`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != WIDEST or len(node.args) != 1:
            return node
        inner = node.args[0]
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Add | ast.Sub | ast.Mult):
            inner.left, inner.right = (_unsigned(side) for side in (inner.left, inner.right))
        return node


def _unsigned(value: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(UNSIGNED, ast.Load()), [value], [])


def wrapping(tree: ast.Module) -> ast.Module:
    """The syntax tree of a kernel, changed in place."""
    changed: ast.Module = _Wrapping().visit(tree)
    return ast.fix_missing_locations(changed)
