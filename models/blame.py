"""Errors raised inside a network say which layer they come from, and end with the user's line.

Leans on the graph's record of where the user's code is.
"""

from __future__ import annotations

import re

from ..compiler.graph.node import user_location
from ..runtime.errors import KernelwrightError

LINE = re.compile(r"\bat [^\n]+:\d+")


def blame_layer(error: KernelwrightError, kind: str) -> None:
    """Name the layer of this class, whose scope is the one in force; the innermost that an error passes is the one."""
    if hasattr(error, "layer"):
        return
    here = user_location()
    layer = f"{here.scope} ({kind})" if here.scope else kind
    text = str(error)
    error.args = (f"{layer}: {text}" if LINE.search(text) else f"{layer}: {text}\n  at {here}",)
    error.layer = layer  # type: ignore[attr-defined]


def blame_network(error: KernelwrightError, name: str) -> None:
    """Name the network besides the layer."""
    if hasattr(error, "layer") and not hasattr(error, "network"):
        error.args = (f"{name}, {error}",)
        error.network = name  # type: ignore[attr-defined]
