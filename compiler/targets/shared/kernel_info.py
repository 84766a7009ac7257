"""A kernel of a compiled program, for reading: what is known of it on every target.

Leans on `alike_texts` and `kernel_text` for texts with names that are the same in every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from ...graph.node import location
from ...loops.kernels import Kernel
from ...shapes import Dim, nominal, value
from ..base import Source
from .alike_texts import AlikeTexts
from .kernel_text import show


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


def kernel_info(
    kernel: Kernel, key: str, source: Source, kind: type[Info], alike: AlikeTexts | None = None, **more: Any
) -> Info:
    """What there is to read of a scheduled kernel. alike: what was said of the program's others; more: what the
    target's `kind` holds besides."""
    said, (listed, *values) = (alike or AlikeTexts()).of(kernel)
    times: Dim = 1 if kernel.loop is None else kernel.loop.length
    flops, moved = said.flops * times, said.bytes * times
    origins = (e.origin for e in kernel.expressions if e.origin is not None)
    return kind(
        kernel.name,
        key,
        source.pretty(kernel.name),
        listed,
        show(kernel.schedule, kernel),
        tuple(n.op.name for n in kernel.nodes if n.op.kind not in ("source", "movement")),
        kernel.reasons,
        tuple(dict.fromkeys(str(location(n)) for n in kernel.nodes)),
        tuple(f"{b.name} {b.dtype}{b.shape} order {b.order}" for b in source.names.buffers),
        flops,
        moved,
        kernel.cycles * nominal(times) / max(nominal(work(flops, moved)), 1),
        tuple(ValueInfo(text, n.op.name, str(location(n))) for text, n in zip(values, origins, strict=True)),
        times=None if kernel.loop is None else times,
        **more,
    )
