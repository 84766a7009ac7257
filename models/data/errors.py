"""The error of every reader: which file, and what is wrong with it."""

from __future__ import annotations

from ...runtime.errors import KernelwrightError


class DataError(KernelwrightError, ValueError):
    """A data set that is missing, damaged or not what it should be."""
