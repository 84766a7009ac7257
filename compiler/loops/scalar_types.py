"""The type of a scalar function's result, as Numba infers it from those of the arguments.

Only Numba's typing runs: its front end up to type inference, a few milliseconds once Numba is there. What Numba cannot
type is refused here, before anything is compiled. Leans on `definition`; imports Numba when first asked.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from copy import deepcopy
from functools import cache, lru_cache
from typing import Any

import numpy as np

from ...runtime.locks import LLVM
from .. import dtypes
from .definition import Definition, argument, weak
from .functions import FUNCTIONS

FLOAT_OR_WHOLE = frozenset(["maximum", "minimum", "abs", "sign", "where"])
"""Functions that leave integers what they are; all others make floats of them."""
NARROW = {"int8": "int64", "int16": "int64", "uint16": "int64", "uint64": "int64"}
"""Types that numbers of the text alone have: whole numbers are computed in 64 bits."""


class Untyped(Exception):
    """Numba finds no type: why, and the line of the source."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


@lru_cache(maxsize=1024)
def result_dtype(definition: Definition, dtype: str) -> str:
    """The dtype of the result for tensors of `dtype`. Raises Untyped."""
    return inferred([ast.parse(source) for _, source in definition.functions], definition.arity, dtype)


def inferred(sources: Sequence[ast.Module], arity: int, dtype: str) -> str:
    """The same for syntax trees, one for each function; the last is asked about. Raises Untyped."""
    if dtype == dtypes.UINT64:
        raise Untyped("whole numbers are computed in int64, which does not hold all of uint64; cast them to int64", 0)
    with LLVM:
        return _inferred(sources, arity, argument(dtype))


def _inferred(sources: Sequence[ast.Module], arity: int, dtype: str) -> str:
    import numba
    from numba.core import types
    from numba.core.errors import NumbaError

    scope: dict[str, Any] = {"math": math, "np": np, **_stand_ins()}
    name = ""
    for tree in sources:
        name = tree.body[0].name  # type: ignore[attr-defined]
        exec(compile(weak(deepcopy(tree), dtype), f"<{name}>", "exec"), scope)
        function, scope[name] = scope[name], numba.njit(error_model="numpy")(scope[name])
    try:
        found, holds = _typed(function, (getattr(types, "boolean" if dtype == dtypes.BOOL else dtype),) * arity)
    except NumbaError as error:
        raise Untyped(_brief(str(error)), getattr(getattr(error, "loc", None), "line", 0) or 0) from None
    plain = str(types.unliteral(found))
    result = NARROW.get(plain, plain)
    if result not in dtypes.ITEMSIZE:
        raise Untyped(f"it returns {plain}, and not one number of a tensor's dtype", 0)
    for kind in holds:
        if not _is_scalar(kind):
            raise Untyped(f"it uses {kind}; only numbers, tuples of them and ranges can be in a kernel", 0)
    return result


def _typed(function: Any, kinds: tuple[Any, ...]) -> tuple[Any, set[Any]]:
    """(the result's type, the types of all variables)."""
    from numba.core import compiler
    from numba.core.registry import cpu_target

    flags: Any = compiler.Flags()  # its options are made at import, where mypy cannot see them
    flags.error_model = "numpy"
    flags.nrt = False
    context = cpu_target.typing_context, cpu_target.target_context
    result, variables = _pipeline()(*context, None, kinds, None, flags, {}).compile_extra(function)
    return result, set(variables.values())


@cache
def _pipeline() -> Any:
    """Numba's front end up to its types, as a compiler that gives (result, types of variables)."""
    from numba.core import compiler
    from numba.core.compiler_machinery import AnalysisPass, PassManager, register_pass
    from numba.core.typed_passes import NopythonTypeInference
    from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode

    @register_pass(mutates_CFG=False, analysis_only=True)
    class Typed(AnalysisPass):
        """The last pass: its types are what is asked for."""

        _name = "typed_scalars"

        def __init__(self) -> None:
            AnalysisPass.__init__(self)

        def run_pass(self, state: Any) -> bool:
            state.cr = state.return_type, state.typemap
            return False

    class Typing(compiler.CompilerBase):
        """Numba's passes up to its types."""

        def define_pipelines(self) -> list[PassManager]:
            passes = PassManager("typing")
            front: tuple[Any, ...] = (TranslateByteCode, FixupArgs, IRProcessing, ReconstructSSA)
            for each in (*front, NopythonTypeInference, Typed):
                passes.add_pass(each, each._name)
            passes.finalize()
            return [passes]

    return Typing


def _is_scalar(kind: Any) -> bool:
    """May a kernel hold a variable of this type?"""
    from numba.core import types

    numbers = (types.Number, types.Boolean, types.NoneType, types.RangeType, types.RangeIteratorType)
    outside = (types.Function, types.Dispatcher, types.Module, types.NumberClass)
    if isinstance(kind, types.UniTuple | types.Tuple):
        return all(map(_is_scalar, kind.types))
    if isinstance(kind, types.Pair):
        return all(map(_is_scalar, (kind.first_type, kind.second_type)))
    return isinstance(kind, (*numbers, *outside))


@cache
def _stand_ins() -> dict[str, Any]:
    """The functions of the table as typed names, without code: mixed arguments become the wider float among them."""
    from numba.core import types
    from numba.extending import intrinsic

    def common(context: Any, kinds: Sequence[Any]) -> Any:
        plain = [types.unliteral(each) for each in kinds]
        if not all(isinstance(each, types.Number | types.Boolean) for each in plain):
            return None
        return next((f for f in (types.float64, types.float32) if f in plain), context.unify_types(*plain))

    def stand_in(name: str, arity: int) -> Any:
        def typed(context: Any, *kinds: Any) -> Any:
            kind = common(context, kinds[1:] if name == "where" else kinds)
            if kind is None:
                return None
            if name not in FLOAT_OR_WHOLE and not isinstance(kind, types.Float):
                kind = types.float64
            given = [kind] * len(kinds) if name != "where" else [types.boolean, kind, kind]
            return kind(*given), None

        one, two, three = (
            lambda context, a: typed(context, a),
            lambda context, a, b: typed(context, a, b),
            lambda context, a, b, c: typed(context, a, b, c),
        )
        function: Any = (one, two, three)[arity - 1]
        function.__name__ = function.__qualname__ = name
        return intrinsic(function)

    called = {name: f for name, f in FUNCTIONS.items() if f.arity <= 3}
    casts = {name: getattr(np, name) for name in ("float32", "float64", "int16", "int32", "int64", "uint8", "uint32")}
    return {**casts, "INFINITY": math.inf, "NAN": math.nan, **{n: stand_in(n, f.arity) for n, f in called.items()}}


def _brief(message: str) -> str:
    """The first line of Numba's that says something."""
    plain = re.sub(r"\x1b\[\d*m", "", message)
    lines = [line.strip() for line in plain.splitlines()]
    frame = ("Failed in ", "During:", "File ", "<source")
    said = [line for line in lines if line and not line.startswith(frame)]
    return said[0] if said else plain.strip()
