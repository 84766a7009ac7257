"""A kernel of a compiled program, for reading: what is known of it on every target.

Leans on `kernel_text` for names that are the same in every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from ...graph.node import location
from ...loops import expressions as loops
from ...loops.expressions import Expr
from ...loops.kernels import Kernel
from ...shapes import Dim, nominal, value
from ..base import Source
from .kernel_text import renamed, show


@dataclass(frozen=True)
class ValueInfo:
    """One value that a kernel computes: what it is of those before it, the op that it is the result of, and the user's
    line."""

    text: str
    op: str
    line: Any

    def __str__(self) -> str:
        return f"{self.text}    {self.op}, {self.line}"


@dataclass(frozen=True)
class KernelInfo:
    """One kernel of a compiled program, for reading. `flops` and `bytes` are per run, for a batch size given. `values`
    are what it computes, in order, each with the user's line that it comes from; `needs` the numbers of the kernels
    whose results it reads. times: how often a loop runs it in one run; None outside of loops."""

    name: str
    key: str
    source: str
    loops: str
    schedule: str
    fused: tuple[str, ...]
    reasons: tuple[str, ...]
    lines: tuple[str, ...]
    buffers: tuple[str, ...]
    flop_count: Dim
    byte_count: Dim
    cycles_each: float = 0.0
    values: tuple[ValueInfo, ...] = ()
    needs: tuple[int, ...] = ()
    times: Dim | None = None

    def flops(self, **sizes: int) -> int:
        return value(self.flop_count, sizes)

    def bytes(self, **sizes: int) -> int:
        return value(self.byte_count, sizes)

    def cycles(self, **sizes: int) -> float:
        """What the cost model predicts for one core: its count at the sizes compiled for, in proportion to the work."""
        return self.cycles_each * value(work(self.flop_count, self.byte_count), sizes)

    @property
    def tile(self) -> str:
        """The tiles that the source calls by name, as Python that says the same; "" where it calls none."""
        return ""

    @property
    def llvm(self) -> str:
        """The optimised LLVM IR, where the target keeps it."""
        raise NotImplementedError

    @property
    def asm(self) -> str:
        """The assembly."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.source


def work(flops: Dim, bytes: Dim) -> Dim:
    """What a kernel's time is taken to grow with: its flops, or its bytes where it has none."""
    return flops if nominal(flops) else bytes


Info = TypeVar("Info", bound=KernelInfo)


def kernel_info(kernel: Kernel, key: str, source: Source, kind: type[Info], **more: Any) -> Info:
    """What there is to read of a scheduled kernel. more: what the target's `kind` holds besides."""
    lines = dict.fromkeys(str(location(n)) for n in kernel.nodes)
    stores = kernel.stores_text()
    times: Dim = 1 if kernel.loop is None else kernel.loop.length
    flops, moved = kernel.flops() * times, kernel.bytes() * times
    space = "for " + ", ".join(f"{a} < {a.extent}" for a in kernel.axes) + ":\n" if kernel.axes else ""
    return kind(
        kernel.name,
        key,
        source.pretty(kernel.name),
        renamed(space + "\n".join(("    " if space else "") + line for line in stores.splitlines()), kernel),
        show(kernel.schedule, kernel),
        tuple(n.op.name for n in kernel.nodes if n.op.kind not in ("source", "movement")),
        kernel.reasons,
        tuple(lines),
        tuple(f"{b.name} {b.dtype}{b.shape} order {b.order}" for b in source.names.buffers),
        flops,
        moved,
        kernel.cycles * nominal(times) / max(nominal(work(flops, moved)), 1),
        _values(kernel),
        times=None if kernel.loop is None else times,
        **more,
    )


def _values(kernel: Kernel) -> tuple[ValueInfo, ...]:
    """Each expression that is the value of a node, by number: `v2 = sub(v0, v1)`."""
    names: dict[Expr, str] = {}
    found = []
    for e in kernel.expressions:
        if e.origin is not None:
            text = renamed(f"v{len(names)} = {loops.show(e, names)}", kernel)
            found.append(ValueInfo(text, e.origin.op.name, str(location(e.origin))))
            names[e] = f"v{len(names)}"
    return tuple(found)
