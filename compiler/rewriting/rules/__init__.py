"""The tables of rewrite rules, and the one call that applies them.

Common subexpressions are shared by interning and dead code is never reached, so neither needs a table.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...graph.tensor import Tensor
from ..rewrite import Report, Table, rewrite
from . import algebra, folding, gradients, movement, stability, sums

TABLES: tuple[Table, ...] = (
    folding.TABLE,
    stability.TABLE,
    gradients.TABLE,
    movement.TABLE,
    sums.TABLE,
    algebra.TABLE,
)
_ALL = Table("simplify", [rule for table in TABLES for rule in table.rules])


def simplify(outputs: Sequence[Tensor]) -> tuple[list[Tensor], Report]:
    """The outputs with every rule applied until nothing changes, and how often each rule was."""
    return rewrite(outputs, _ALL)


__all__ = ["TABLES", "simplify"]
