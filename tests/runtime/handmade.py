"""Tiny kernels written in LLVM by hand, and programs made of them, to test the runtime without the compiler."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from kernelwright.runtime import BufferArg, BufferSpec, Call, KernelSpec, Program, SizeArg, host_machine

I64 = ir.IntType(64)
F64 = ir.DoubleType()
N = ((("n",), 1),)
"""The size symbol n."""


def const(value: int) -> tuple[tuple[tuple[str, ...], int], ...]:
    return (((), value),) if value else ()


@cache
def combine(a: float, b: float, call: str = "", inner: bool = True) -> bytes:
    """A kernel with table [n, x, y, z]: z[i] = a * x[i] + b * y[i] over this thread's share of n doubles.

    With `call`, a libm function is applied; without `inner`, x is read mirrored: from another thread's share.
    """
    module = ir.Module("handmade")
    module.triple = llvm.get_default_triple()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64, I64, I64]), "kernel")
    table, thread, threads = function.args
    make = ir.IRBuilder(function.append_basic_block("entry"))

    def slot(index: int) -> ir.Value:
        return make.load(make.inttoptr(make.add(table, I64(8 * index)), I64.as_pointer()))

    def element(base: ir.Value, index: ir.Value) -> ir.Value:
        return make.inttoptr(make.add(base, make.mul(index, I64(8))), F64.as_pointer())

    n, x, y, z = (slot(index) for index in range(4))
    start = make.sdiv(make.mul(n, thread), threads)
    end = make.sdiv(make.mul(n, make.add(thread, I64(1))), threads)
    entry = make.block
    loop, body, leave = (function.append_basic_block(name) for name in ("loop", "body", "leave"))
    make.branch(loop)
    make.position_at_end(loop)
    index = make.phi(I64)
    index.add_incoming(start, entry)
    make.cbranch(make.icmp_signed("<", index, end), body, leave)
    make.position_at_end(body)
    read = index if inner else make.sub(make.sub(n, I64(1)), index)
    left = make.fmul(F64(a), make.load(element(x, read)))
    value = make.fadd(left, make.fmul(F64(b), make.load(element(y, index))))
    if call:
        value = make.call(ir.Function(module, ir.FunctionType(F64, [F64]), call), [value])
    make.store(value, element(z, index))
    index.add_incoming(make.add(index, I64(1)), body)
    make.branch(loop)
    make.position_at_end(leave)
    make.ret_void()
    return host_machine().emit_object(llvm.parse_assembly(str(module)))


def kernel(code: bytes, size: object, buffers: Iterable[int], barrier: bool = True) -> KernelSpec:
    args = (SizeArg(size), *(BufferArg(buffer) for buffer in buffers))  # type: ignore[arg-type]
    return KernelSpec("combine", key(code), "kernel", args, barrier)


def key(code: bytes) -> str:
    return hashlib.sha256(code).hexdigest()[:32]


def vector(name: str, kind: str, size: object = N, first: int = 0, last: int = 0) -> BufferSpec:
    return BufferSpec(name, "float64", (size,), (0,), kind, first, last)  # type: ignore[arg-type]


def double() -> Program:
    """y = 2 x, any n."""
    code = combine(2.0, 0.0)
    return Program(
        "double",
        (vector("x", "input"), vector("y", "output")),
        (kernel(code, N, (0, 0, 1)),),
        inputs=(0,),
        outputs=(1,),
        objects={key(code): code},
    )


def chain(length: int) -> Program:
    """y = x mirrored `length` times, plus x each time, through temps: every kernel reads other threads' work."""
    code = combine(1.0, 1.0, inner=False)
    temps = [vector(f"t{index}", "temp", N, index, index + 1) for index in range(length - 1)]
    places = [0, *range(2, length + 1), 1]
    kernels = [kernel(code, N, (places[index], 0, places[index + 1])) for index in range(length)]
    buffers = (vector("x", "input"), vector("y", "output"), *temps)
    return Program("chain", buffers, tuple(kernels), (0,), (1,), objects={key(code): code})


def chain_expected(x: np.ndarray, length: int) -> np.ndarray:
    value = x
    for _ in range(length):
        value = value[::-1] + x
    return value


def accumulate(size: int) -> Program:
    """state = mirrored state / 2 + x, through a temp; y = state after it."""
    mix, copy = combine(0.5, 1.0, inner=False), combine(1.0, 0.0)
    buffers = (
        vector("x", "input", const(size)),
        vector("y", "output", const(size)),
        vector("s", "state", const(size)),
        vector("t", "temp", const(size), 0, 2),
    )
    kernels = (
        kernel(mix, const(size), (2, 0, 3)),
        kernel(copy, const(size), (3, 3, 2), barrier=False),
        kernel(copy, const(size), (3, 3, 1)),
    )
    objects = {key(mix): mix, key(copy): copy}
    return Program("accumulate", buffers, kernels, (0,), (1,), (2,), objects=objects)


def counted(size: int) -> Program:
    """state = state + x by a generated kernel, through a temp; y = state before it. Both moves are calls of `copy`."""
    add = combine(1.0, 1.0)
    buffers = (
        vector("x", "input", const(size)),
        vector("y", "output", const(size)),
        vector("s", "state", const(size)),
        vector("t", "temp", const(size), 0, 2),
    )
    kernels = (copy(size, 2, 1), kernel(add, const(size), (2, 0, 3)), copy(size, 3, 2))
    return Program("counted", buffers, kernels, (0,), (1,), (2,), objects={key(add): add}, written=frozenset({2}))


def copy(size: int, source: int, target: int) -> Call:
    """`size` doubles from one buffer to another."""
    return Call("copy", (SizeArg(const(8 * size)), BufferArg(source), BufferArg(target)))
