"""The CPU as a target: its passes from top to bottom, what kernels cost one core, how they are scheduled and printed.

Leans on `planning` for costs, on the passes it lists, and on `assemble` for the program as data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from .... import runtime
from ... import config
from ...errors import CompileError
from ...graph.node import toposort
from ...graph.tensor import Tensor
from ...loops.kernels import Buffer, Kernel
from ...loops.products import operands
from ...lowering import kernel_order, layout
from ...lowering.joins import part_joins
from ...lowering.merge import merged
from ...lowering.moments import moments_in_one_read
from ...lowering.normalize import normalize
from ...lowering.recompute import Prices, recompute
from ...lowering.shared_reads import shared_reads
from ...lowering.sorted_sums import sorted_sums
from ...lowering.strided_gradients import by_phases
from ...passes import GraphPass, KernelPass, Trace, each
from ...rewriting.rules import simplify
from ...shapes import as_index
from ..base import Compiled, Options, Target
from ..shared import workers
from .alike import Alike
from .assemble import CpuKernelInfo, assemble, environment
from .compiled import Native
from .core import core
from .machine import target as machine
from .numbers import numbers_from_memory
from .parted_sums import in_one_loop, in_parts
from .plane_padding import set_plane_gaps
from .planning import plan_schedule
from .printer import CpuSource
from .schedule_text import overridden
from .winograd import fast_convolutions
from .winograd_maps import mapped

MANY_NODES = 500
"""Graphs of at least so many nodes have kernels enough for helpers, which are started before the passes."""


class Cpu(Target):
    """SIMD kernels for the CPU's cores, run by native threads. What tuning measured is in `tuned`."""

    name = "cpu"
    accepts: ClassVar[frozenset[str]] = frozenset(["threads", "typical", "schedules", "tune"])

    has_loops = True

    def __init__(self, options: Options, index: int = 0) -> None:
        super().__init__(options, index)
        given = options.threads
        if given is not None and (as_index(given) is None or given < 1):
            raise CompileError(f"compile: threads must be an integer of at least 1, not {given!r}")
        self.threads = given or config.threads()
        self.tuned: list[Any] = []
        self.alike = Alike()

    # ------------------------------------------------------------ passes, top to bottom
    def graph_passes(self) -> Sequence[GraphPass]:
        return (
            GraphPass("simplify", simplify),
            GraphPass("fast_convolutions", fast_convolutions),
            GraphPass("sorted_sums", sorted_sums),
            GraphPass("part_joins", part_joins, needed=True),
        )

    def kernel_passes(self) -> Sequence[KernelPass]:
        return (
            KernelPass("recompute", partial(recompute, prices=_prices(), by_rows=True)),
            KernelPass("strided_gradients", each(_by_phases)),
            KernelPass("moments", moments_in_one_read),
            KernelPass("set_orders", partial(layout.set_orders, price=self.price, operands=_operands), needed=True),
            KernelPass("set_plane_gaps", set_plane_gaps),
            KernelPass("long_sums", each(partial(in_parts, plan=self.alike.plan_of_like))),
            KernelPass("shared_reads", partial(shared_reads, runs=partial(in_one_loop, plan=self.alike.plan_of_like))),
            KernelPass("order_kernels", kernel_order.order, needed=True),
            KernelPass("merge_axes", each(merged)),
            KernelPass("schedule", each(self.scheduled), needed=True),
            KernelPass("tune", self._tuned, needed=True),
            KernelPass("override_schedules", partial(overridden, wanted=self.options.schedules), needed=True),
            KernelPass("numbers_from_memory", numbers_from_memory),
        )

    # ------------------------------------------------------------ what the passes ask
    def price(self, kernel: Kernel) -> float:
        """Cycles of one core."""
        return plan_schedule(merged(kernel))[1]

    def scheduled(self, kernel: Kernel) -> Kernel:
        schedule, cycles = self.alike.plan(kernel)
        return replace(kernel, schedule=schedule, cycles=cycles)

    def _tuned(self, kernels: Sequence[Kernel]) -> list[Kernel]:
        """Register tiles by measuring, where the user asked for it."""
        if not self.options.tune:
            return list(kernels)
        from .tuning import tune

        report = self.options.tune if callable(self.options.tune) else None
        kernels, self.tuned = tune(kernels, self.threads, report)
        return kernels

    def print(self, kernel: Kernel) -> CpuSource:
        return self.alike.print(kernel)

    def environment(self) -> str:
        return f"{environment()} {machine()} {core()}"

    # ------------------------------------------------------------ the whole
    def build(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]
    ) -> tuple[runtime.Program, list[CpuKernelInfo], list[Any], Trace]:
        """(program, its kernels for reading, the states it runs over, what each pass did)."""
        if len(toposort([*outputs, *updates.values()])) >= MANY_NODES:
            workers.start(config.helpers())
        planned = self.planned(inputs, outputs, updates)
        program, infos, states = assemble("program", planned, self.print)
        self.alike = Alike()  # what was known of these kernels' plans is of no more use
        return program, infos, states, planned.trace

    def compile(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]
    ) -> Compiled:
        return Native(self, inputs, outputs, updates)


def _prices() -> Prices:
    """What streams of the present CPU's core come from; kernels start on threads that wait for them, and compute in
    vectors. A line that is written is fetched first."""
    on = core()
    return Prices(
        on.held_l2, on.held_l3, on.from_l2, on.from_l3, on.from_memory, launch=500.0, flop=0.1, load=0.0, write=2.0
    )


def _by_phases(kernel: Kernel) -> Kernel:
    """Strided gradients by phases; a map of small tiles wants every pixel's own condition."""
    return kernel if kernel.fact(mapped) is not None else normalize(by_phases(kernel))


def _operands(kernel: Kernel) -> list[Buffer]:
    """What a contraction, or a map of tiles, wants in an order of its own."""
    tiles = kernel.fact(mapped)
    return operands(kernel) or ([] if tiles is None else [tiles.x.data[0]])
