"""Long float32 sums in blocks: how the loops of a reduction are parted, so that no running sum takes many terms.

A running float32 sum of n terms may be wrong by n times half a unit in the last place; 2**24 times 0.1 gives 15 % too
much. A block of terms is summed in float32, and the blocks in float64. Where the blocks end depends on the sizes alone,
not on threads. Leans on `shapes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...loops.expressions import Axis, Condition

TERMS = 1024
"""Terms of a block, which LLVM sums in the lanes of a few vectors."""
LANE_TERMS = 128
"""Terms of a block where each lane is a running sum of its own."""


@dataclass(frozen=True)
class Blocks:
    """Loops outside of the blocks, the axis that is cut into pieces of `size` (None: none is), and those inside."""

    outside: Sequence[Axis]
    along: Axis | None
    size: int
    inside: Sequence[Axis]


def blocks(axes: Sequence[Axis], conditions: Sequence[Condition], most: int) -> Blocks | None:
    """How to sum over `axes`, outermost first, in blocks of at most `most` terms; None where they are no more."""
    first, terms = len(axes), 1
    while first and isinstance(extent := axes[first - 1].extent, int) and terms * extent <= most:
        terms *= max(extent, 1)
        first -= 1
    if not first:
        return None
    along, size = axes[first - 1], most // terms
    if size < 2 or any(along in c.index.axes for c in conditions):  # such a loop has bounds of its own
        return Blocks(axes[:first], None, 1, axes[first:]) if axes[first:] else None
    return Blocks(axes[: first - 1], along, size, axes[first:])
