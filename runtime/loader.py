"""Object code into this process: ELF bytes in, a function's address out.

Leans on llvmlite's ORC linker, which places an object's sections side by side, as the small code model wants. Each
object is its own library, so equal symbol names do not clash, and what it calls (expf, memset, sched_yield) is resolved
from the process. Code is loaded once per key and never unloaded: threads may still be inside it when the interpreter
exits.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from itertools import count

import llvmlite
import llvmlite.binding as llvm

from .errors import LoadError

_addresses: dict[tuple[str, str], int] = {}
_lock = threading.Lock()
_names = count()


def load(key: str, code: bytes, symbol: str) -> int:
    """The address of `symbol` in the object `code`, whose content hash is `key`."""
    address = _addresses.get((key, symbol))
    if address is None:
        with _lock:
            address = _addresses.get((key, symbol)) or link(code, (symbol,))[symbol]
            _addresses[key, symbol] = address
    return address


def host_machine(opt: int = 2) -> llvm.TargetMachine:
    """A target machine for this CPU whose objects this loader accepts."""
    initialise()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=opt, reloc="pic")


@cache
def initialise() -> None:
    """Set LLVM up for this machine, once per process."""
    if tuple(int(part) for part in llvmlite.__version__.split(".")[:2]) < (0, 45):
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def _linker() -> llvm.orcjit.LLJIT:
    initialise()
    linker = llvm.create_lljit_compiler(host_machine(), use_jit_link=True, suppress_errors=True)
    linker._owned = True  # by the process: never disposed of
    return linker


def link(code: bytes, symbols: Sequence[str]) -> dict[str, int]:
    """The addresses of `symbols` in a fresh copy of the object `code`."""
    builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    for symbol in symbols:
        builder.export_symbol(symbol)
    try:
        tracker = builder.link(_linker(), f"object-{next(_names)}")
    except RuntimeError as error:
        raise LoadError(
            f"cannot link {', '.join(symbols)}: {error}. The object is damaged, made for another machine, lacks the "
            "symbol, or calls a function that this process does not have."
        ) from error
    addresses = {symbol: tracker[symbol] for symbol in symbols}
    tracker.detach()
    return addresses
