"""A third target, to show how much one takes: plain C, compiled by the system's compiler, run by the native runtime.

Passes, layouts, products, the memory plan and the runtime are everybody's; what is here is what no other target has: a
schedule, a printer and a compiler's command line. Not fast, and not meant to be.
"""

from __future__ import annotations

import functools
import hashlib
import math
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kernelwright import runtime
from kernelwright.compiler import dtypes
from kernelwright.compiler.loops import expressions as loops
from kernelwright.compiler.loops.expressions import Axis
from kernelwright.compiler.loops.kernels import Kernel
from kernelwright.compiler.lowering import kernel_order
from kernelwright.compiler.rewriting.verify import verify_source
from kernelwright.compiler.shapes import nominal, typical
from kernelwright.compiler.targets.base import Compiled, Target
from kernelwright.compiler.targets.shared.artefact import artefact
from kernelwright.compiler.targets.shared.kernel_info import KernelInfo, kernel_info
from kernelwright.compiler.targets.shared.names import Names
from kernelwright.compiler.targets.shared.store import symbol

COMPILER = ("cc", "-O2", "-fPIC", "-fno-math-errno", "-fwrapv", "-ffp-contract=off", "-c", "-x", "c", "-", "-o")
TYPES = {"bool": "uint8_t", "float32": "float", "float64": "double"}
HEAD = "#include <math.h>\n#include <stdint.h>\n"
DIVISIONS = """
static inline int64_t quotient(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a % b < 0) != (b < 0)); }
static inline int64_t rest(int64_t a, int64_t b) { return a - b * quotient(a, b); }
static inline double modulo(double a, double b) {
    double r = fmod(a, b);
    if (r != 0) return (r < 0) != (b < 0) ? r + b : r;
    return b == 0 ? r : copysign(0.0, b);
}
static inline double divided(double a, double b) {
    double q = (a - fmod(a, b)) / b, r = fmod(a, b);
    if (b == 0) return a / b;
    if (r != 0 && (r < 0) != (b < 0)) q -= 1;
    return q == 0 ? copysign(0.0, a / b) : floor(q) + (q - floor(q) > 0.5);
}
"""
OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
OPERATORS |= {"logical_and": "&&", "logical_or": "||", "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}
LIBRARY = {"floor", "ceil", "sqrt", "exp", "expm1", "log", "log1p", "tanh", "erf", "sin", "cos", "pow"}
FORMULAS = {
    "neg": "(-{0})",
    "logical_not": "(!{0})",
    "where": "({0} ? {1} : {2})",
    "maximum": "({0} > {1} || {0} != {0} ? {0} : {1})",
    "minimum": "({0} < {1} || {0} != {0} ? {0} : {1})",
    "abs": "({0} < 0 ? -{0} : {0})",
    "sign": "(({0} > 0) - ({0} < 0))",
    "rsqrt": "(1 / sqrt({0}))",
    "sigmoid": "(1 / (1 + exp(-{0})))",
    "invert": "(~{0})",
}
SIGNED = {
    "floor_divide": "({1} == 0 ? 0 : {1} == -1 ? -{0} : quotient({0}, {1}))",
    "remainder": "({1} == 0 || {1} == -1 ? 0 : rest({0}, {1}))",
    "left_shift": "((uint64_t){1} < sizeof({0}) * 8 ? {0} << {1} : 0)",
    "right_shift": "({0} >> ((uint64_t){1} < sizeof({0}) * 8 ? {1} : sizeof({0}) * 8 - 1))",
}
UNSIGNED = {
    **SIGNED,
    "floor_divide": "({1} == 0 ? 0 : {0} / {1})",
    "remainder": "({1} == 0 ? 0 : {0} % {1})",
    "right_shift": "((uint64_t){1} < sizeof({0}) * 8 ? {0} >> {1} : 0)",
}
REAL = {"floor_divide": "divided({0}, {1})", "remainder": "modulo({0}, {1})"}


def c_type(dtype: str) -> str:
    return TYPES.get(dtype, f"{dtype}_t")


@dataclass(frozen=True)
class Loops:
    """One loop after the other, the threads sharing the first."""

    order: tuple[Axis, ...]

    def __str__(self) -> str:
        return f"loops {' '.join(map(str, self.order)) or 'none'}"


@dataclass(frozen=True)
class Source:
    """C with neutral names, and what they stand for."""

    text: str
    names: Names

    def pretty(self, name: str) -> str:
        return self.names.pretty(self.text).replace("void kernel(", f"void {name}(", 1)


class Printer:
    """A kernel as C. Values are printed where they are first needed, inside the loops of what reads them."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names = Names()
        self.lines: list[str] = []
        self.axes: dict[Axis, str] = {}
        self.scopes: list[dict[loops.Expr, str]] = [{}]
        self.count = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * len(self.scopes) + text)

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def open(self, axis: Axis, share: bool = False) -> None:
        name, n = self.fresh("i"), self.names.size(axis.extent)
        first, last = (f"{n} * thread / threads", f"{n} * (thread + 1) / threads") if share else ("0", n)
        self.line(f"for (int64_t {name} = {first}; {name} < {last}; {name}++) {{")
        self.axes[axis] = name
        self.scopes.append({})

    def close(self, count: int = 1) -> None:
        for _ in range(count):
            self.scopes.pop()
            self.line("}")

    def text(self) -> str:
        order = self.kernel.schedule.order
        if not order:
            self.line("if (thread != 0) return;")
        for i, axis in enumerate(order):
            self.open(axis, share=i == 0)
        values = [self.value(s.value) for s in self.kernel.stores]  # all of them before the first store
        for s, value in zip(self.kernel.stores, values):
            self.line(f"{self.names.buffer(s.buffer)}[{self.index(s.buffer.address(s.index))}] = {value};")
        self.close(len(order))
        head = [f"    int64_t {name} = table[{i}];" for i, name in enumerate(self.names.sizes.values())]
        first = len(head)
        for i, (buffer, name) in enumerate(self.names.buffers.items()):
            pointer = f"{c_type(buffer.dtype)} *"
            head.append(f"    {pointer}{name} = ({pointer})table[{first + i}];")
        signature = "void kernel(int64_t *table, int64_t thread, int64_t threads) {"
        return "\n".join([HEAD + DIVISIONS + signature, *head, *self.lines, "}", ""])

    def index(self, index: loops.Index) -> str:
        terms = [f"{self.atom(a)} * {self.size(c)}" for a, c in index.terms]
        return " + ".join([*terms, self.size(index.const)])

    def size(self, size: object) -> str:
        return f"({self.names.size(size)})"

    def atom(self, atom: loops.Atom) -> str:
        if isinstance(atom, Axis):
            return self.axes[atom]
        if isinstance(atom, loops.Dynamic):
            return f"(int64_t){self.value(atom.value)}"
        function = "quotient" if isinstance(atom, loops.Div) else "rest"
        return f"{function}({self.index(atom.index)}, {self.size(atom.by)})"

    def value(self, e: loops.Expr) -> str:
        for scope in self.scopes:
            if e in scope:
                return scope[e]
        name = self.fresh("v")
        if e.kind == "reduce":
            self.reduce(e, name)
        elif e.kind == "guard":
            self.guard(e, name)
        else:
            self.line(f"{c_type(e.dtype)} {name} = {self.simple(e)};")
        self.scopes[-1][e] = name
        return name

    def simple(self, e: loops.Expr) -> str:
        if e.kind == "const":
            number = loops.const_value(e)
            special = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}
            suffix = "f" if e.dtype == "float32" else ""
            if dtypes.is_integer(e.dtype):
                return f"({c_type(e.dtype)}){int(number) % 2**64}u"
            return special.get(
                str(number), f"{float(number)!r}{suffix}" if dtypes.is_float(e.dtype) else str(int(number))
            )
        if e.kind == "index":
            return self.index(e.data)
        if e.kind == "size":
            return self.size(e.data)
        if e.kind == "load":
            buffer, place = e.data
            return f"{self.names.buffer(buffer)}[{self.index(buffer.address(place))}]"
        arguments = [self.value(a) for a in e.args]
        if e.data in OPERATORS:
            return f"{arguments[0]} {OPERATORS[e.data]} {arguments[1]}"
        if e.data == "cast":
            return f"{arguments[0]} != 0" if e.dtype == "bool" else f"({c_type(e.dtype)}){arguments[0]}"
        if e.data in LIBRARY:
            return f"{e.data}{'f' if e.dtype == 'float32' else ''}({', '.join(arguments)})"
        of_dtype = REAL if dtypes.is_float(e.dtype) else UNSIGNED if e.dtype.startswith("u") else SIGNED
        return {**FORMULAS, **of_dtype}[e.data].format(*arguments)

    def guard(self, e: loops.Expr, name: str) -> None:
        self.line(f"{c_type(e.dtype)} {name} = {self.value(e.args[1])};")
        conditions = []
        for c in e.data:
            place = self.index(c.index)
            divides = isinstance(c, loops.Divides)
            within = "" if divides else f"{self.size(c.low)} <= {place} && {place} < {self.size(c.high)}"
            conditions.append(f"rest({place}, {c.by}) == 0" if divides else within)
        self.line(f"if ({' && '.join(conditions)}) {{")
        self.scopes.append({})
        self.line(f"{name} = {self.value(e.args[0])};")
        self.close()

    def reduce(self, e: loops.Expr, name: str) -> None:
        kind, axes = e.data
        dtype = e.args[0].dtype
        least = "-INFINITY" if dtypes.is_float(dtype) else f"{np.iinfo(dtype).min + 1} - 1"
        most = "INFINITY" if dtypes.is_float(dtype) else str(np.iinfo(dtype).max)
        start = {"sum": "0", "prod": "1", "max": least, "min": most, "argmax": "0"}[kind]
        self.line(f"{c_type(e.dtype)} {name} = {start};")
        best = f"{name}_best"
        if kind == "argmax":
            self.line(f"{c_type(dtype)} {best} = {least};")
        for axis in axes:
            self.open(axis)
        x = self.value(e.args[0])
        step = {
            "sum": f"{name} += {x};",
            "prod": f"{name} *= {x};",
            "max": f"{name} = {FORMULAS['maximum'].format(x, name)};",
            "min": f"{name} = {FORMULAS['minimum'].format(x, name)};",
        }
        place = functools.reduce(lambda place, a: place * a.extent + loops.at(a), axes, loops.Index())
        better = f"{x} > {best} || ({x} != {x} && {best} == {best})"
        self.line(step.get(kind) or f"if ({better}) {{ {best} = {x}; {name} = {self.index(place)}; }}")
        self.close(len(axes))


class C(Target):
    """The system's C compiler."""

    name = "c"
    accepts = frozenset(["threads", "typical"])

    def price(self, kernel: Kernel) -> float:
        """Elements touched, those off the innermost axis five times as dear."""
        total = 0.0
        for e in kernel.loads:
            place = e.data[0].address(e.data[1])
            points = math.prod(nominal(x.extent) for x in e.axes)
            total += points * (1.0 if any(place.coefficient(x) == 1 for x in place.axes) else 5.0)
        return total

    def scheduled(self, kernel: Kernel) -> Kernel:
        place = kernel.stores[-1].buffer.address(kernel.stores[-1].index)
        order = tuple(sorted(kernel.axes, key=lambda x: -nominal(place.coefficient(x))))
        return replace(kernel, schedule=Loops(order), cycles=self.price(kernel))

    def print(self, kernel: Kernel) -> Source:
        printer = Printer(kernel)
        source = Source(printer.text(), printer.names)
        verify_source(kernel, source.text, source.names.buffers)
        return source

    def environment(self) -> str:
        return subprocess.run([COMPILER[0], "--version"], capture_output=True, text=True, check=True).stdout

    def compile(self, inputs, outputs, updates) -> CompiledC:
        return CompiledC(self, inputs, outputs, updates)


class CompiledC(Compiled):
    """The program as C, in the native runtime."""

    def __init__(self, target: C, inputs, outputs, updates) -> None:
        super().__init__(inputs, outputs, updates)
        with typical(target.options.typical):
            planned = target.planned(inputs, outputs, updates)
        self.trace = planned.trace
        order = kernel_order.plan_memory(planned.kernels)
        sources = [target.print(k) for k in order.kernels]
        keys = [hashlib.sha256(s.text.encode()).hexdigest()[:40] for s in sources]
        objects = {key: _object(source.text, key) for key, source in zip(keys, sources)}
        self.kernels = [kernel_info(k, key, s, KernelInfo) for k, key, s in zip(order.kernels, keys, sources)]
        program, states = artefact("c", planned, order, sources, keys, [None] * len(keys), objects)
        self.executable = runtime.Executable(program, states, target.options.threads or 1)

    def run(self, arrays, steps=1, per_step=()):
        return self.executable.run(self._check(arrays), steps, frozenset(per_step))


def _object(text: str, key: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.o"
        text = text.replace("void kernel(", f"void {symbol(key)}(", 1)
        subprocess.run([*COMPILER, str(path)], input=text, text=True, check=True, capture_output=True)
        return path.read_bytes()
