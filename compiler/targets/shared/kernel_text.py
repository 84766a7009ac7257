"""Names of a kernel's axes that are the same in every process: i0, i1, ... of its stores, r0, r1, ... of its sums.

Leans on `kernels`.
"""

from __future__ import annotations

import re

from ...loops.expressions import Axis
from ...loops.kernels import Kernel


def axis_names(kernel: Kernel) -> dict[Axis, str]:
    """The name of every axis of a kernel in the text of its schedule."""
    names = {axis: f"i{i}" for i, axis in enumerate(kernel.axes)}
    sums = dict.fromkeys(x for e in kernel.expressions if e.kind == "reduce" for x in e.data[1])
    return names | {axis: f"r{i}" for i, axis in enumerate(x for x in sums if x not in names)}


def renamed(text: str, kernel: Kernel) -> str:
    """Text about a kernel with its axes' names for the process exchanged for those of `axis_names`."""
    names = kernel.fact(_by_text)
    return re.sub(r"\b[a-z]+\d+\b", lambda word: names.get(word[0], word[0]), text)


def _by_text(kernel: Kernel) -> dict[str, str]:
    return {str(axis): name for axis, name in axis_names(kernel).items()}


def show(schedule: object, kernel: Kernel) -> str:
    """The schedule of a kernel as text."""
    return renamed(str(schedule), kernel)
