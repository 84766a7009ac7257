"""A user's scalar function as text, and what it means as Python: the numbers it gives, one element at a time.

A definition is content: two functions of equal text are one, and a kernel that calls it carries the text, so that a
changed function is another kernel. Numbers in the text are weak, as everywhere in the DSL: they take the float type
that they meet. Leans on `functions`, whose names the text uses for mathematics.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from .. import dtypes
from .functions import FUNCTIONS, Function

SMALL = 2**15
"""Integers below are exact in every float type, and small enough for Numba not to widen what they meet."""


@dataclass(frozen=True)
class Definition:
    """A scalar function. functions: (name, source) of all that it calls, and itself last. arity: of its arguments.

    flops: its price, in additions, by what stands in its text.
    """

    functions: tuple[tuple[str, str], ...]
    arity: int
    flops: int

    once: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return self.functions[-1][0]

    def __str__(self) -> str:
        return self.name


def argument(dtype: str) -> str:
    """The type of an argument that stands for elements of `dtype`: integers have 64 bits, whatever those in memory."""
    return dtypes.INT64 if dtypes.is_integer(dtype) else dtypes.computed(dtype)


def called(what: str | Definition) -> Function | Definition:
    """What is known of what a call's expression names: a function of the table, or a definition."""
    return FUNCTIONS[what] if isinstance(what, str) else what


def split(text: str) -> tuple[dict[str, str], str]:
    """({name: source} of the definitions at the head of a kernel's source, the kernel's own source)."""
    head, mark, tail = text.rpartition("\ndef ")
    if not mark:
        return {}, text
    sources = [f"def {each}" for each in f"\n{head.strip()}".split("\ndef ")[1:]]
    return {each[4 : each.index("(")]: each.rstrip() + "\n" for each in sources}, f"def {tail}"


# ---------------------------------------------------------------- as Python


def python(functions: Mapping[str, str], names: Mapping[str, Any] | None = None) -> dict[str, Callable[..., Any]]:
    """The functions of these sources, called with NumPy's or Python's scalars and computed as NumPy's.

    names: what mathematics means, where it is not NumPy's.
    """
    scope: dict[str, Any] = {"math": math, "np": np, **_CASTS, **(MEANINGS if names is None else names)}
    for source in functions.values():
        exec(_code(source), scope)
    return {name: scope[name] for name in functions}


@lru_cache(maxsize=256)
def _code(source: str) -> Any:
    return compile(source, "<scalar function>", "exec")


def scalar(value: Any) -> Any:
    """An element as the function gets it: integers have 64 bits, as in Numba, and divide by zero without an error."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return np.int64(value) if isinstance(value, (int, np.integer)) else value


def elements(function: Callable[..., Any], arrays: Sequence[Any], dtype: str) -> np.ndarray:
    """The function of each element. Arrays of one shape; the result has it, and `dtype`."""
    given = np.broadcast_arrays(*arrays)
    with np.errstate(all="ignore"):
        values = [function(*map(scalar, each)) for each in zip(*(x.reshape(-1) for x in given))]
        return dtypes.converted(np.asarray(values, None if values else dtype).reshape(given[0].shape), dtype)


def _scalars(numpy: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: np.asarray(numpy(*args))[()]


_CASTS = {name: getattr(np, name) for name in ("float32", "float64", "int32", "int64", "uint8", "uint32")}
_CASTS |= {"INFINITY": math.inf, "NAN": math.nan}
MEANINGS = {name: _scalars(function.numpy) for name, function in FUNCTIONS.items()}
"""The functions of the table, of scalars."""


# ---------------------------------------------------------------- weak numbers


class _Weak(ast.NodeTransformer):
    """Numbers as Numba has to see them, whose own are float64 and int64: `0.5` as float32, small integers as int16,
    which a float32 that they meet absorbs. Integer exponents stay, as powers of a known whole number are products."""

    def __init__(self, changed: Callable[[str, ast.expr], ast.expr]) -> None:
        self.changed = changed

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node.left = self.visit(node.left)
        whole = isinstance(node.right, ast.Constant) and isinstance(node.right.value, int)
        if not (isinstance(node.op, ast.Pow) and whole):
            node.right = self.visit(node.right)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        number = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if isinstance(node.op, ast.USub) and type(number) is int and number < SMALL:
            return self.changed("int16", node)
        node.operand = self.visit(node.operand)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.changed("float32", node) if node.id in ("INFINITY", "NAN") else node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, float):
            return self.changed("float32", node)
        small = type(node.value) is int and abs(node.value) < SMALL
        return self.changed("int16", node) if small else node


def _call(function: str, *args: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.Name(function, ast.Load()), list(args), []), args[0])


def weak(tree: ast.Module, dtype: str) -> ast.Module:
    """The syntax tree of a function of arguments of `dtype`, changed in place for Numba."""
    return ast.fix_missing_locations(_Weak(_call).visit(tree) if dtype == dtypes.FLOAT32 else tree)


LIKE = "weak"
"""`weak(number, x)` is the number as a float32 absorbs it where x is one, else as it is."""


def weak_by_argument(tree: ast.Module) -> ast.Module:
    """The same for a compiler that is not told the arguments' type: every number asks for that of the first one."""
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    first, kept = function.args.args[0].arg, f"{LIKE}_argument"
    body: ast.Module = _Weak(lambda _, number: _call(LIKE, number, ast.Name(kept, ast.Load()))).visit(tree)
    function.body.insert(0, ast.Assign([ast.Name(kept, ast.Store())], ast.Name(first, ast.Load()), lineno=1))
    return ast.fix_missing_locations(body)
