"""What every form of a kernel needs: this thread's share of a space of axes, and the stores at one of its points.

Leans on `writer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...loops.expressions import Axis
from ...loops.kernels import Kernel
from ...shapes import Dim
from ..shared.writer import Writer


def share(n: str) -> str:
    return f"range({n} * thread // threads, {n} * (thread + 1) // threads)"


class parallel:
    """This thread's share of a space of several axes: one loop over their product, taken apart at its head."""

    def __init__(self, w: Writer, parts: Sequence[tuple[Axis | str, str]]):
        self.w, self.parts = w, parts

    def __enter__(self) -> None:
        w = self.w
        if not self.parts:
            self.nest = w.nest("if thread == 0:", conditional=True)
            self.nest.__enter__()
            return
        total = product(self.parts)
        bound = [x for x, _ in self.parts if isinstance(x, Axis)]
        if len(self.parts) == 1:
            name = _part_name(w, self.parts[0][0])
            self.nest = w.nest(f"for {name} in {share(total if total.isalnum() else f'({total})')}:", *bound)
            self.nest.__enter__()
            return
        w.line(f"work = {total}")
        self.nest = w.nest(f"for p in {share('work')}:", *bound)
        self.nest.__enter__()
        take_apart(w, "p", self.parts)

    def __exit__(self, *error: object) -> None:
        self.nest.__exit__(None, None, None)


def product(parts: Sequence[tuple[Axis | str, str]]) -> str:
    return " * ".join(c if c.isidentifier() or c.isdigit() or len(parts) == 1 else f"({c})" for _, c in parts)


def take_apart(w: Writer, place: str, parts: Sequence[tuple[Axis | str, str]]) -> None:
    """The number of each part from the number of their combination, the last running fastest."""
    w.line(f"rest = {place}")
    for what, count in reversed(parts[1:]):
        divisor = count if count.isidentifier() or count.isdigit() else f"({count})"
        w.line(f"{_part_name(w, what)} = rest % {divisor}")
        w.line(f"rest = rest // {divisor}")
    w.line(f"{_part_name(w, parts[0][0])} = rest")


def _part_name(w: Writer, what: Axis | str) -> str:
    if isinstance(what, Axis):
        return w.axis_names.get(what) or w.bind(what, w.fresh("o"))
    return what


def write_stores(kernel: Kernel, w: Writer) -> None:
    """The stores at one point. With several, every value is computed before the first store."""
    texts = []
    for s in kernel.stores:
        text = w.value(s.value)
        if len(kernel.stores) > 1 and not text.isidentifier():
            name = w.fresh("v")
            w.line(f"{name} = {text}")
            w.levels[-1].values[s.value] = text = name
        texts.append(text)
    for s, text in zip(kernel.stores, texts):
        w.line(f"{w.names.buffer(s.buffer)}[{w.index(s.buffer.address(s.index))}] = {text}")


def blocks(w: Writer, extent: Dim, size: int) -> str:
    if isinstance(extent, int):
        return w.names.size(-(-extent // size))
    return f"({w.names.size(extent)} + {size - 1}) // {size}"
