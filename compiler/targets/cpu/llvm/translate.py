"""From the syntax tree of a printed kernel to LLVM IR in one walk, with Numba's types and Numba's code for operations.

Printed kernels are a small part of Python: assignments to names and elements, `for` over `range`, `if`, arithmetic,
comparisons, calls of what a kernel may name. Control flow is thereby visible in the text, a name has one type, and
neither has to be inferred, which is most of what Numba's own front end does in eight times the time. What an operation
means is still Numba's to say (`operations.py`).

Whatever goes beyond that part of Python raises Unsupported, and `frontend` gives the kernel to Numba whole.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types

from . import accumulation, loop_wishes
from .operations import Operations, TypedValue, Unsupported, cpu, number
from .pointers import I64


def translate(source: str, name: str, names: Mapping[str, Any]) -> ir.Module:
    """The module of the function `name` of `source`, which may call what is in `names`.

    Raises Unsupported for a function that printed kernels are unlike.
    """
    *definitions, function = ast.parse(source).body
    if not isinstance(function, ast.FunctionDef) or function.name != name:
        raise Unsupported("anything but one function")
    if not all(isinstance(each, ast.FunctionDef) and each.name in names for each in definitions):
        raise Unsupported("anything but scalar functions beside it")
    module = ir.Module(name)
    parameters = [each.arg for each in function.args.args]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * len(parameters)), name)
    made.attributes.add("nounwind")
    library = cpu().codegen().create_library(name)
    with cpu().push_code_library(library):
        _Walk(made, parameters, names).run(function)
    if library._linking_libraries:
        raise Unsupported("an operation that Numba keeps in a module of its own")
    return module


class _Walk:
    """One kernel. A name that is assigned at one depth of nesting only is its value, any other a place in memory,
    which LLVM turns into a register."""

    def __init__(self, function: ir.Function, parameters: Sequence[str], names: Mapping[str, Any]) -> None:
        self.names = names
        self.entry = ir.IRBuilder(function.append_basic_block("entry"))
        self.builder = ir.IRBuilder(function.append_basic_block("start"))
        self.do = Operations(self.builder)
        self.scopes: list[dict[str, TypedValue]] = [
            {each: TypedValue(types.int64, value) for each, value in zip(parameters, function.args)}
        ]
        self.places: dict[str, TypedValue] = {}
        self.changed: set[str] = set()

    def run(self, function: ast.FunctionDef) -> None:
        self.changed = _changed_inside(function)
        first = self.builder.block
        for name, value in self.scopes[0].items():
            if name in self.changed:
                self.bind(name, value)
        self.body(function.body)
        self.builder.ret_void()
        self.entry.position_at_end(self.entry.block)
        self.entry.branch(first)

    # ------------------------------------------------------------ statements
    def body(self, statements: Sequence[ast.stmt]) -> None:
        self.scopes.append({})
        for each in statements:
            total = accumulation.added(each)
            if total is not None:
                self.bind(total[0].id, self.do.accumulated(*map(self.value, total)))
            elif isinstance(each, ast.Assign) and len(each.targets) == 1:
                self.assign(each.targets[0], each.value)
            elif isinstance(each, ast.For) and not each.orelse:
                self.loop(each)
            elif isinstance(each, ast.If) and not each.orelse:
                self.conditional(each)
            elif isinstance(each, ast.Expr) and isinstance(each.value, ast.Call):
                self.call(each.value)
            else:
                raise Unsupported(type(each).__name__)
        self.scopes.pop()

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        new = self.value(value)
        if isinstance(target, ast.Name):
            self.bind(target.id, new)
        elif isinstance(target, ast.Subscript):
            self.do.store(self.value(target.value), self.value(target.slice), new)
        else:
            raise Unsupported("an assignment to several targets")

    def bind(self, name: str, value: TypedValue) -> None:
        if name not in self.changed:
            self.scopes[-1][name] = value
            return
        if name not in self.places:
            self.places[name] = TypedValue(value.type, self.entry.alloca(value.llvm.type, name=name))
        place = self.places[name]
        if place.type != value.type:
            raise Unsupported(f"{name} of several types")
        self.builder.store(value.llvm, place.llvm)

    def loop(self, statement: ast.For) -> None:
        """A loop that counts upwards: the condition first, then the body."""
        target = statement.target
        if not isinstance(target, ast.Name):
            raise Unsupported("a loop with several targets")
        first, last, step = self.limits(statement.iter)
        b = self.builder
        before = b.block
        head, inside, after = (b.append_basic_block(each) for each in ("loop", "body", "end"))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        b.cbranch(b.icmp_signed("<", i, last), inside, after)
        b.position_at_end(inside)
        if loop_wishes.shares(statement):
            loop_wishes.note(b, loop_wishes.AS_IT_STANDS)
        self.scopes.append({})
        self.bind(target.id, TypedValue(types.int64, i))
        self.body(statement.body)
        self.scopes.pop()
        i.add_incoming(first, before)
        i.add_incoming(b.add(i, step, flags=("nsw",)), b.block)
        b.branch(head)
        b.position_at_end(after)

    def limits(self, counted: ast.expr) -> tuple[Any, Any, Any]:
        """(first, end, step) of a range."""
        if not isinstance(counted, ast.Call) or _name(counted.func) != "range" or not 1 <= len(counted.args) <= 3:
            raise Unsupported("a loop over anything but a range")
        given = [self.value(each) for each in counted.args]
        if not all(isinstance(each.type, types.Integer) for each in given):
            raise Unsupported("a range of anything but integers")
        values = [self.do.cast(each, types.int64) for each in given]
        if len(values) == 1:
            values.insert(0, ir.Constant(I64, 0))
        step = values[2] if len(values) == 3 else ir.Constant(I64, 1)
        if not isinstance(step, ir.Constant) or step.constant <= 0:
            raise Unsupported("a range with a step that is not a positive number")
        return values[0], values[1], step

    def conditional(self, statement: ast.If) -> None:
        inside, after = (self.builder.append_basic_block(each) for each in ("then", "endif"))
        self.branch(statement.test, inside, after)
        self.builder.position_at_end(inside)
        self.body(statement.body)
        self.builder.branch(after)
        self.builder.position_at_end(after)

    def branch(self, test: ast.expr, yes: ir.Block, no: ir.Block) -> None:
        """Go to one of two blocks; of `and` and `or`, no more is computed than Python would."""
        if not isinstance(test, ast.BoolOp):
            condition = self.value(test)
            if condition.type != types.boolean:
                raise Unsupported("a condition that is not a bool")
            self.builder.cbranch(condition.llvm, yes, no)
            return
        for each in test.values[:-1]:
            following = self.builder.append_basic_block("condition")
            both = (following, no) if isinstance(test.op, ast.And) else (yes, following)
            self.branch(each, *both)
            self.builder.position_at_end(following)
        self.branch(test.values[-1], yes, no)

    # ------------------------------------------------------------ expressions
    def value(self, e: ast.expr) -> TypedValue:
        if isinstance(e, ast.Constant):
            return number(e.value)
        if isinstance(e, ast.Name):
            return self.named(e.id)
        if isinstance(e, ast.BinOp):
            return self.do.binary(type(e.op), self.value(e.left), self.value(e.right))
        if isinstance(e, ast.Compare):
            return self.compare(e)
        if isinstance(e, ast.Subscript):
            return self.do.load(self.value(e.value), self.value(e.slice))
        if isinstance(e, ast.Call):
            return self.call(e)
        if isinstance(e, ast.UnaryOp):
            return self.do.unary(type(e.op), self.value(e.operand))
        if isinstance(e, ast.IfExp):
            return self.choice(e)
        raise Unsupported(type(e).__name__)

    def named(self, name: str) -> TypedValue:
        if name in self.places:
            place = self.places[name]
            return TypedValue(place.type, self.builder.load(place.llvm))
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        if isinstance(self.names.get(name), float):
            return number(self.names[name])
        raise Unsupported(f"the name {name}")

    def compare(self, e: ast.Compare) -> TypedValue:
        """Each value is computed once, and all of them: comparisons of a chain have no effects."""
        terms = [self.value(each) for each in (e.left, *e.comparators)]
        results = [self.do.compared(type(op), a, b) for op, a, b in zip(e.ops, terms, terms[1:])]
        total = results[0]
        for each in results[1:]:
            total = self.builder.and_(total, each)
        return TypedValue(types.boolean, total)

    def choice(self, e: ast.IfExp) -> TypedValue:
        """`a if condition else b`, of which one is computed."""
        b = self.builder
        yes, no, after = (b.append_basic_block(each) for each in ("yes", "no", "chosen"))
        self.branch(e.test, yes, no)
        results = []
        for block, each in ((yes, e.body), (no, e.orelse)):
            b.position_at_end(block)
            results.append((self.value(each), b.block))
            b.branch(after)
        b.position_at_end(after)
        first, second = (value for value, _ in results)
        if first.type != second.type:
            raise Unsupported("a choice between types")
        chosen = b.phi(first.llvm.type)
        for value, block in results:
            chosen.add_incoming(value.llvm, block)
        return TypedValue(first.type, chosen)

    def call(self, e: ast.Call) -> TypedValue:
        name = _name(e.func)
        if e.keywords or (name not in self.names and name not in ("min", "max")):
            raise Unsupported(f"a call of {ast.unparse(e.func)}")
        if len(e.args) == 1 and isinstance(e.args[0], ast.BinOp) and name in self.names:
            inner = e.args[0]
            return self.do.wrapped(self.names[name], type(inner.op), self.value(inner.left), self.value(inner.right))
        args = [self.value(each) for each in e.args]
        if name in self.names:
            return self.do.call(self.names[name], args)
        return self.do.extreme(name, args)


def _name(e: ast.expr) -> str:
    return e.id if isinstance(e, ast.Name) else ""


def _changed_inside(function: ast.FunctionDef) -> set[str]:
    """Names that are assigned both at some depth and deeper inside the same nest."""
    changed: set[str] = set()

    def look(statements: Sequence[ast.stmt], around: frozenset[str]) -> set[str]:
        here = {x.id for each in statements for x in getattr(each, "targets", ()) if isinstance(x, ast.Name)}
        inner: set[str] = set()
        for each in statements:
            if isinstance(each, ast.For | ast.If):
                head = {each.target.id} if isinstance(each, ast.For) and isinstance(each.target, ast.Name) else set()
                inner |= head | look(each.body, around | here | head)
        changed.update(here & around, inner & (around | here))
        return here | inner

    look(function.body, frozenset(each.arg for each in function.args.args))
    return changed
