"""Updates that come with a value: what a layer in training mode leaves in its variables whenever its value is computed.

A layer notes them here under a node that only a training pass has; `kw.compile` adds those whose node is in its graph
and whose variable nobody updates otherwise. Leans on `graph` for the walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from .node import toposort
from .side_table import SideTable
from .tensor import Tensor

_NOTED: SideTable[tuple[int, dict[Tensor, Tensor]]] = SideTable()
_ORDER = count()


def accompany(node: Tensor, updates: Mapping[Tensor, Tensor]) -> None:
    """Programs that compute `node` also leave these values in these variables. No update may be made of `node`."""
    _NOTED[node] = next(_ORDER), dict(updates)


def with_companions(outputs: Iterable[Tensor], updates: Mapping[Tensor, Tensor]) -> dict[Tensor, Tensor]:
    """The updates, and those that come with what is computed, for variables that `updates` leaves out.

    Where two nodes would leave something in one variable, as for a layer called twice, the later one does.
    """
    found = [noted for node in toposort([*outputs, *updates.values()]) if (noted := _NOTED.get(node)) is not None]
    out: dict[Tensor, Tensor] = {}
    for _, new in sorted(found, key=lambda noted: noted[0]):
        out.update(new)
    return {**out, **updates}
