"""Cubins in the kernel cache, with their PTX and logs: by kernel, and by the versions of what made them.

Looked for first is what the packages here make. What other versions made is as right, since a kernel's key says its
source, its architecture and this code generator. It is taken where nothing can be compiled here, and where the cache
was filled for other machines (`share`); elsewhere a new version of a package compiles anew, as its user expects.
One entry of the cache lists the makers. Leans on `build` for versions and on the cache.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

from .... import runtime
from ..shared.store import kernel_cache
from . import build

LIST = "cuda-makers"


def makers() -> list[str]:
    """Names of those whose cubins may be used here, in the order in which they are looked for."""
    anyone = bool(build.missing_parts())
    others = [name for name, about in _listed().items() if about["shared"] or anyone]
    return list(dict.fromkeys([_name(), *others]))


def find(key: str, of: Sequence[str]) -> Any:
    """The parts kept of a kernel by the first of these makers who has it, or None."""
    for maker in of:
        parts = kernel_cache().get(_place(key, maker))
        if parts is not None:
            return parts
    return None


def cubin(parts: Any) -> bytes:
    """The machine code."""
    return zlib.decompress(parts["cubin"])


def kept(key: str) -> Any:
    """What is kept of a kernel. Raises LoadError where it is no longer in the cache."""
    parts = find(key, makers())
    if parts is None:
        raise runtime.LoadError(f"kernel {key} is no longer in the cache; compile the program again to read it")
    return parts


def keep(key: str, code: bytes, built: build.Code, source: str) -> None:
    """Keep a kernel that was compiled here."""
    parts: dict[str, bytes | str] = {"cubin": zlib.compress(code), "ptx": built.ptx, "log": built.log, "source": source}
    kernel_cache().put(_place(key, _name()), parts)


def share(everywhere: bool = False) -> None:
    """Enter the packages here among the makers. everywhere: for machines with other versions of them too."""
    listed = _listed()
    known = listed.get(_name())
    if known is None or (everywhere and not known["shared"]):
        listed[_name()] = {"versions": build.versions(), "shared": everywhere}
        kernel_cache().put(LIST, {"makers": json.dumps(listed)})


def _listed() -> dict[str, Any]:
    parts = kernel_cache().get(LIST)
    listed: dict[str, Any] = {} if parts is None else json.loads(str(parts["makers"]))
    return listed


def _name() -> str:
    """Of the packages here."""
    return hashlib.sha256(build.versions().encode()).hexdigest()[:12]


def _place(key: str, maker: str) -> str:
    return f"{key}-{maker}"
