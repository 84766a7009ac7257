"""The matrix unit of Intel's CPUs (AMX): whether this process may use it.

Its tile registers are 8 KB that the system saves with a thread, so Linux hands them to a process only once that has
asked for them (`arch_prctl`, "Using XSTATE features in user space applications" in the kernel's documentation). A
thread that uses them without is killed. Leans on llvmlite for what the CPU has.
"""

from __future__ import annotations

import ctypes
import platform

import llvmlite.binding as llvm

from .locks import once

FEATURES = ("amx-bf16", "amx-tile")
"""In LLVM's names, what code for the unit needs."""

SYSCALL, ASK, TILE_DATA = 158, 0x1023, 18
"""x86-64's number of arch_prctl, ARCH_REQ_XCOMP_PERM, and the state component of tile registers."""


@once
def permitted() -> bool:
    """Has the CPU such a unit, and does the system let this process use it? Asks the system once."""
    features = llvm.get_host_cpu_features()
    if not all(features.get(name) for name in FEATURES) or platform.system() != "Linux":
        return False
    refused = ctypes.CDLL(None).syscall(ctypes.c_long(SYSCALL), ctypes.c_long(ASK), ctypes.c_long(TILE_DATA))
    return int(refused) == 0
