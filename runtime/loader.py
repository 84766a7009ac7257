"""Object code into this process: ELF bytes in, a function's address out.

Leans on llvmlite's ORC linker, which places an object's sections side by side, as the small code model wants. Objects
loaded at a time are one library, apart from all others, so equal symbol names do not clash; what they call (expf,
memset, sched_yield) is resolved from the process. Code is loaded once per key while anyone holds its library. A library
that nobody holds any more is unmapped when the next one is loaded, rather than at once, which might be in the middle of
LLVM's own work; and never while the interpreter exits, when threads may still be inside.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from typing import NamedTuple

import llvmlite
import llvmlite.binding as llvm

from .errors import LoadError
from .locks import LLVM, fork_safe_lock, once


class Library:
    """Objects linked together, mapped for as long as this is held. `addresses` are those of its symbols."""

    def __init__(self, tracker: llvm.orcjit.ResourceTracker, symbols: Sequence[str]) -> None:
        self.addresses: dict[str, int] = {symbol: tracker[symbol] for symbol in symbols}
        self._end = weakref.finalize(self, _unheld.append, tracker)
        self._end.atexit = False

    def keep(self) -> None:
        """Leave it mapped for as long as the process lives."""
        ended = self._end.detach()
        if ended is not None:
            ended[2][0].detach()


class Loaded(NamedTuple):
    """The address of each symbol in its object, by (content hash of the object, symbol), and what to hold meanwhile."""

    addresses: dict[tuple[str, str], int]
    libraries: tuple[Library, ...]


_libraries: weakref.WeakValueDictionary[tuple[str, str], Library] = weakref.WeakValueDictionary()
_unheld: deque[llvm.orcjit.ResourceTracker] = deque()
_lock = fork_safe_lock()
_names = count()


def load(codes: Mapping[tuple[str, str], bytes]) -> Loaded:
    """The objects that are new to this process are linked together, which costs a tenth of linking one after the other.

    Raises LoadError, with the keys at fault, where one of them cannot be linked.
    """
    with _lock:
        held = {name: _libraries.get(name) for name in codes}
        new = {name: code for name, code in codes.items() if held[name] is None}
        while new:
            batch = {symbol: (key, symbol) for key, symbol in reversed(new)}  # one object of each symbol
            try:
                library = link([new[name] for name in batch.values()], list(batch))
            except LoadError:
                _raise_for_culprits({name: new[name] for name in batch.values()})
                raise
            for name in batch.values():
                _libraries[name] = held[name] = library
                del new[name]
        found = {name: library for name, library in held.items() if library is not None}
        addresses = {name: library.addresses[name[1]] for name, library in found.items()}
        return Loaded(addresses, tuple(dict.fromkeys(found.values())))


def _raise_for_culprits(codes: Mapping[tuple[str, str], bytes]) -> None:
    """Link objects one by one, and raise LoadError with the keys of those that cannot be."""
    failures: dict[str, LoadError] = {}
    for (key, symbol), code in codes.items():
        try:
            link([code], [symbol])
        except LoadError as error:
            failures[key] = error
    if failures:
        first = next(iter(failures.values()))
        first.keys = tuple(failures)
        raise first


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


def link(codes: Sequence[bytes], symbols: Sequence[str]) -> Library:
    """A fresh copy of the objects `codes`, none of which defines what another does; it gives out `symbols`."""
    builder = llvm.JITLibraryBuilder().add_current_process()
    for code in codes:
        builder.add_object_img(code)
    for symbol in symbols:
        builder.export_symbol(symbol)
    with LLVM:
        while _unheld:
            _unheld.popleft().close()
        try:
            tracker = builder.link(_linker(), f"object-{next(_names)}")
        except RuntimeError as error:
            raise LoadError(
                f"cannot link {', '.join(symbols)}: {error}. An object is damaged, made for another machine, lacks "
                "the symbol, or calls a function that this process does not have."
            ) from error
        return Library(tracker, symbols)
