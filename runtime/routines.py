"""The routines that a program may call besides its generated kernels, as native code.

A routine has the kernels' signature and shares its work among the threads as they do; it meets nobody. `kernels` lists
them. Leans on `native`, which compiles all of them when the first is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llvmlite import ir

from .kernels import ROUTINES
from .loader import host_machine
from .locks import once
from .native import I64, VOID, Function, linked


def _copy(make: Function) -> None:
    table, thread, threads = make.arguments
    count, source, target = (make.get(table, slot) for slot in range(3))
    start = make.sdiv(make.mul(count, thread), threads)
    end = make.sdiv(make.mul(count, make.add(thread, I64(1))), threads)
    byte = ir.IntType(8).as_pointer()
    memcpy = make.external("memcpy", byte, [byte, byte, I64])
    places = [make.inttoptr(make.add(base, start), byte) for base in (target, source)]
    make.call(memcpy, [*places, make.sub(end, start)])


_BODIES: Mapping[str, Callable[[Function], None]] = {"copy": _copy}


@once
def addresses() -> Mapping[str, int]:
    """Where each routine lies in this process."""
    module = ir.Module("kernelwright-routines")
    module.triple = host_machine().triple
    for name in ROUTINES:
        make = Function(module, symbol(name), VOID, ["table", "thread", "threads"])
        _BODIES[name](make)
        make.ret_void()
    library = linked("routines", str(module), [symbol(name) for name in ROUTINES])
    library.keep()
    return {name: library.addresses[symbol(name)] for name in ROUTINES}


def symbol(name: str) -> str:
    return f"kw_routine_{name}"
