"""The part of Numba's front end that kernels and the functions they call go through. Leans on Numba."""

from __future__ import annotations

from typing import Any

from numba.core import compiler
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import IRLegalization, NopythonTypeInference, PreLowerStripPhis
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode


def passes_to(lowering: Any) -> list[PassManager]:
    """Numba's passes from bytecode to types, and then this one."""
    passes = PassManager("kernel")
    untyped: tuple[Any, ...] = (TranslateByteCode, FixupArgs, IRProcessing, ReconstructSSA)
    typed: tuple[Any, ...] = (NopythonTypeInference, PreLowerStripPhis, IRLegalization, lowering)
    for each in untyped + typed:
        passes.add_pass(each, each._name)
    passes.finalize()
    return [passes]


def options() -> compiler.Flags:
    """Numba's options for them: no run-time of Numba's, and division by zero as in NumPy."""
    flags: Any = compiler.Flags()  # its options are made at import, where mypy cannot see them
    flags.nrt = False
    flags.enable_pyobject = False
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_rewrites = True
    flags.error_model = "numpy"
    return flags
