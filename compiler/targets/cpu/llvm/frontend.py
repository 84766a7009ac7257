"""From the Python source of a kernel to an LLVM module in textual form.

A printed kernel is translated in one walk over its syntax tree (`translate.py`). Source that goes beyond what printed
kernels are made of, such as a kernel written by hand, goes through Numba's whole front end instead, of which only the
passes that a kernel needs are run. Either way nothing of Numba's run-time reaches the module: no reference counts, no
exceptions, no environment. The function becomes `void name(i64 table, i64 thread, i64 threads)`.
Running sums may be regrouped, sums and products contracted (`accumulation.py`), unless they name flags of their own,
which is how `mathlib.py` keeps its error terms. Leans on Numba; imported by `build.py` when a kernel is built, not
before.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import compiler, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.lowering import Lower
from numba.core.registry import cpu_target

from .... import dtypes
from ....loops.definition import split
from . import accumulation, copies, defined, loop_wishes, mathlib, matrix_tiles, tiles, transposed
from . import pointers as memory
from . import winograd_tiles as transforms
from .numba_passes import options, passes_to
from .operations import Unsupported
from .translate import translate

ARGUMENTS = (types.int64, types.int64, types.int64)
CONTRACTED = frozenset(["fadd", "fsub", "fmul"])
CASTS = {name: getattr(np, name) for name in (dtypes.FLOAT32, dtypes.FLOAT64, *dtypes.INTEGERS)}
LIMITS = {"INFINITY": float("inf"), "NAN": float("nan")}


class KernelLower(Lower):
    """Numba's lowering, stopped at the function itself: no environment, no wrappers, no linking."""

    def lower(self) -> None:
        self.genlower = None
        self.lower_normal_function(self.fndesc)
        _export(self.context, self.module, self.function, self.fndesc)


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(LoweringPass):
    """The last pass: `state.cr` becomes the module's text and the modules that it wants linked in."""

    _name = "kernel_lowering"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        library, described, lower = defined.lowered(state, KernelLower)
        text = str(_finish(lower.module)).replace(described.mangled_name, f"{described.qualname}.body")
        linked = [str(each._get_module_for_linking()) for each in library._linking_libraries]
        state.cr = text, [*linked, *defined.needed(lower.module)]
        return True


class KernelCompiler(compiler.CompilerBase):
    """The passes between bytecode and LLVM that generated source needs."""

    def define_pipelines(self) -> list[PassManager]:
        return passes_to(KernelLowering)


def _export(context: Any, module: ir.Module, inner: ir.Function, described: Any) -> None:
    """Hide Numba's function behind a C function of the kernel's name."""
    inner.linkage = "internal"
    inner.attributes.add("alwaysinline")
    kind = ir.FunctionType(ir.VoidType(), [memory.I64] * len(ARGUMENTS))
    outer = ir.Function(module, kind, described.qualname)
    outer.attributes.add("nounwind")
    builder = ir.IRBuilder(outer.append_basic_block("entry"))
    context.call_conv.call_function(builder, inner, types.none, ARGUMENTS, outer.args)
    builder.ret_void()


def _finish(module: ir.Module) -> ir.Module:
    """Attach alias scopes; allow contraction wherever an operation does not name flags of its own."""
    memory.attach_scopes(module)
    loop_wishes.mark_loops(module)
    for function in module.functions:
        for block in function.blocks:
            for instruction in block.instructions:
                if instruction.opname in CONTRACTED and not instruction.flags:
                    instruction.flags.extend(accumulation.OTHERWISE)
    return module


def namespace(source: str) -> dict[str, Any]:
    """All that generated source may name: memory, casts, mathematics, the tiles and the maps that it mentions."""
    used = set(re.findall(r"\b(?:outer|dot)_tile_\w+", source))
    maps = set(re.findall(r"\btransform_\w+", source))
    unit = set(re.findall(r"\bmatrix_\w+", source))
    squares = set(re.findall(r"\btransposed_\w+", source))
    copied = set(re.findall(r"\bcopied_\d+", source))
    return {
        "math": math,
        **CASTS,
        **LIMITS,
        **memory.NAMES,
        "masked": loop_wishes.masked,
        **defined.intrinsics(split(source)[0]),
        **mathlib.NAMES,
        **{name: tiles.named(name) for name in sorted(used)},
        **{name: transforms.named(name) for name in sorted(maps)},
        **{name: matrix_tiles.named(name) for name in sorted(unit)},
        **{name: transposed.named(name) for name in sorted(squares)},
        **{name: copies.named(name) for name in sorted(copied)},
    }


@global_compiler_lock
def lower(source: str, name: str) -> tuple[str, list[str]]:
    """The LLVM module of a kernel as text, unoptimised, and the modules to link into it."""
    names = namespace(source)
    if name in names:
        raise ValueError(f"a kernel may not be called {name!r}: that is one of the functions it can use")
    try:
        module = _finish(translate(source, name, names))
        return str(module), defined.needed(module)
    except Unsupported:
        return lower_by_numba(source, name, names)


def lower_by_numba(source: str, name: str, names: dict[str, Any]) -> tuple[str, list[str]]:
    """The same by Numba's whole front end, for source that printed kernels are unlike."""
    names |= {"accumulate": accumulation.accumulate, "as_it_stands": loop_wishes.as_it_stands}
    text = accumulation.marked(loop_wishes.marked(split(source)[1]))
    exec(compile(text, f"<kernel {name}>", "exec"), names)
    function = names[name]
    function.__module__ = "kernel"
    descriptor = cpu_target
    driver = KernelCompiler(
        descriptor.typing_context, descriptor.target_context, None, ARGUMENTS, types.none, options(), {}
    )
    return driver.compile_extra(function)
