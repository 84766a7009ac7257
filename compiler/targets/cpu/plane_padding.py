"""Planes of tiles a little apart, so that they do not fall on the same places of the caches.

A map of small tiles touches 36 planes at one place of each. Planes of a power of two of bytes share a few sets of each
cache, eight lines of which fit; with a line between every two planes they spread over all sets. Leans on
`winograd_maps` for what is a map of tiles, on `core` for a line.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...dtypes import ITEMSIZE
from ...loops import expressions as loops
from ...loops.kernels import Buffer, Kernel
from .core import core
from .winograd_maps import mapped


def set_plane_gaps(kernels: Sequence[Kernel]) -> Sequence[Kernel]:
    """The same kernels; the tiles that they write or read lie in planes with a gap after each (set in place)."""
    for kernel in kernels:
        m = kernel.fact(mapped)
        if m is None:
            continue
        sides = [(s.buffer, s.index) for s in kernel.stores] + [m.x.data]
        for buffer, index in sides:
            points = {d for d, i in enumerate(index) if any(i == loops.at(p) for p in m.points)}
            if buffer.kind == "temp" and len(points) == 2:
                _set_gap(buffer, points)
    return kernels


def _set_gap(buffer: Buffer, points: set[int]) -> None:
    """A gap after each plane, where the points of a tile are what varies slowest."""
    last = max(map(buffer.order.index, points))
    if all(d in points or buffer.shape[d] == 1 for d in buffer.order[: last + 1]):
        buffer.planes, buffer.gap = last + 1, core().line // ITEMSIZE[buffer.dtype]
