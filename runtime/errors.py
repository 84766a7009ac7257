"""The runtime's own exceptions and warnings, under one base class for the whole package.

Leans on nothing. Each error also derives from the built-in class a caller would expect.
"""

from __future__ import annotations


class KernelwrightError(Exception):
    """Base of every error Kernelwright raises on purpose."""


class RuntimeShapeError(KernelwrightError, ValueError):
    """An array's shape does not fit the program it was given to."""


class IndexLimitError(KernelwrightError, ValueError):
    """An integer, of an input or computed, lies outside the range it indexes."""


class LayoutError(KernelwrightError, ValueError):
    """A state's physical order was fixed by one executable and another asks for a different one."""


class ProgramError(KernelwrightError, ValueError):
    """A compiled program that contradicts itself: the fault is the compiler's, not the user's."""


class ProgramFileError(KernelwrightError, RuntimeError):
    """A program's file that cannot be written, read or run here: which file, and why."""


class LoadError(KernelwrightError, RuntimeError):
    """Object code that cannot be linked into this process. `keys` are those of the objects at fault."""

    keys: tuple[str, ...] = ()


class CudaError(KernelwrightError, RuntimeError):
    """A call of the CUDA driver that failed."""


class DeviceMemoryError(KernelwrightError, MemoryError):
    """A GPU has less free memory than a program asks for."""


class CacheWarning(UserWarning):
    """The kernel cache dropped a damaged entry, cannot write, or is refused; the program still runs."""
