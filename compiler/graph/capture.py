"""From a user's Python function to its definition: the text of it and of all that it reads, taken when it is decorated.

The source is read from its file, and has to compile to the very code that the function has. Numbers from outside (a
closure's or the module's) stand in the text as numbers, functions of `math` and NumPy under the names of
`loops/functions.py`, and other scalar functions before the one that calls them. Leans on the standard library's `ast`.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import math
import types
from collections.abc import Hashable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import CompileError
from ..loops.definition import MEANINGS, Definition
from ..loops.functions import FUNCTIONS

_SAME = ("exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "sqrt")
MATHEMATICS: dict[Any, str] = {
    **{getattr(module, name): name for module in (math, np) for name in _SAME},
    **{math.erf: "erf", math.pow: "pow", np.power: "pow", math.fabs: "abs", np.fabs: "abs", np.abs: "abs"},
    **{abs: "abs", np.maximum: "maximum", np.minimum: "minimum", np.where: "where", np.sign: "sign"},
    **{np.floor: "floor", np.ceil: "ceil", np.rint: "round"},
}
"""What has a function of its own on every target, by the name of its row."""
CASTS = {getattr(np, name): name for name in ("float32", "float64", "int32", "int64", "uint8", "uint32")}
BUILTINS = frozenset(["min", "max", "range", "int", "float", "bool"])
EXPRESSIONS = (
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Name, ast.Constant, ast.Tuple),
    *(ast.Attribute, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)
STATEMENTS = (
    *(ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.If, ast.For, ast.While, ast.Break, ast.Continue),
    *(ast.Pass, ast.Expr, ast.FunctionDef, ast.arguments, ast.arg, ast.Module),
)


@dataclass(frozen=True)
class Captured:
    """A definition, and the syntax trees of its functions with the user's lines."""

    definition: Definition
    trees: tuple[ast.Module, ...]
    file: str
    line: int


def capture(function: Any) -> Captured:
    """The definition of a Python function. Raises CompileError, with its file and line, for what cannot be one."""
    found: dict[str, tuple[str, ast.Module]] = {}
    name = _add(function, found, ())
    code = function.__code__
    flops = max(1, sum(_price(tree) for _, tree in found.values()))
    definition = Definition(tuple((n, text) for n, (text, _) in found.items()), code.co_argcount, flops)
    assert definition.name == name
    return Captured(definition, tuple(tree for _, tree in found.values()), code.co_filename, code.co_firstlineno)


def _add(function: Any, found: dict[str, tuple[str, ast.Module]], within: tuple[Any, ...]) -> str:
    """Enter a function after all that it calls. Returns the name it has in the text."""
    code = function.__code__
    where = f"{code.co_filename}:{code.co_firstlineno}"
    if code in within:
        raise CompileError(f"{function.__name__} ({where}) calls itself; write a loop")
    if code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS) or code.co_kwonlyargcount or not code.co_argcount:
        raise CompileError(f"{function.__name__} ({where}) must take one or more arguments by position, and no others")
    tree = _Names(function, where, found, (*within, code)).visit(_plain(_source(function, where), function, where))
    _check(tree, where)
    stem = "".join(c for c in function.__name__ if c.isidentifier() or c.isdigit()).strip("_") or "scalar"
    tree.name = "f"
    called = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    text = "\n".join([ast.unparse(tree), *(name for name in found if name in called)])
    name = tree.name = f"{stem}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    module = ast.fix_missing_locations(ast.Module([tree], []))
    found[name] = (ast.unparse(module) + "\n", module)
    return name


# ---------------------------------------------------------------- its source


def _source(function: Any, where: str) -> ast.FunctionDef | ast.Lambda:
    """The syntax tree of the function in its file, which has to compile to the function's code still."""
    name, code = function.__name__, function.__code__
    try:
        lines, _ = inspect.findsource(function)
        tree, codes = _compiled("".join(lines), code.co_filename)
    except (OSError, SyntaxError):
        raise CompileError(f"the source of {name} ({where}) cannot be read; write it in a file") from None
    kind = ast.Lambda if name == "<lambda>" else ast.FunctionDef
    nodes = [n for n in ast.walk(tree) if isinstance(n, kind) and _first_line(n) == code.co_firstlineno]
    if len(nodes) > 1:
        nodes = [n for n in nodes if _span(n) in set(code.co_positions())]
    if len(nodes) > 1:
        raise CompileError(f"several functions begin on one line ({where}); give each a line of its own")
    if not nodes or not any(_content(each) == _content(code) for each in codes):
        raise CompileError(f"the source of {name} ({where}) is no longer that of the function; import it again")
    return deepcopy(nodes[0])


@lru_cache(maxsize=8)
def _compiled(text: str, file: str) -> tuple[ast.Module, list[types.CodeType]]:
    """The syntax tree of a file, and the code of all functions in it."""
    tree = ast.parse(text)
    waiting, codes = [compile(tree, file, "exec", dont_inherit=True)], []
    while waiting:
        inner = [each for each in waiting.pop().co_consts if isinstance(each, types.CodeType)]
        codes += inner
        waiting += inner
    return tree, codes


def _first_line(node: Any) -> int:
    first: int = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return first


def _span(node: Any) -> tuple[Any, ...]:
    """Where the value of a lambda stands: (first line, last line, first column, end)."""
    body = node.body if isinstance(node, ast.Lambda) else node
    return body.lineno, body.end_lineno, body.col_offset, body.end_col_offset


def _content(code: types.CodeType) -> tuple[Any, ...]:
    """What a function's code does, and where it stands."""
    constants = [(type(x), repr(x)) for x in code.co_consts if not isinstance(x, types.CodeType)]
    return code.co_firstlineno, code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants


def _plain(node: ast.FunctionDef | ast.Lambda, function: Any, where: str) -> ast.FunctionDef:
    """The function without decorators, annotations, defaults and docstring."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    arguments = ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])
    body = [ast.Return(node.body)] if isinstance(node, ast.Lambda) else list(node.body)
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    bare = [ast.Assign([s.target], s.value) if isinstance(s, ast.AnnAssign) and s.value else s for s in body]
    made = ast.FunctionDef("f", arguments, bare or [ast.Pass()], [], None)
    ast.copy_location(made, node)
    return made


# ---------------------------------------------------------------- what it reads


class _Names(ast.NodeTransformer):
    """What is not local exchanged for what it is: a number, a function of the table, another definition."""

    def __init__(self, function: Any, where: str, found: dict[str, tuple[str, ast.Module]], within: Any) -> None:
        self.function, self.where, self.found, self.within = function, where, found, within
        code = function.__code__
        self.local = {*code.co_varnames, *code.co_cellvars}
        cells = function.__closure__ or ()
        self.closure = {n: c.cell_contents for n, c in zip(code.co_freevars, cells) if _filled(c)}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.local:
            return node
        scopes = (self.closure, self.function.__globals__, vars(builtins))
        for scope in scopes:
            if node.id in scope:
                return self.stands_for(node, scope[node.id], node.id)
        raise self.refused(node, f"reads {node.id}, which does not exist where it is decorated")

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        owner = node.value
        known = {**vars(builtins), **self.function.__globals__, **self.closure}
        module = known.get(owner.id) if isinstance(owner, ast.Name) and owner.id not in self.local else None
        if module not in (math, np) or not hasattr(module, node.attr):
            raise self.refused(node, f"reads {ast.unparse(node)}; only numbers and functions can be")
        value = getattr(module, node.attr)
        if callable(value) and MATHEMATICS.get(value) in self.local:
            return self.of_module(node, module, node.attr)
        return self.stands_for(node, value, ast.unparse(node))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return _folded(node, (node.left, node.right))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        known = isinstance(node.func, ast.Attribute) or (isinstance(node.func, ast.Name) and node.func.id in MEANINGS)
        return _folded(node, node.args) if known else node

    def of_module(self, node: ast.expr, module: Any, name: str) -> ast.expr:
        """A function that is left to Numba."""
        own = "math" if module is math else "np"
        if own in self.local:
            raise self.refused(node, f"has a variable {own}; give it another name")
        return ast.copy_location(ast.Attribute(ast.Name(own, ast.Load()), name, ast.Load()), node)

    def stands_for(self, node: ast.expr, value: Any, said: str) -> ast.expr:
        if isinstance(value, (bool, int, float, np.bool_, np.number)):
            return ast.copy_location(_number(value.item() if isinstance(value, np.generic) else value), node)
        name = self.function_name(value)
        own = getattr(value, "__name__", "")
        for module in (math, np):
            if name is None and callable(value) and vars(module).get(own) is value:
                return self.of_module(node, module, own)
        if name is None or name in self.local:
            what = type(value).__name__
            advice = (
                "decorate it with kw.elementwise" if isinstance(value, types.FunctionType) else "only numbers can be"
            )
            raise self.refused(node, f"reads {said}, a {what} from outside, which no kernel can; {advice}")
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def function_name(self, value: Any) -> str | None:
        """The name in the text of a function from outside; None for what is none that kernels know."""
        if not callable(value) or not isinstance(value, Hashable):
            return None
        own = MATHEMATICS.get(value) or CASTS.get(value)
        if own is not None:
            return own
        name = str(getattr(value, "__name__", ""))
        if name in BUILTINS and getattr(builtins, name) is value:
            return name
        inner = getattr(value, "py_func", None)  # of Numba's dispatchers and of our own functions
        return _add(inner, self.found, self.within) if isinstance(inner, types.FunctionType) else None

    def refused(self, node: ast.expr, why: str) -> CompileError:
        file = self.function.__code__.co_filename
        return CompileError(f"{self.function.__name__} ({file}:{node.lineno}) {why}")


def _folded(node: ast.expr, parts: Sequence[ast.expr]) -> ast.expr:
    """A value of numbers alone as the number it is in Python; what has none there stays."""
    inner = [p.operand if isinstance(p, ast.UnaryOp) and isinstance(p.op, ast.USub) else p for p in parts]
    if not all(isinstance(p, ast.Constant) for p in inner):
        return node
    try:
        text = compile(ast.fix_missing_locations(ast.Expression(node)), "<number>", "eval")
        value = eval(text, {"math": math, "np": np, **MEANINGS})
    except (ArithmeticError, TypeError, ValueError):
        return node
    plain = value.item() if isinstance(value, np.generic) else value
    return ast.copy_location(_number(plain), node) if isinstance(plain, (bool, int, float)) else node


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the variable has no value yet
        return False


def _number(value: Any) -> ast.expr:
    """A number as text has it."""
    if isinstance(value, float) and not math.isfinite(value):
        name = ast.Name("NAN" if math.isnan(value) else "INFINITY", ast.Load())
        return ast.UnaryOp(ast.USub(), name) if value < 0 else name
    negative = not isinstance(value, bool) and (value < 0 or (value == 0 and math.copysign(1, value) < 0))
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if negative else ast.Constant(value)


# ---------------------------------------------------------------- what it may say


def _check(tree: ast.FunctionDef, where: str) -> None:
    """Raises CompileError for what no kernel can do."""
    file = where.rpartition(":")[0]
    for node in ast.walk(tree):
        line = getattr(node, "lineno", tree.lineno)
        inner = isinstance(node, ast.FunctionDef) and node is not tree
        text = isinstance(node, ast.Constant) and not isinstance(node.value, (bool, int, float))
        if inner or text or not isinstance(node, EXPRESSIONS + STATEMENTS):
            said = "a text or None" if text else type(node).__name__.lower()
            raise CompileError(
                f"a scalar function ({file}:{line}) may not have {said}: a kernel can compute numbers, arithmetic, if, "
                "for over range, while, and calls of such functions"
            )


def _price(tree: ast.Module) -> int:
    """Additions that an element costs, each operation of the text once."""
    calls = [n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    dear = sum(isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) for n in ast.walk(tree))
    plain = sum(isinstance(n, ast.BinOp | ast.Compare) for n in ast.walk(tree))
    return plain + 20 * dear + sum(FUNCTIONS[name].flops for name in calls if name in FUNCTIONS)
