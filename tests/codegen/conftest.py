"""Loads built kernels with llvmlite alone, and calls them with NumPy arrays and sizes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from kernelwright.compiler.targets.cpu.llvm.build import Built, build

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class Kernel:
    """A loaded kernel; calling it builds the table from arrays and integers."""

    def __init__(self, built: Built) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine()
        self.built = built
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(built.object))
        self.engine.finalize_object()
        self.function = SIGNATURE(self.engine.get_function_address(built.symbol))

    def __call__(self, *slots: Any, thread: int = 0, threads: int = 1) -> None:
        for each in slots:
            assert not isinstance(each, np.ndarray) or each.flags.c_contiguous
        table = [each.ctypes.data if isinstance(each, np.ndarray) else each for each in slots]
        words = np.array(table, np.int64)
        self.function(words.ctypes.data, thread, threads)


@pytest.fixture(scope="session")
def kernel() -> Callable[[str, str], Kernel]:
    """`kernel(source, name)` builds once for each source and loads."""
    known: dict[tuple[str, str], Kernel] = {}

    def load(source: str, name: str) -> Kernel:
        if (source, name) not in known:
            known[source, name] = Kernel(build(source, name))
        return known[source, name]

    return load
