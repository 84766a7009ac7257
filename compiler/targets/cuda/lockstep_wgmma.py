"""What `wgmma` means in lockstep, and what it may meet: operands read while a product is under way, fences, waits.

Until its group is waited for, a product's sums may not be used, nor its operands be written; what was written to shared
memory may not be multiplied before its writer's `fence_async` and a barrier. Leans on NumPy, on `lockstep_panels` for
addresses.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .lockstep_memory import LockstepError, Threads
from .lockstep_panels import Panel
from .mma import GROUP as GROUP_OF_LANE
from .mma import QUAD, cut_tf32
from .wgmma import BOX, GROUP, TF32_WIDTHS, WAITS, WAYS, WIDTHS

WARPGROUP, ROWS, TERMS, LINE, PIECE = 128, 64, 16, 128, 16


class Products:
    """Products under way: for each group, what takes note of it, and the places there that it uses."""

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        self.groups: list[list[tuple[np.ndarray, Any]]] = [[]]

    def begin(self, width: int, ways: str, sums: Any, a: Panel, b: Panel) -> None:
        """bfloat16, both operands in shared memory."""
        active = self._active()
        left = self._read(a, ways[0] == "t", ROWS, TERMS, active)
        right = self._read(b, ways[1] == "t", width, TERMS, active)
        self._add(left @ right.transpose(0, 2, 1), sums, 0)

    def begin_tf32(self, width: int, sums: Any, first: int, part: Any, part_first: int, b: Panel) -> None:
        """tf32, one operand in the fragments of each warp."""
        active = self._active()
        words = [cut_tf32(part[part_first + i]).reshape(-1, WARPGROUP // 32, 32) for i in range(4)]
        self._use(part, part_first, 4)
        left = np.zeros((len(active), WARPGROUP // 32, 16, TERMS // 2))
        for i, held in enumerate(words):
            left[:, :, GROUP_OF_LANE + 8 * (i % 2), QUAD + 4 * (i // 2)] = held
        right = self._read(b, True, width, TERMS // 2, active)
        self._add(left.reshape(-1, ROWS, TERMS // 2) @ right.transpose(0, 2, 1), sums, first)

    def _active(self) -> np.ndarray:
        self.threads.converged("a product of a warpgroup", WARPGROUP)
        return self.threads.active().reshape(-1, WARPGROUP)[:, 0]

    def _add(self, whole: np.ndarray, sums: Any, first: int) -> None:
        """(groups, rows, columns) to the sums, which are in use from now on."""
        lanes = np.arange(WARPGROUP)
        row = lanes // 32 * 16 + lanes % 32 // 4
        count = whole.shape[2] // 2
        for i in range(count):
            held = whole[:, row + 8 * (i % 4 // 2), lanes % 4 * 2 + i // 4 * 8 + i % 2].reshape(-1)
            before = sums.values[first + i].astype(np.float64)
            sums.values[first + i] = np.where(self.threads.active(), before + held, before).astype(np.float32)
        self._use(sums, first, count)

    def _use(self, registers: Any, first: int, count: int) -> None:
        registers.under_way[first : first + count] += 1
        self.groups[-1].append((registers.under_way, slice(first, first + count)))

    def _read(self, at: Panel, along_terms: bool, rows: int, terms: int, active: np.ndarray) -> np.ndarray:
        """(groups, rows, terms) at an address that all threads of a group share."""
        array = at.shared
        size = array.access.flat.itemsize
        local = self.threads.spread(at.place).reshape(-1, WARPGROUP)
        if (local != local[:, :1]).any() or (local % PIECE).any() or at.first % GROUP:
            raise LockstepError("a product of a warpgroup at several addresses, or at one between pieces of 16 bytes")
        r, k = np.arange(rows)[:, None], np.arange(terms)[None, :]
        offset = r * LINE + k * size if along_terms else r // ROWS * BOX + k * LINE + r % ROWS * size
        bytes_in = local[:, :1, None] + offset[None]
        bytes_in = bytes_in ^ (bytes_in % GROUP // LINE * PIECE)
        if (bytes_in[active] // size >= array.count).any():
            raise LockstepError("a product of a warpgroup beyond its panel")
        first = ((self.threads.blocks - array.first) * array.count).reshape(-1, WARPGROUP)[:, :1, None]
        places = (bytes_in // size + first)[active].reshape(-1)
        array.access.multiply(places)
        self.groups[-1].append((array.access.multiplied, places))
        found = np.zeros((len(active), rows, terms))
        found[active] = _numbers(array.access.flat[places]).reshape(-1, rows, terms)
        return found

    def commit(self) -> None:
        self.groups.append([])

    def wait(self, under_way: int) -> None:
        while len(self.groups) - 1 > under_way:
            for counts, places in self.groups.pop(0):
                np.subtract.at(counts, places, 1)


def _numbers(elements: np.ndarray) -> np.ndarray:
    """What a tensor core takes of words of bfloat16, and of float32 as tf32."""
    if elements.itemsize == 2:
        return (elements.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    result: np.ndarray = cut_tf32(elements.view(np.uint32))
    return result


def functions(threads: Threads) -> dict[str, Any]:
    """The functions by their names in kernel source."""
    products = Products(threads)
    return {
        **{f"wgmma_{n}_{ways}": partial(products.begin, n, ways) for n in WIDTHS for ways in WAYS},
        **{f"wgmma_tf32_{n}": partial(products.begin_tf32, n) for n in TF32_WIDTHS},
        "wgmma_fence": lambda: None,
        "wgmma_commit": products.commit,
        **{f"wgmma_wait_{n}": partial(products.wait, n) for n in WAITS},
        "thread_again": lambda: threads.ids % threads.block_size,
        "block_again": lambda: threads.blocks,
        "fence_async": threads.fence,
    }
