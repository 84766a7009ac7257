"""A program as JSON and named bytes, and back: nothing in it but numbers, names, code and constants.

Leans on `program`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from .kernels import Arg, BufferArg, Call, CudaBatchSpec, CudaKernelSpec, Kernel, KernelSpec, SizeArg
from .program import BufferSpec, ComputedCheck, IndexCheck, LoopSpec, Program, SizeCheck
from .sizes import evaluate

KINDS: dict[str, Any] = {"generated": KernelSpec, "launch": CudaKernelSpec, "batch": CudaBatchSpec, "call": Call}
POSITIONS = ("inputs", "outputs", "states")
LISTED: dict[str, Any] = {
    "checks": IndexCheck,
    "size_checks": SizeCheck,
    "computed_checks": ComputedCheck,
    "loops": LoopSpec,
}


def to_plain(program: Program) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(what JSON holds, bytes by name: the code of kernels and the values of constants)."""
    code = {f"code {key}": program.objects[key] for key in program.keys}
    constants = {i: b for i, b in enumerate(program.buffers) if b.data is not None}
    values = {f"constant {i}": np.asarray(b.data, b.dtype).tobytes() for i, b in constants.items()}
    text: dict[str, Any] = {
        "name": program.name,
        "buffers": [_fields(b, "data") for b in program.buffers],
        "kernels": [_kernel(kernel) for kernel in program.kernels],
        "written": sorted(program.written),
    }
    text |= {name: getattr(program, name) for name in POSITIONS}
    text |= {name: [_fields(each) for each in getattr(program, name)] for name in LISTED}
    return text, code | values


def from_plain(text: Mapping[str, Any], parts: Mapping[str, Any]) -> Program:
    """The program. Raises KeyError, TypeError or ValueError where the two are not what `to_plain` gives."""
    buffers = [BufferSpec(**_named(each)) for each in text["buffers"]]
    values = {i: _constant(b, parts[f"constant {i}"]) for i, b in enumerate(buffers) if b.kind == "constant"}
    kernels = tuple(_made_kernel(each) for each in text["kernels"])
    code = {kernel.key: parts[f"code {kernel.key}"] for kernel in kernels if not isinstance(kernel, Call)}
    rest: dict[str, Any] = {name: tuple(kind(**_named(each)) for each in text[name]) for name, kind in LISTED.items()}
    rest |= {name: tuple(text[name]) for name in POSITIONS}
    rest["buffers"] = tuple(replace(b, data=values.get(i)) for i, b in enumerate(buffers))
    return Program(name=text["name"], kernels=kernels, objects=code, written=frozenset(text["written"]), **rest)


def _fields(item: Any, *without: str) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in fields(item) if field.name not in without}


def _kernel(kernel: Kernel) -> dict[str, Any]:
    kind = next(name for name, each in KINDS.items() if isinstance(kernel, each))
    args: list[list[Any]] = [
        ["buffer", a.buffer] if isinstance(a, BufferArg) else ["size", a.poly] for a in kernel.args
    ]
    return {"kind": kind, **_fields(kernel, "args"), "args": args}


def _made_kernel(plain: Mapping[str, Any]) -> Kernel:
    args: list[Arg] = [
        BufferArg(value) if kind == "buffer" else SizeArg(_tuples(value)) for kind, value in plain["args"]
    ]
    rest = {name: value for name, value in plain.items() if name not in ("kind", "args")}
    made: Kernel = KINDS[plain["kind"]](args=tuple(args), **_named(rest))
    return made


def _constant(spec: BufferSpec, data: bytes) -> np.ndarray:
    return np.frombuffer(data, spec.dtype).reshape([evaluate(size, {}) for size in spec.shape])


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tuples(value) for name, value in values.items()}


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were; polynomials are lists in lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
