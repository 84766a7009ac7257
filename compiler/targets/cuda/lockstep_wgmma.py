"""What `wgmma` means in lockstep, and what it may meet: operands read while a product is under way, fences, waits.

Until its group is waited for, a product's sums may not be used, nor its operands be written; what was written to shared
memory may not be multiplied before its writer's `fence_async` and a barrier. Leans on NumPy, on `lockstep_panels` for
addresses.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .lockstep_panels import LockstepError, Panel
from .wgmma import BOX, GROUP, WAITS, WAYS, WIDTHS

if TYPE_CHECKING:
    from .lockstep import Threads

WARPGROUP, ROWS, TERMS, LINE, PIECE = 128, 64, 16, 128, 16
HALF = np.dtype(np.uint16).itemsize


class Products:
    """Products under way: for each group, elements that they read and arrays of sums."""

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        self.groups: list[list[Any]] = [[]]

    def begin(self, width: int, ways: str, sums: Any, a: Panel, b: Panel) -> None:
        self.threads.converged("a product of a warpgroup", WARPGROUP)
        active = self.threads.active().reshape(-1, WARPGROUP)[:, 0]
        left = self._read(a, ways[0] == "t", ROWS, active)
        right = self._read(b, ways[1] == "t", width, active)
        whole = np.einsum("gmk,gnk->gmn", left, right)
        lanes = np.arange(WARPGROUP)
        row = lanes // 32 * 16 + lanes % 32 // 4
        for i in range(width // 2):
            held = whole[:, row + 8 * (i % 4 // 2), lanes % 4 * 2 + i // 4 * 8 + i % 2].reshape(-1)
            before = sums.values[i].astype(np.float64)
            sums.values[i] = np.where(self.threads.active(), before + held, before).astype(np.float32)
        self.groups[-1].append(sums)
        sums.under_way += 1

    def _read(self, at: Panel, along_terms: bool, rows: int, active: np.ndarray) -> np.ndarray:
        """(groups, rows, terms) at an address that all threads of a group share."""
        array = at.shared
        local = self.threads.spread(at.place).reshape(-1, WARPGROUP)
        if (local != local[:, :1]).any() or (local % PIECE).any() or at.first % GROUP:
            raise LockstepError("a product of a warpgroup at several addresses, or at one between pieces of 16 bytes")
        r, k = np.arange(rows)[:, None], np.arange(TERMS)[None, :]
        offset = r * LINE + k * HALF if along_terms else r // ROWS * BOX + k * LINE + r % ROWS * HALF
        bytes_in = local[:, :1, None] + offset[None]
        bytes_in = bytes_in ^ (bytes_in % GROUP // LINE * PIECE)
        if (bytes_in[active] // HALF >= array.count).any():
            raise LockstepError("a product of a warpgroup beyond its panel")
        first = ((self.threads.blocks - array.first) * array.count).reshape(-1, WARPGROUP)[:, :1, None]
        places = (bytes_in // HALF + first)[active].reshape(-1)
        array.access.multiply(places)
        self.groups[-1].append((array.access, places))
        found = np.zeros((len(active), rows, TERMS), np.float32)
        found[active] = (
            (array.access.flat[places].astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(-1, rows, TERMS)
        )
        return found.astype(np.float64)

    def commit(self) -> None:
        self.groups.append([])

    def wait(self, under_way: int) -> None:
        while len(self.groups) - 1 > under_way:
            for each in self.groups.pop(0):
                if isinstance(each, tuple):
                    access, places = each
                    np.subtract.at(access.multiplied, places, 1)
                else:
                    each.under_way -= 1


def functions(threads: Threads) -> dict[str, Any]:
    """The functions by their names in kernel source."""
    products = Products(threads)
    return {
        **{f"wgmma_{n}_{ways}": partial(products.begin, n, ways) for n in WIDTHS for ways in WAYS},
        "wgmma_fence": lambda: None,
        "wgmma_commit": products.commit,
        **{f"wgmma_wait_{n}": partial(products.wait, n) for n in WAITS},
        "fence_async": threads.fence,
    }
