"""Every error the compiler shows a user: what failed, their shapes, their line, and a way out.

Leans on the runtime's base class, so that `except kw.KernelwrightError` catches all of them.
"""

from __future__ import annotations

from ..runtime.errors import KernelwrightError


class ShapeError(KernelwrightError, ValueError):
    """Shapes that do not fit the operation."""


class DTypeError(KernelwrightError, TypeError):
    """Element types that do not fit the operation."""


class GradientError(KernelwrightError, ValueError):
    """A derivative was asked for that does not exist."""


class CompileError(KernelwrightError, ValueError):
    """A program that cannot be compiled as asked."""


class InputError(KernelwrightError, ValueError):
    """Values given to a compiled program that it cannot take."""
