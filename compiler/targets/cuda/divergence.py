"""Kernel source rewritten for vectors of threads: what differs between threads becomes a mask.

    if c: BODY          the body runs under the mask c where c is a vector, else as it stands
    for i in range(..)  threads past their own end wait (`masks.steps`)
    x = e               x keeps its value in threads that are not active
    a and b, a < b < c  logical operations on whole vectors

The names `masks`, `both`, `either` and `opposite` are the executor's. Leans on the standard library's `ast`.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from types import CodeType


@lru_cache(maxsize=1024)
def compiled(text: str) -> CodeType:
    """The code of kernel source, rewritten."""
    tree = _Rewrite().visit(ast.parse(text))
    return compile(ast.fix_missing_locations(tree), "<kernel in lockstep>", "exec")


def _call(function: str, *args: ast.expr) -> ast.Call:
    parts = function.split(".")
    target: ast.expr = ast.Name(parts[0], ast.Load())
    for part in parts[1:]:
        target = ast.Attribute(target, part, ast.Load())
    return ast.Call(target, list(args), [])


class _Rewrite(ast.NodeTransformer):
    def __init__(self) -> None:
        self.count = 0

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        joined = node.values[0]
        for value in node.values[1:]:
            joined = _call("both" if isinstance(node.op, ast.And) else "either", joined, value)
        return joined

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return _call("opposite", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        parts = [ast.Compare(a, [op], [b]) for a, op, b in zip(sides, node.ops, sides[1:])]
        joined: ast.expr = parts[0]
        for part in parts[1:]:
            joined = _call("both", joined, part)
        return joined

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        self.generic_visit(node)
        (target,) = node.targets
        if isinstance(target, ast.Name):
            old = ast.Call(ast.Attribute(_call("locals"), "get", ast.Load()), [ast.Constant(target.id)], [])
            node.value = _call("masks.merge", node.value, old)
        return node

    def visit_For(self, node: ast.For) -> ast.stmt:
        assert isinstance(node.iter, ast.Call)
        self.generic_visit(node)
        node.iter = _call("masks.steps", *node.iter.args)
        return node

    def visit_If(self, node: ast.If) -> list[ast.stmt]:
        if node.orelse:
            raise ValueError("kernels have no else")
        condition, before = f"condition{self.count}", f"before{self.count}"
        self.count += 1
        self.generic_visit(node)
        named = ast.Assign([ast.Name(condition, ast.Store())], node.test)
        varies = _call("masks.varies", ast.Name(condition, ast.Load()))
        test = ast.BoolOp(ast.Or(), [varies, ast.Name(condition, ast.Load())])
        enter = ast.Assign([ast.Name(before, ast.Store())], _call("masks.enter", ast.Name(condition, ast.Load())))
        leave = ast.Expr(_call("masks.leave", ast.Name(before, ast.Load())))
        return [named, ast.If(test, [enter, *node.body, leave], [])]
