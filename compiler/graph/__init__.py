"""Expressions of tensors. Tensors call ops and ops make tensors, so their modules are imported here, in an order that
suits both, whichever is asked for first."""

from . import functions

__all__ = ["functions"]
