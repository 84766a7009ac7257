"""Object code into this process: ELF bytes in, a function's address out.

Leans on llvmlite's ORC linker, which places an object's sections side by side, as the small code model wants. Objects
loaded at a time are one library, apart from all others, so equal symbol names do not clash; what they call (expf,
memset, sched_yield) is resolved from the process. Code is loaded once per key and never unloaded: threads may still be
inside it when the interpreter exits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import llvmlite
import llvmlite.binding as llvm

from .errors import LoadError
from .locks import LLVM, fork_safe_lock, once

_addresses: dict[tuple[str, str], int] = {}
_lock = fork_safe_lock()
_names = count()


def load(codes: Mapping[tuple[str, str], bytes]) -> dict[tuple[str, str], int]:
    """The address of each symbol in its object, by (content hash of the object, symbol).

    The objects that are new to this process are linked together, which costs a tenth of linking one after the other.
    """
    with _lock:
        new = {name: code for name, code in codes.items() if name not in _addresses}
        while new:
            batch = {symbol: (key, symbol) for key, symbol in reversed(new)}  # one object of each symbol
            try:
                found = link([new[name] for name in batch.values()], list(batch))
            except LoadError:
                found = _one_by_one({name: new[name] for name in batch.values()})
            _addresses.update({batch[symbol]: address for symbol, address in found.items()})
            for name in batch.values():
                del new[name]
        return {name: _addresses[name] for name in codes}


def _one_by_one(codes: Mapping[tuple[str, str], bytes]) -> dict[str, int]:
    """The address of each symbol in its object. Raises LoadError, with the keys of all that cannot be linked."""
    found: dict[str, int] = {}
    failures: dict[str, LoadError] = {}
    for (key, symbol), code in codes.items():
        try:
            found |= link([code], [symbol])
        except LoadError as error:
            failures[key] = error
    if failures:
        first = next(iter(failures.values()))
        first.keys = tuple(failures)
        raise first
    return found


def host_machine(opt: int = 2) -> llvm.TargetMachine:
    """A target machine for this CPU whose objects this loader accepts."""
    initialise()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=opt, reloc="pic")


@once
def initialise() -> None:
    """Set LLVM up for this machine, once per process."""
    if tuple(int(part) for part in llvmlite.__version__.split(".")[:2]) < (0, 45):
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@once
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
        with LLVM:
            tracker = builder.link(_linker(), f"object-{next(_names)}")
    except RuntimeError as error:
        raise LoadError(
            f"cannot link {', '.join(symbols)}: {error}. An object is damaged, made for another machine, lacks the "
            "symbol, or calls a function that this process does not have."
        ) from error
    addresses = {symbol: tracker[symbol] for symbol in symbols}
    tracker.detach()
    return addresses
