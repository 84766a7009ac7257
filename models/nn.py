"""All layers, as `kw.nn`: the names of the files that define them, gathered."""

# ruff: noqa: F403

from __future__ import annotations

from . import activation_layers, layers
from .activation_layers import *
from .layers import *

__all__ = [*activation_layers.__all__, *layers.__all__]
