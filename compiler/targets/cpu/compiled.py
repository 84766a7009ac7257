"""`kw.compile` for the CPU: a program compiled now, or finished before and read from the cache, and loaded.

The passes are `target`'s. Leans on `saved`, and on the runtime for execution.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .... import runtime
from ... import config
from ...errors import CompileError
from ...graph.limits import limits, size_checks
from ...graph.node import toposort
from ...graph.tensor import Tensor
from ...passes import Trace
from ...shapes import typical
from ...uncollected import uncollected
from ..base import Compiled
from ..shared import saved
from ..shared.kernel_info import KernelInfo
from ..shared.store import kernel_cache
from .assemble import stored_object
from .machine import target as machine

if TYPE_CHECKING:
    from .target import Cpu


class Native(Compiled):
    """The program as native kernels, run in one call."""

    def __init__(
        self, made_by: Cpu, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]
    ):
        super().__init__(inputs, outputs, updates)
        self.threads, self.target = made_by.threads, machine()
        self._make(made_by)
        self.tuned = made_by.tuned

    def _make(self, made_by: Cpu) -> None:
        """Compile and load. A second try follows where another thread's program has fixed the order of a variable's
        axes since this one was planned, and where code from the cache does not link: that is compiled again, once."""
        variables = sum(node.op.name == "variable" for node in toposort([*self.outputs, *self.updates.values()]))
        damaged: set[str] = set()
        moved = 0
        while True:
            try:
                with typical(made_by.options.typical), uncollected():
                    self.program, self.kernels, self._states, self.trace = _build_or_load(
                        made_by, self.inputs, self.outputs, self.updates
                    )
                runnable = self.target.runs_here
                self._executable = runtime.Executable(self.program, self._states, self.threads) if runnable else None
                return
            except runtime.LayoutError:
                for state in self._states:
                    state.chosen_by = None
                moved += 1
                if moved > variables:  # each time one more of them is fixed
                    raise
            except runtime.LoadError as error:
                if not error.keys or damaged.intersection(error.keys):
                    raise
                damaged.update(error.keys)
                for key in error.keys:
                    kernel_cache().drop(key, "its object does not link")

    @property
    def executable(self) -> runtime.Executable:
        """The loaded program. Raises CompileError where it was compiled for a CPU that this machine is not."""
        if self._executable is None:
            raise CompileError(
                f"this program was compiled for {self.target.cpu} ({self.target.triple}), which this machine is not: "
                "its kernels can be read, not run. To run it, compile without KERNELWRIGHT_CPU."
            )
        return self._executable

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        return self.executable.run(self._check(arrays), steps, frozenset(per_step))

    def save(self, path: str | os.PathLike[str]) -> None:
        runtime.save_program(path, self.program, self.target.triple.partition("-")[0], self.target.needs)

    def states(self) -> dict[str, np.ndarray]:
        """The present values of the variables that the program uses, by the names that its file has for them."""
        return {name: state.get() for name, state in zip(self.program.named_states, self._states)}

    def threads_for(self, **sizes: int) -> int:
        """How many of `threads` run a step at these sizes: one, where it has less work than their meetings cost."""
        return runtime.threads_for(self.program, sizes, self.threads)

    def profile(self, *arrays: Any, repeats: int = 10) -> list[float]:
        """Seconds per kernel, in the order of `kernels`; variables end as they began."""
        return self.executable.profile(self._check(arrays), repeats)

    def __str__(self) -> str:
        from ..shared.inspect import table

        return table(self)


def _build_or_load(
    made_by: Cpu, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]
) -> tuple[runtime.Program, Sequence[KernelInfo], list[Any], Trace]:
    """What the passes give, or gave for this graph before (unless values are to be compared between passes, something
    is to be printed, or the user wants other schedules)."""
    options = made_by.options
    plain = config.verify_level() < 2 and not config.print_after() and not options.schedules and not options.tune
    identity = saved.identify(inputs, outputs, updates, options.typical, made_by.environment()) if plain else None
    found = saved.load(identity, stored_object) if identity is not None else None
    if identity is not None:
        for state in identity.states:
            if not state.claimed:
                state.chosen_by = identity.graph
    if found is None:
        program, infos, states, trace = made_by.build(inputs, outputs, updates)
        kept = infos if identity is None else saved.keep(identity, program, infos, states, trace)
        return program, kept, states, trace
    program, listing, states, trace = found
    required = [*outputs, *updates.values()]
    known, rooms = limits(required, inputs), size_checks(required)
    program = replace(program, checks=known.inputs, computed_checks=known.computed, size_checks=rooms)
    return program, listing, states, trace
