"""Object code into this process: ELF bytes in, a function's address out.

Leans on llvmlite's ORC linker, which places an object's sections side by side, as the small code model wants. Objects
loaded at a time are one library, apart from all others, so equal symbol names do not clash; what they call (expf,
memset, sched_yield) is resolved from the process. Code is loaded once per key and never unloaded: threads may still be
inside it when the interpreter exits.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count

import llvmlite
import llvmlite.binding as llvm

from .errors import LoadError

_addresses: dict[tuple[str, str], int] = {}
_lock = threading.Lock()
_names = count()


def load(codes: Mapping[tuple[str, str], bytes]) -> dict[tuple[str, str], int]:
    """The address of each symbol in its object, by (content hash of the object, symbol).

    The objects that are new to this process are linked together, which costs a tenth of linking one after the other.
    """
    with _lock:
        new = {name: code for name, code in codes.items() if name not in _addresses}
        while new:
            batch = {symbol: (key, symbol) for key, symbol in reversed(new)}  # one object of each symbol
            found = _linked({symbol: new[name] for symbol, name in batch.items()})
            _addresses.update({batch[symbol]: address for symbol, address in found.items()})
            for name in batch.values():
                del new[name]
        return {name: _addresses[name] for name in codes}


def _linked(codes: Mapping[str, bytes]) -> dict[str, int]:
    """The address of each symbol in its object; objects that cannot be linked are named one by one."""
    try:
        return link(list(codes.values()), list(codes))
    except LoadError:
        return {symbol: link([code], [symbol])[symbol] for symbol, code in codes.items()}


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


def link(codes: Sequence[bytes], symbols: Sequence[str]) -> dict[str, int]:
    """The addresses of `symbols` in a fresh copy of the objects `codes`, none of which defines what another does."""
    builder = llvm.JITLibraryBuilder().add_current_process()
    for code in codes:
        builder.add_object_img(code)
    for symbol in symbols:
        builder.export_symbol(symbol)
    try:
        tracker = builder.link(_linker(), f"object-{next(_names)}")
    except RuntimeError as error:
        raise LoadError(
            f"cannot link {', '.join(symbols)}: {error}. An object is damaged, made for another machine, lacks the "
            "symbol, or calls a function that this process does not have."
        ) from error
    addresses = {symbol: tracker[symbol] for symbol in symbols}
    tracker.detach()
    return addresses
