"""What this machine can do at most, measured: multiply-adds per second from registers, bytes per second from memory.

The multiply-adds are a loop of independent vector FMAs written as LLVM IR, so that neither a compiler's choices nor a
library's are measured. Leans on the runtime's loader and on llvmlite.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import llvmlite.binding as llvm
import numpy as np

from ..compiler.targets.cpu.core import core
from ..compiler.targets.cpu.machine import target
from ..compiler.targets.shared.inspect import Roofline
from ..runtime.loader import host_machine, link

CHAINS = 12
"""Independent accumulators: more than latency times FMAs per cycle on any core, fewer than 16 registers."""
LOOPS = 4_000_000
STREAM = 16 * 2**20
"""Floats per array and thread of the memory test: 64 MiB, past any cache share of a core."""
STREAMS = (2**16, 2**18, 2**20, 2**22)
"""Floats per array and thread of shorter streams, from a second cache's 0.75 MiB in all to 48 MiB."""


@cache
def measure(threads: int, repeats: int = 20) -> Roofline:
    """The best of `repeats` runs on `threads` threads at once."""
    flops = multiply_adds(threads, repeats)
    cycle = 2 * target().lanes("float32") * threads / flops / core().kept_up
    streams = tuple((12 * count * threads, _streaming(count, threads, repeats)) for count in STREAMS)
    return Roofline(threads, flops, _streaming(STREAM, threads, repeats), cycle, streams)


def _streaming(count: int, threads: int, repeats: int) -> float:
    """Bytes per second of sums of two arrays of so many floats per thread into a third, again and again."""
    arrays = [[np.ones(count, "float32") for _ in range(3)] for _ in range(threads)]
    again = max(STREAM // 4 // count, 1)

    def stream(i: int) -> None:
        a, b, c = arrays[i]
        for _ in range(again):
            np.add(a, b, out=c)

    return 3 * 4 * count * again * threads / _best(stream, threads, repeats)


def multiply_adds(threads: int, repeats: int = 20) -> float:
    """Floating point operations per second, two per float32 multiply-add, measured anew in every call."""
    run, operations = _fma()
    return operations * threads / _best(lambda i: run(LOOPS, 1.0), threads, repeats)


def repeats(seconds: float, most: int, enough: float = 2.0) -> int:
    """How often to repeat what takes `seconds`: for `enough` seconds, at least 3 times and at most `most`."""
    return int(min(max(enough / max(seconds, 1e-9), 3), most))


def _best(work: Callable[[int], object], threads: int, repeats: int) -> float:
    """The least seconds in which every one of `threads` threads does its share."""
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats + 1):  # the first wakes the threads and touches the memory
            started = time.perf_counter()
            list(pool.map(work, range(threads)))
            seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


@cache
def _fma() -> tuple[Callable[[int, float], float], float]:
    """(a native function of loops and a number, floating point operations of one call with LOOPS)."""
    lanes = target().lanes("float32")
    module = llvm.parse_assembly(_text(lanes))
    module.verify()
    library = link([host_machine(3).emit_object(module)], ["kw_peak"])
    library.keep()
    function = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float)(library.addresses["kw_peak"])
    return function, 2.0 * lanes * CHAINS * LOOPS


def _text(lanes: int) -> str:
    """LLVM IR: `float kw_peak(int64 loops, float x)`, every loop one FMA on each of CHAINS vectors."""
    vector, chains = f"<{lanes} x float>", range(CHAINS)
    lines = [
        f"declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})",
        "define float @kw_peak(i64 %loops, float %x) {",
        "entry:",
        f"  %one = insertelement {vector} undef, float %x, i32 0",
        f"  %v = shufflevector {vector} %one, {vector} undef, <{lanes} x i32> zeroinitializer",
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [0, %entry], [%next, %loop]",
        *(f"  %a{k} = phi {vector} [zeroinitializer, %entry], [%b{k}, %loop]" for k in chains),
        *(f"  %b{k} = call {vector} @llvm.fma.v{lanes}f32({vector} %a{k}, {vector} %v, {vector} %v)" for k in chains),
        "  %next = add i64 %i, 1",
        "  %more = icmp slt i64 %next, %loops",
        "  br i1 %more, label %loop, label %done",
        "done:",
        f"  %s0 = fadd {vector} %b0, zeroinitializer",
        *(f"  %s{k} = fadd {vector} %s{k - 1}, %b{k}" for k in chains if k),
        f"  %r = extractelement {vector} %s{CHAINS - 1}, i32 0",
        "  ret float %r",
        "}",
    ]
    return "\n".join(lines)
