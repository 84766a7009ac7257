"""Passes ask an op's row for facts; they do not list ops by name. Where a name stands all the same is listed here.

The tables of rules are left out: patterns name the ops that they are about. A word that means something else but is the
name of an op as well is listed too, under what it means.
"""

from __future__ import annotations

import ast
from pathlib import Path

import kernelwright
from kernelwright.compiler.graph.ops import OPS

ROOT = Path(kernelwright.__file__).parent / "compiler"
EXEMPT = ("graph/ops/", "rewriting/rules/", "loops/functions.py")
"""The rows; the rules; the table of scalar functions, many of which have the name of an op."""

DSL = {
    "graph/capture.py": {"abs", "ceil", "cos", "erf", "exp", "expm1", "floor", "log", "log1p", "maximum", "max", "min"}
    | {"minimum", "pow", "round", "sign", "sin", "sqrt", "tanh", "where"},
    "graph/autodiff.py": {"stop_gradient"},
    "graph/functions.py": {"clip"},
    "graph/aliases.py": {"add", "div", "mul", "neg", "pow", "sub"},
    "graph/einsum.py": {"contract"},
    "graph/makers.py": {"full"},
    "graph/predicates.py": {"eq", "le", "logical_and", "logical_not", "logical_or", "lt", "ne"},
    "graph/scans.py": {"add", "mul"},
    "graph/sorting.py": {"sum", "take_along"},
    "graph/sorting_network.py": {"take_along"},
    "graph/tensor.py": {"array", "broadcast_to", "cast", "full", "input", "size", "stop_gradient"}
    | {name for name in OPS if hasattr(kernelwright.Tensor, name)}
    | {
        "abs",
        "add",
        "div",
        "eq",
        "le",
        "ne",
        "logical_and",
        "logical_not",
        "logical_or",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "floor_divide",
        "invert",
        "left_shift",
        "remainder",
        "right_shift",
        "lt",
        "mul",
        "neg",
        "pow",
        "sub",
    },
    "graph/synonyms.py": {"pad"},
    "graph/variable.py": {"variable"},
    "loops/formula.py": {"abs", "add", "div", "le", "lt", "mul", "neg", "sub"},
    "rewriting/rewrite.py": {"add", "div", "full", "mul", "neg", "pow", "sub"},
}
"""What users and rules write: an operator of Python, or a function, makes a node of this op."""

LEAVES = {
    "graph/arguments.py": {"input", "variable"},
    "graph/reference.py": {"input", "variable"},
    "rewriting/same_values.py": {"input"},
    "lowering/program.py": {"array", "input", "variable"},
    "graph/recurrences.py": {"check_range", "input", "scan"},
    "targets/cpu/compiled.py": {"variable"},
    "targets/shared/saved.py": {"array", "variable"},
}
"""What a program is given from outside: arguments, states and constants."""

CHECKS = {
    "graph/limits.py": {"max", "min", "slice", "argmax", "array", "cast", "check_range", "gather", "iota"},
}
"""What the runtime checks about a run, and what is known to hold without."""

MADE = {
    "targets/cpu/winograd.py": {"contained", "contract", "input"},
    "targets/cuda/padded_channels.py": {"cast", "contract", "pad", "reshape", "slice"},
    "lowering/sorted_sums.py": {"scatter_add", "segment_sum", "sum"},
}
"""Passes that replace one contraction, or one scatter-add, by others. `input` is one of Winograd's three matrices."""

REDUCTIONS = {
    "lowering/merge.py": {"argmax"},
    "lowering/moments.py": {"add", "div", "max", "min", "mul", "size", "sub", "sum"},
    "lowering/recompute.py": {"argmax", "size"},
    "lowering/normalize.py": {"argmax"},
    "lowering/split_reductions.py": {"argmax"},
    "lowering/strided_gradients.py": {"sum"},
    "loops/products.py": {"mul", "sum"},
    "targets/cpu/winograd_maps.py": {"abs", "input", "lt", "mul", "slice", "sum", "where"},
    "targets/cuda/contraction.py": {"sum"},
    "targets/cuda/lockstep.py": {"max", "min"},
    "targets/cuda/writer.py": {"argmax", "max", "size"},
    "targets/shared/literals.py": {"max", "maximum", "minimum", "prod", "sum"},
    "targets/shared/names.py": {"exp", "max", "min", "size", "where"},
    "targets/shared/summed_axes.py": {"argmax", "min", "prod", "sum"},
    "targets/cuda/parts.py": {"sum"},
    "lowering/shared_reads.py": {"sum"},
    "targets/cuda/schedule.py": {"argmax"},
    "targets/shared/values.py": {"cast", "size"},
    "targets/shared/writer.py": {"argmax", "max", "min", "sum"},
}
"""The kinds of reduction that the loop form has, what they are printed as, and sums of products."""

KINDS = {
    "lowering/fuse.py": {"contract", "variable"},
    "lowering/layout.py": {"contract"},
    "loops/expressions.py": {"size"},
}
"""The kind of an op or an expression, not its name; fusion asks whether a leaf is a variable besides."""

WHOLE = {"floor_divide", "remainder", "left_shift", "right_shift"}

EMITTED = {
    "loops/scalar_types.py": {"abs", "maximum", "minimum", "sign", "where"},
    "targets/cpu/llvm/accumulation.py": {"contract"},
    "targets/cpu/llvm/mathlib.py": {"abs", "exp", "maximum", "minimum", "rsqrt", "sigmoid", "sign", "sqrt", "where"}
    | {"bits_to_uniform", "round_bfloat16"} & set(OPS),
    "targets/cpu/interpret.py": {"abs", "bits_to_uniform", "maximum", "minimum", "sign", "where"} | WHOLE,
    "targets/shared/whole_numbers.py": WHOLE | {"floor"},
    "targets/cpu/llvm/scalar.py": {"trunc"},
    "targets/cpu/llvm/operations.py": {"add", "min", "mul", "sub"},
    "targets/cpu/llvm/translate.py": {"max", "min"},
    "targets/cuda/intrinsics.py": {"abs", "bits_to_uniform", "maximum", "minimum", "random_bits", "sign", "where"},
}
"""Functions that a target writes out itself, as the table of scalar functions says; LLVM's own words."""

OTHER = {
    "targets/cpu/llvm/winograd_doubt.py": {"input"},
    "targets/cpu/winograd_matrices.py": {"input"},
    "targets/cpu/system_caches.py": {"size"},
    "targets/cpu/traced.py": {"input", "slice"},
    "lowering/turns.py": {"slice"},
    "targets/cuda/compiled.py": {"log"},
    "targets/cuda/cubin_store.py": {"log"},
    "graph/patches.py": {"pad"},
    "graph/absent.py": {"add", "broadcast_to", "div", "gather", "mul", "pow", "size", "sub"},
}
"""Words."""


def named() -> dict[str, set[str]]:
    """The ops whose names stand as strings in each file of compiler/, but for those exempt."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if not place.startswith(EXEMPT):
            texts = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
            found[place] = {text for text in texts if isinstance(text, str) and text in OPS}
    return {place: names for place, names in found.items() if names}


def test_ops_are_named_only_where_it_is_known_why() -> None:
    known = DSL | LEAVES | CHECKS | MADE | REDUCTIONS | KINDS | EMITTED | OTHER
    unknown = {place: names - known.get(place, set()) for place, names in named().items()}
    assert {place: names for place, names in unknown.items() if names} == {}
