"""What is known of nodes beside what they are (the user's line, a name), for as long as they live.

By identity: `==` between tensors makes a tensor, so that dictionaries of weak references, which compare what they refer
to, cannot hold them. Leans on nothing.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any, Generic, TypeVar, overload

V = TypeVar("V")
D = TypeVar("D")


class SideTable(Generic[V]):
    """A mapping from objects, by identity, that keeps none of them alive."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[weakref.ref[Any], V]] = {}  # an entry goes before its id can be another's

    def __setitem__(self, key: object, value: V) -> None:
        self._held[id(key)] = weakref.ref(key, partial(self._drop, id(key))), value

    def __getitem__(self, key: object) -> V:
        return self._held[id(key)][1]

    def __contains__(self, key: object) -> bool:
        return id(key) in self._held

    def __len__(self) -> int:
        return len(self._held)

    @overload
    def get(self, key: object) -> V | None: ...

    @overload
    def get(self, key: object, default: D) -> V | D: ...

    def get(self, key: object, default: Any = None) -> Any:
        """What is known of `key`; `default` where nothing is."""
        entry = self._held.get(id(key))
        return default if entry is None else entry[1]

    def _drop(self, key: int, _: object) -> None:
        self._held.pop(key, None)
