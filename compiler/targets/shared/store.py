"""Where compiled kernels are kept, for every target: the process's cache, and what their functions are called."""

from __future__ import annotations

from typing import Any

from .... import runtime
from ....runtime.locks import once
from ... import config


@once
def kernel_cache() -> runtime.KernelCache:
    """The process's kernel cache."""
    return runtime.KernelCache(limit=config.cache_limit())


def symbol(key: str) -> str:
    """The name of a kernel's function in its object."""
    return f"kw_{key}"


def kept(key: str) -> Any:
    """What is kept of a kernel. Raises LoadError where it is no longer in the cache."""
    parts = kernel_cache().get(key)
    if parts is None:
        raise runtime.LoadError(f"kernel {key} is no longer in the cache; compile the program again to read it")
    return parts
