"""Schedules and texts of kernels that are alike: each is found for one of them, and carried over to the others.

A network of a thousand layers has about as many distinct kernels as one of twenty. Kernels are alike here where all
that a schedule or a printed text depends on is the same: the form, where buffers lie and of what kind they are, and the
matrix of a map of tiles. One `Alike` serves one compilation, as costs depend on its typical sizes. Leans on `planning`
and `printer`.
"""

from __future__ import annotations

from ...loops.form import Renaming, form
from ...loops.kernels import Kernel
from ..shared.names import Names
from .planning import plan_schedule
from .printer import CpuSource, print_kernel
from .schedule import Schedule
from .winograd_maps import mapped

Key = tuple[object, ...]


def likeness(kernel: Kernel) -> Key:
    """What is equal for kernels that are alike."""
    f, m = kernel.fact(form), kernel.fact(mapped)
    places = tuple((b.kind, b.order, b.planes, b.gap) for b in f.buffers)
    return f.text, places, m and m.matrix


class Alike:
    """What is known of kernels, by likeness."""

    def __init__(self) -> None:
        self._plans: dict[Key, tuple[Kernel, Schedule, float]] = {}
        self._texts: dict[Key, tuple[Kernel, CpuSource]] = {}
        self._chosen: dict[int, tuple[Schedule, Key]] = {}
        """By identity: the schedules that were given out, and for which likeness each was found."""

    def plan(self, kernel: Kernel) -> tuple[Schedule, float]:
        """As `plan_schedule`."""
        key = likeness(kernel)
        first, schedule, cycles = self._known(kernel, key)
        if first is not kernel:
            schedule = Renaming(first, kernel).of(schedule)
        self._chosen[id(schedule)] = schedule, key
        return schedule, cycles

    def plan_of_like(self, kernel: Kernel) -> Schedule:
        """The schedule of a kernel like this one, maybe over that one's axes."""
        return self._known(kernel, likeness(kernel))[1]

    def _known(self, kernel: Kernel, key: Key) -> tuple[Kernel, Schedule, float]:
        if key not in self._plans:
            self._plans[key] = (kernel, *plan_schedule(kernel))
        return self._plans[key]

    def print(self, kernel: Kernel) -> CpuSource:
        """As `print_kernel`; of a schedule that was not given out here, the text is written anew."""
        schedule, key = self._chosen.get(id(kernel.schedule), (None, ()))
        if schedule is not kernel.schedule:
            return print_kernel(kernel)
        key = (*key, *likeness(kernel))  # the stores may have changed since, as by `numbers_from_memory`
        if key not in self._texts:
            self._texts[key] = kernel, print_kernel(kernel)
        first, source = self._texts[key]
        if first is kernel:
            return source
        names, other = Names(), dict(zip(first.fact(form).buffers, kernel.fact(form).buffers, strict=True))
        names.sizes = dict(source.names.sizes)
        names.buffers = {other[b]: name for b, name in source.names.buffers.items()}
        return CpuSource(source.text, names)
