"""What executes: compiled programs, their memory, their threads, and the cache of what was compiled.

Leans on NumPy and llvmlite and never on the compiler: a program is plain data, and a process that has one in its cache
runs it without compiling anything.
"""

from . import flags
from .binding import threads_for
from .cache import CacheEntry, KernelCache
from .driver import driver, seconds_per_tick
from .errors import (
    CacheWarning,
    IndexLimitError,
    KernelwrightError,
    LayoutError,
    LoadError,
    ProgramError,
    ProgramFileError,
    RuntimeShapeError,
)
from .executable import Executable
from .kernels import Arg, BufferArg, Call, CudaBatchSpec, CudaKernelSpec, Kernel, KernelSpec, SizeArg
from .loaded import LoadedProgram, load_program
from .loader import host_machine, load
from .packing import plan
from .parts import Parts
from .program import BufferSpec, ComputedCheck, IndexCheck, LoopSpec, Program, SizeCheck
from .program_file import read_program, save_program
from .sizes import Poly, describe, evaluate
from .state import State
from .threads import Pool, available_cores, shared_pool

__all__ = [
    "Arg",
    "BufferArg",
    "BufferSpec",
    "CacheEntry",
    "CacheWarning",
    "Call",
    "ComputedCheck",
    "CudaBatchSpec",
    "CudaKernelSpec",
    "Executable",
    "IndexCheck",
    "IndexLimitError",
    "Kernel",
    "KernelCache",
    "KernelSpec",
    "KernelwrightError",
    "LayoutError",
    "LoadError",
    "LoadedProgram",
    "LoopSpec",
    "Parts",
    "Poly",
    "Pool",
    "Program",
    "ProgramError",
    "ProgramFileError",
    "RuntimeShapeError",
    "SizeArg",
    "SizeCheck",
    "State",
    "available_cores",
    "describe",
    "driver",
    "evaluate",
    "flags",
    "host_machine",
    "load",
    "load_program",
    "plan",
    "read_program",
    "save_program",
    "seconds_per_tick",
    "shared_pool",
    "threads_for",
]
