"""Kernelwright: a symbolic compiler from Python to optimized deep-learning kernels you can read.

import kernelwright as kw

The names are those of `public`, which is imported when the first of them is asked for: `kernelwright.runtime` alone
runs programs without the compiler.
"""

# mypy: implicit-reexport

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .runtime.locks import LLVM  # before any thread can fork: the lock then keeps forks out of imports

PACKAGES = ("compiler", "models", "runtime")


def _get(name: str) -> Any:
    """`__version__`, looked up when it is asked for, and the public names, all imported with the first."""
    if name == "__version__":
        from importlib.metadata import version

        return version("kernelwright")
    if name in PACKAGES:
        return import_module(f".{name}", __name__)
    found = {} if name.startswith("_") and name != "__all__" else _public()
    if name == "__all__":
        return list(found)
    if name not in found:
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .models.elsewhere import FUNCTIONS, missing

        raise missing(__name__, name, FUNCTIONS, list(found))
    return found[name]


def _names() -> list[str]:
    return sorted({*_public(), *PACKAGES, *(name for name in globals() if name.startswith("__"))})


def _public() -> dict[str, Any]:
    """The public names, which are from now on the package's own.

    A fork waits until they are imported: a child would find modules that are half there.
    """
    with LLVM:
        public = import_module(".public", __name__)
    names = {name: value for name, value in vars(public).items() if name[0] != "_" and name != "annotations"}
    globals().update(names)
    return names


if TYPE_CHECKING:
    from .public import *

    __version__: str
else:  # a checker knows the names above, and finds those that are none
    __getattr__, __dir__ = _get, _names
