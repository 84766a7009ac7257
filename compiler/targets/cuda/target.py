"""NVIDIA GPUs as a target: its passes, what kernels cost the GPU, how they are scheduled and printed.

Leans on `schedule` and `costs` for choices, on `printer` for text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from ...graph.tensor import Tensor
from ...loops.kernels import Kernel
from ...lowering import kernel_order, layout
from ...lowering.moments import moments_in_one_read
from ...lowering.normalize import normalize
from ...lowering.recompute import Prices, recompute
from ...lowering.same_points import same_points
from ...lowering.shared_reads import shared_reads
from ...lowering.strided_gradients import by_phases
from ...passes import GraphPass, KernelPass, each
from ..base import Compiled, Options, Target
from . import build
from .build import Arch
from .contraction import MULTIPROCESSORS
from .costs import seconds
from .padded_channels import padded_channels
from .parts import divided
from .printer import CudaSource, print_kernel
from .schedule import PerStrip, plan_schedule
from .tensor_cores import TensorCoreTiled, check_precision
from .together import together
from .warpgroups import by_warpgroups

LANES = MULTIPROCESSORS * 128
PRICES = Prices(24 << 20, 24 << 20, 3000.0, 3000.0, 1700.0, 2100.0, flop=1 / LANES, load=2 / LANES, write=1.0)
"""What loads cost beside arithmetic, for `recompute`, as an H100 measured it, in cycles of 1.755 GHz: 3.0 TB/s from
memory, 5.3 from the level-2 cache, 1.2 microseconds for the least of kernels in a graph. A multiprocessor computes with
128 lanes and loads with 32, each a word or four neighbouring ones."""


class Cuda(Target):
    """CUDA kernels for GPU number `index`, every step one CUDA graph."""

    name = "cuda"
    accepts: ClassVar[frozenset[str]] = frozenset(["threads", "typical", "precision"])
    has_loops = True

    def __init__(self, options: Options, index: int = 0, arch: Arch = (8, 0)) -> None:
        super().__init__(options, index)
        check_precision(options.precision)
        self.arch = arch

    # ------------------------------------------------------------ passes, top to bottom
    def graph_passes(self) -> Sequence[GraphPass]:
        padded = GraphPass("padded_channels", partial(padded_channels, precision=self.options.precision))
        return (*super().graph_passes(), padded)

    def kernel_passes(self) -> Sequence[KernelPass]:
        return (
            KernelPass("recompute", partial(recompute, prices=PRICES)),
            KernelPass("normalize", each(normalize)),
            KernelPass("strided_gradients", each(_by_phases)),
            KernelPass("moments", moments_in_one_read),
            KernelPass("set_orders", partial(layout.set_orders, price=self.price), needed=True),
            KernelPass("long_sums", each(partial(divided, precision=self.options.precision))),
            KernelPass("shared_reads", partial(shared_reads, runs=_columns)),
            KernelPass("same_points", same_points),
            KernelPass("order_kernels", kernel_order.order, needed=True),
            KernelPass("schedule", each(self.scheduled), needed=True),
            KernelPass("together", together),
        )

    # ------------------------------------------------------------ what the passes ask
    def price(self, kernel: Kernel) -> float:
        """Seconds."""
        return seconds(kernel, self.options.precision)

    def scheduled(self, kernel: Kernel) -> Kernel:
        schedule = plan_schedule(kernel, self.options.precision)
        if self.arch[0] == 9 and isinstance(schedule, TensorCoreTiled):
            schedule = by_warpgroups(schedule, kernel)
        return replace(kernel, schedule=schedule)

    def print(self, kernel: Kernel) -> CudaSource:
        return print_kernel(kernel, kernel.schedule)

    def environment(self) -> str:
        return f"{build.generator()} {build.versions()}"

    # ------------------------------------------------------------ the whole
    def compile(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]
    ) -> Compiled:
        from .compiled import CudaCompiled

        options = self.options
        return CudaCompiled(inputs, outputs, updates, self.index, options.typical, precision=options.precision)


def _by_phases(kernel: Kernel) -> Kernel:
    return normalize(by_phases(kernel))


def _columns(kernel: Kernel) -> int | None:
    """How many neighbouring points a strip of columns has, whose sums are one loop; None of other schedules."""
    schedule = plan_schedule(kernel)
    return schedule.points if isinstance(schedule, PerStrip) else None
