"""The scalar functions that expressions call, and how every target computes them: one table.

A row says how many arguments a function has, what it means in NumPy (which the executor of CUDA kernels without a GPU
runs), what it costs, and for each target one of the forms below. They are plain data, which the target's own files
make code of: `targets/cpu/llvm/mathlib.py`, `targets/cuda/intrinsics.py`, and the printers for what stands in the text
of a kernel. What can be written in these functions is no row here but a formula (`formula.py`). Leans on `dtypes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import dtypes
from .philox import philox_reference, uniform_reference


@dataclass(frozen=True)
class Text:
    """Stands in the kernel's source as this text: `{0}` is the first argument, `{dtype}` the result's dtype."""

    text: str


@dataclass(frozen=True)
class Inline:
    """On the CPU. float32: the function of this name in `targets/cpu/llvm/scalar.py`, in line, so that loops over it
    become vector code. float64: the C library's function of the row's name."""

    name: str


@dataclass(frozen=True)
class Instruction:
    """On the CPU: LLVM's intrinsic of this name, one or two instructions."""

    name: str


@dataclass(frozen=True)
class LibraryCall:
    """A function of the mathematical library: the C library's of this name on the CPU (in float64, one element at a
    time), libdevice's on CUDA (`__nv_NAMEf` and `__nv_NAME`)."""

    name: str


@dataclass(frozen=True)
class Own:
    """Written out in the target's file, in its table of the same names."""


Form = Text | Inline | Instruction | LibraryCall | Own


@dataclass(frozen=True)
class Function:
    """One scalar function.

    `numpy` is its meaning on arrays; `flops` its price, in additions; `truth`: the result is a bool; `widens`: of
    integers the result may have more bits than the arguments (Numba's operators give 64, Python any number), and the
    printer casts it back. `exact`: it does not
    round floats; `underflows`: normal arguments may give less than the smallest normal number; `once`: too dear to be
    computed again in every reader. `cpu` and `cuda` say how each target has it.
    """

    arity: int
    numpy: Callable[..., Any]
    cpu: Form
    cuda: Form
    flops: int = 1
    truth: bool = False
    widens: bool = False
    exact: bool = False
    underflows: bool = False
    once: bool = False


def _erf(x: Any) -> Any:
    x = np.asarray(x)
    return np.vectorize(math.erf, otypes=[x.dtype])(x) if x.size else x


def _log_gamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole; too large
        return math.inf


def _lgamma(x: Any) -> Any:
    x = np.asarray(x)
    return np.vectorize(_log_gamma, otypes=[np.float64])(x).astype(x.dtype) if x.size else x


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(np.less(x, 0), e, np.ones_like(e)) / (1 + e)


def _random_bits(place: Any, stream: Any, step: Any, seed: Any) -> Any:
    step, seed = (np.asarray(v).astype(np.uint64) for v in (step, seed))
    high = np.uint64(32)
    return philox_reference((place, stream, step, step >> high), (seed, seed >> high))[0]


def _round_bfloat16(x: Any) -> Any:
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), np.float32(np.nan), rounded.view(np.float32))


def _operator(symbol: str, numpy: Callable[..., Any], flops: int = 1, underflows: bool = False) -> Function:
    form = Text(f"({{0}} {symbol} {{1}})")
    return Function(2, numpy, form, form, flops, widens=True, underflows=underflows)


def _relation(symbol: str, numpy: Callable[..., Any]) -> Function:
    form = Text(f"({{0}} {symbol} {{1}})")
    return Function(2, numpy, form, form, truth=True, exact=True)


def _bitwise(symbol: str, numpy: Callable[..., Any]) -> Function:
    form = Text(f"({{0}} {symbol} {{1}})")
    return Function(2, numpy, form, form, widens=True, exact=True)


def _whole(numpy: Callable[..., Any], flops: int, **facts: bool) -> Function:
    """An operator that LLVM leaves undefined for some integers, written out in `targets/shared/whole_numbers.py`."""
    return Function(2, numpy, Own(), Own(), flops, widens=True, **facts)


def _smooth(name: str, numpy: Callable[..., Any], flops: int, underflows: bool = False) -> Function:
    """A polynomial on the CPU, libdevice's function on CUDA."""
    return Function(1, numpy, Inline(name), LibraryCall(name), flops, underflows=underflows)


def _own(arity: int, numpy: Callable[..., Any], flops: int = 1) -> Function:
    """Exact, and written out in both targets' files."""
    return Function(arity, numpy, Own(), Own(), flops, exact=True)


def _saturating(dtype: str) -> Function:
    """A float as an integer: the nearest end where it lies outside, 0 for NaN. "cast" is for all other conversions."""
    return _own(1, partial(dtypes.converted, dtype=dtype), flops=4)


_WORDS = "uint32({0}), uint32({1}), uint32({2}), uint32({2} >> 32), uint32({3}), uint32({3} >> 32)"
_SIGMOID = "({dtype}(1.0) / ({dtype}(1.0) + exp(-{0})))"

FUNCTIONS: dict[str, Function] = {
    "add": _operator("+", np.add),
    "sub": _operator("-", np.subtract),
    "mul": _operator("*", np.multiply, underflows=True),
    "div": _operator("/", np.divide, 4, underflows=True),
    "neg": Function(1, np.negative, Text("(-{0})"), Text("(-{0})"), widens=True, exact=True),
    "floor_divide": _whole(np.floor_divide, 24),
    "remainder": _whole(np.remainder, 24, underflows=True),
    "left_shift": _whole(np.left_shift, 3, exact=True),
    "right_shift": _whole(np.right_shift, 3, exact=True),
    "bitwise_and": _bitwise("&", np.bitwise_and),
    "bitwise_or": _bitwise("|", np.bitwise_or),
    "bitwise_xor": _bitwise("^", np.bitwise_xor),
    "invert": Function(1, np.invert, Text("(~{0})"), Text("(~{0})"), widens=True, exact=True),
    "lt": _relation("<", np.less),
    "le": _relation("<=", np.less_equal),
    "eq": _relation("==", np.equal),
    "ne": _relation("!=", np.not_equal),
    "logical_and": _relation("&", np.logical_and),
    "logical_or": _relation("|", np.logical_or),
    "logical_not": Function(1, np.logical_not, Text("(not {0})"), Text("(not {0})"), truth=True, exact=True),
    "cast": Function(1, np.asarray, Text("{dtype}({0})"), Text("{dtype}({0})"), underflows=True),
    **{f"saturate_{dtype}": _saturating(dtype) for dtype in dtypes.INTEGERS},
    "where": _own(3, np.where),
    "maximum": _own(2, np.maximum),
    "minimum": _own(2, np.minimum),
    "abs": _own(1, np.abs),
    "sign": _own(1, np.sign),
    "floor": Function(1, np.floor, Instruction("floor"), LibraryCall("floor"), exact=True),
    "ceil": Function(1, np.ceil, Instruction("ceil"), LibraryCall("ceil"), exact=True),
    "trunc": Function(1, np.trunc, Instruction("trunc"), LibraryCall("trunc"), exact=True),
    "round": Function(1, np.round, Instruction("roundeven"), LibraryCall("rint"), exact=True),
    "sqrt": Function(1, np.sqrt, Instruction("sqrt"), LibraryCall("sqrt"), flops=4),
    "rsqrt": Function(1, lambda x: 1 / np.sqrt(x), Own(), LibraryCall("rsqrt"), flops=6),
    "exp": _smooth("exp", np.exp, 10, underflows=True),
    "expm1": _smooth("expm1", np.expm1, 12),
    "log": _smooth("log", np.log, 12),
    "log1p": _smooth("log1p", np.log1p, 14),
    "log2": _smooth("log2", np.log2, 12),
    "log10": _smooth("log10", np.log10, 14),
    "tanh": _smooth("tanh", np.tanh, 14),
    "sigmoid": Function(1, _sigmoid, Own(), Text(_SIGMOID), flops=14, underflows=True),
    "erf": _smooth("erf", _erf, 20),
    "lgamma": Function(1, _lgamma, LibraryCall("lgamma"), LibraryCall("lgamma"), flops=40),
    "sin": _smooth("sin", np.sin, 12),
    "cos": _smooth("cos", np.cos, 12),
    "pow": Function(2, np.power, Inline("power"), LibraryCall("pow"), flops=20, underflows=True),
    "random_bits": Function(4, _random_bits, Text(f"philox({_WORDS})[0]"), Own(), flops=60, exact=True, once=True),
    "bits_to_uniform": _own(1, lambda bits: uniform_reference(np.asarray(bits))),
    "round_bfloat16": Function(1, _round_bfloat16, Own(), Own(), underflows=True),
}


def printed(form: Form, name: str, arguments: list[str], dtype: str) -> str:
    """A call as it stands in a kernel's source."""
    if isinstance(form, Text):
        return form.text.format(*arguments, dtype=dtype)
    return f"{name}({', '.join(arguments)})"
