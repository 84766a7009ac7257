"""A user's scalar functions in kernels: Numba compiles each for the types it is called with, and LLVM inlines it.

A definition's source becomes an intrinsic. Where a kernel calls it, a declaration stands in the kernel's module, and
the function's own module is linked in; the pass manager then has all of it before it, so that loops over the function
become vectors where its code allows. What it computes is not contracted: it stays as written. The mathematics that it
calls by the names of `loops/functions.py` is that of kernels (`mathlib.py`), all else is Numba's.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from llvmlite import ir
from numba.core import compiler, funcdesc, types
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.lowering import Lower
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from ....errors import CompileError
from ....loops.definition import weak
from . import mathlib
from .numba_passes import options, passes_to

CASTS = ("float32", "float64", "int16", "int32", "int64", "uint8", "uint32")

C_NAMES = {"numba_gamma": "tgamma", "numba_gammaf": "tgammaf", "numba_ldexp": "ldexp", "numba_ldexpf": "ldexpf"}
"""Functions of a library of Numba's that the C library has under other names."""
_NUMBAS = re.compile(rf"\b(?:{'|'.join(C_NAMES)})\b")

_called: WeakKeyDictionary[ir.Module, dict[str, Body]] = WeakKeyDictionary()
"""By module, the functions that it declares."""


@dataclass(frozen=True)
class Body:
    """A function compiled for its arguments' types. texts: its module, and those of all that it calls."""

    symbol: str
    result: Any
    texts: tuple[str, ...]


class FunctionLower(Lower):
    """Numba's lowering, stopped at the function itself: no environment, no wrappers, no linking."""

    def lower(self) -> None:
        self.genlower = None
        self.lower_normal_function(self.fndesc)


def lowered(state: Any, kind: type[Lower]) -> tuple[Any, Any, Lower]:
    """(library, descriptor, lowering) of a function that Numba has typed, lowered by `kind`."""
    context = state.targetctx
    library = context.codegen().create_library(state.func_id.func_name)
    described = funcdesc.PythonFunctionDescriptor.from_specialized_function(
        state.func_ir,
        state.typemap,
        state.return_type,
        state.calltypes,
        mangler=context.mangler,
        inline=False,
        noalias=False,
        abi_tags=(),
    )
    with context.push_code_library(library):
        lower = kind(context, library, described, state.func_ir, metadata=state.metadata)
        lower.lower()
    return library, described, lower


@register_pass(mutates_CFG=True, analysis_only=False)
class FunctionLowering(LoweringPass):
    """The last pass: `state.cr` becomes the result's type and the modules."""

    _name = "scalar_function_lowering"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        name = state.func_id.func_name
        library, described, lower = lowered(state, FunctionLower)
        lower.function.linkage = "linkonce_odr"  # until it is inlined
        lower.function.attributes.add("alwaysinline")
        symbol = ".".join([name, *map(str, state.args)])
        own = str(lower.module).replace(described.mangled_name, symbol)
        linked = [str(each._get_module_for_linking()) for each in library._linking_libraries]
        texts = tuple(_NUMBAS.sub(lambda found: C_NAMES[found[0]], text) for text in (own, *linked))
        _check(name, texts)
        state.cr = Body(symbol, state.return_type, (*texts, *needed(lower.module)))
        return True


def _check(name: str, texts: Sequence[str]) -> None:
    """Raises CompileError for a function that calls into Numba's or Python's own libraries."""
    everything = "\n".join(texts)
    inside = sorted(set(re.findall(r'^declare [^@]*@"?((?:numba_|NRT_|Py)\w+)', everything, re.MULTILINE)))
    if inside:
        raise CompileError(f"{name} needs {', '.join(inside)}, which exists inside Numba only; write it without")


class FunctionCompiler(compiler.CompilerBase):
    """The passes between bytecode and LLVM."""

    def define_pipelines(self) -> Any:
        return passes_to(FunctionLowering)


def needed(module: ir.Module) -> list[str]:
    """The modules of the functions that this one calls, each once."""
    return list(dict.fromkeys(text for body in _called.get(module, {}).values() for text in body.texts))


def intrinsics(definitions: Mapping[str, str]) -> dict[str, Any]:
    """Every function of a kernel's head as what both front ends can call."""
    made: dict[str, Any] = {}
    for name, source in definitions.items():
        calls = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}
        made[name] = _intrinsic(name, source, tuple((n, made[n]) for n in made if n in calls))
    return made


@cache
def _intrinsic(name: str, source: str, callees: tuple[tuple[str, Any], ...]) -> Any:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    parameters = [each.arg for each in function.args.args]

    def typed(typingctx: Any, *args: Any) -> Any:
        kinds = tuple(map(types.unliteral, args))
        body = _compiled(name, source, callees, kinds)

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, values: Any) -> ir.Value:
            return _call(context, builder, body, sig.args, values)

        return body.result(*kinds), generate

    scope: dict[str, Any] = {"typed": typed}
    head = ", ".join(f"a{i}" for i in range(len(parameters)))
    exec(f"def {name}(typingctx, {head}):\n    return typed(typingctx, {head})", scope)  # Numba asks for names
    return intrinsic(scope[name])


def _call(context: Any, builder: ir.IRBuilder, body: Body, kinds: Any, values: Any) -> ir.Value:
    """A call of a compiled function, which is declared here. None of them raises."""
    module = builder.module
    _called.setdefault(module, {})[body.symbol] = body
    function = module.globals.get(body.symbol)
    if function is None:
        function = ir.Function(module, context.call_conv.get_function_type(body.result, kinds), body.symbol)
    _, result = context.call_conv.call_function(builder, function, body.result, kinds, values)
    return result


@cache
def _compiled(name: str, source: str, callees: tuple[tuple[str, Any], ...], kinds: tuple[Any, ...]) -> Body:
    scope: dict[str, Any] = {"math": math, "np": np, "INFINITY": math.inf, "NAN": math.nan}
    scope |= {**{each: getattr(np, each) for each in CASTS}, **mathlib.NAMES, **dict(callees)}
    dtype = "float32" if types.float32 in kinds else "float64"
    exec(compile(weak(ast.parse(source), dtype), f"<scalar function {name}>", "exec"), scope)
    scope[name].__module__ = "scalar"
    target = cpu_target
    driver = FunctionCompiler(target.typing_context, target.target_context, None, kinds, None, options(), {})
    made: Body = driver.compile_extra(scope[name])
    return made
