"""Scatter-adds into many rows: the sources sorted by their rows first, so that a row looks at its own alone.

A scatter-add in which each row looks at every source reads rows times sources values. Here the positions alone are
compared with each other and with the rows, in whole vectors of integers, which gives the order of the sources (a stable
sort by counting: how many go before each) and where the run of each row starts; then every row sums its run. The
additions of a row stay in the order of the sources, whatever the number of threads. Leans on the rows of ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..graph.ops.elementwise import equal, where
from ..graph.ops.movement import expand_dims, reshape
from ..graph.ops.source import iota
from ..graph.tensor import Tensor, apply
from ..rewriting.rewrite import Any_, Report, Rule, Table, op, rewrite
from ..shapes import nominal, product

WORTH = 1 << 22
"""Values looked at from which on sorting is worth its kernels."""
LANES = 16


def sorted_sums(wanted: Sequence[Tensor]) -> tuple[list[Tensor], Report]:
    """Equal tensors in which large scatter-adds sum sorted sources."""
    return rewrite(wanted, _TABLE)


def _pays(node: Tensor, values: Tensor, at: Tensor) -> bool:
    """Does comparing positions cost less than looking at every value from every row?"""
    rows, sources = nominal(node.attrs.size), nominal(product(at.shape))
    looked_at = nominal(product(node.shape)) * sources
    return at.rank > 0 and looked_at >= WORTH and looked_at > 4 * (rows + 2 * sources) * sources


def _sorted(node: Tensor, values: Tensor, at: Tensor) -> Tensor | None:
    if not _pays(node, values, at):
        return None
    a, size = node.attrs.axis, node.attrs.size
    count = product(at.shape)
    flat = reshape(at, (count,))
    source = iota(count, dtypes.INT32)
    mine, other = expand_dims(flat, (1,)), expand_dims(flat, (0,))
    earlier = equal(other, mine) & (expand_dims(source, (0,)) < expand_dims(source, (1,)))
    rank = _count((other < mine) | earlier)
    here = equal(expand_dims(rank, (0,)), expand_dims(source, (1,)))
    order = apply("sum", (where(here, expand_dims(source, (0,)), 0),), axes=(1,))
    starts = _count(other < expand_dims(iota(size + 1, at.dtype), (1,))).astype(dtypes.INT64)
    lined_up = reshape(values, (*values.shape[:a], count, *values.shape[a + at.rank :]))
    return apply("segment_sum", (lined_up, order, starts), axis=a, size=size)


def _count(truths: Tensor) -> Tensor:
    """How many hold in each row, int32."""
    counted: Tensor = apply("sum", (truths.astype(dtypes.INT32),), axes=(1,))
    return counted


_X: Any = Any_("values")
_AT: Any = Any_("at")
_TABLE = Table("sorted sums", [Rule("scatter-add of sorted sources", op("scatter_add", _X, _AT, bind="node"), _sorted)])
