"""Imported by helper processes ahead of their first kernel: Numba, and its tables of what operations mean."""

from . import frontend, operations

operations.cpu()

__all__ = ["frontend"]
