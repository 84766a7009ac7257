"""Where a kernel's buffers begin: on a boundary of 16 bytes, but for places of sequences, which have no gaps between.

Leans on `build` for the boundary.
"""

from __future__ import annotations

from ...dtypes import ITEMSIZE
from ...loops.kernels import Buffer
from ...shapes import divide, product
from .build import POINTER_ALIGN


def begins_aligned(buffer: Buffer) -> bool:
    """Does the buffer begin on the boundary, at every turn of its loop if it is a slice?"""
    if buffer.whole is None:
        return True
    return divide(product(buffer.shape) * ITEMSIZE[buffer.dtype], POINTER_ALIGN) is not None
