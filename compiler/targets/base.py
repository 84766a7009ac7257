"""What a target is: the machine that a program is compiled for, as the pipeline sees it.

A target lists its passes over the graph and over kernels, says what a kernel costs, schedules and prints kernels, and
makes of the whole something that runs. What it does not say is the same for all: `Target`'s own lists of passes are
enough for one that only schedules and prints. Leans on `passes` and on the lowering.
"""

from __future__ import annotations

import html
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np

from ... import runtime
from ..errors import CompileError
from ..graph.arguments import check_arrays
from ..graph.body import body_of, in_bodies
from ..graph.copies import Row, as_rows, from_rows
from ..graph.limits import Limits, limits, size_checks
from ..graph.node import location, toposort
from ..graph.tensor import Tensor
from ..loops.kernels import Buffer, Kernel
from ..lowering import kernel_order, layout
from ..lowering.joins import part_joins
from ..lowering.normalize import normalize
from ..lowering.program import in_kernels
from ..passes import GraphPass, KernelPass, Trace, each, run_graph_passes, run_kernel_passes
from ..rewriting.rules import simplify

Progress = Callable[[str, int, int], None]
"""Called with a kernel's name, how many kernels are tuned, and of how many."""


@dataclass(frozen=True)
class Options:
    """What a user asks of a compilation besides the graph; a target refuses those that it does not list."""

    threads: int | None = None
    typical: Mapping[str, int] = field(default_factory=dict)
    schedules: Mapping[str, str] = field(default_factory=dict)
    tune: bool | Progress = False
    precision: str = "float32"

    def given(self) -> set[str]:
        """The names of those that are not at their defaults."""
        default = Options()
        return {f.name for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)}


class Source(Protocol):
    """A printed kernel: `text` with neutral names, which is compiled, and `names` of what it is given."""

    @property
    def text(self) -> str: ...

    @property
    def names(self) -> Any: ...

    def pretty(self, name: str) -> str:
        """For reading: the user's names."""


class Compiled:
    """A compiled program: call it with arrays in the order of `inputs`; it returns arrays in that of `outputs`."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]):
        self.inputs, self.outputs, self.updates = tuple(inputs), tuple(outputs), dict(updates)

    remake: Callable[..., Compiled] | None = None
    """(inputs, outputs, updates) -> the program that the same compilation makes of them; where that is known."""
    kernels: Sequence[Any] = ()
    trace: Trace | None = None
    """What each pass did; None where none ran."""

    def __repr__(self) -> str:
        counts = {"inputs": self.inputs, "outputs": self.outputs, "updates": self.updates, "kernels": self.kernels}
        said = [f"{len(of)} {what if len(of) != 1 else what[:-1]}" for what, of in counts.items()]
        return f"<compiled program: {', '.join(said)}>"

    def _repr_html_(self) -> str:
        """The table of kernels, for notebooks."""
        return f"<pre>{html.escape(repr(self))}\n{html.escape(str(self))}</pre>"

    def __call__(self, *arrays: Any) -> Any:
        """One run. Returns the outputs as a list of arrays (one array where the program has one output)."""
        out = self.run(arrays)
        return out[0] if len(out) == 1 else out

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        """`steps` runs in one native call. Inputs whose position is in `per_step` carry a leading axis of `steps`;
        with more than one step, or any such input, so does every output.

        Raises InputError for a wrong number of arrays or a wrong dtype, RuntimeShapeError for a wrong shape,
        IndexLimitError for an index (a label) out of range.
        """
        raise NotImplementedError

    def on_device(self, *arrays: Any, steps: int = 1, per_step: Sequence[int] = ()) -> Any:
        """As a call, with outputs that stay in the device's memory. Raises CompileError on a target that has none."""
        raise CompileError("on_device: results of this device are in the host's memory; device 'cuda' has its own")

    def profile(self, *arrays: Any, repeats: int = 10) -> list[float]:
        """Seconds per kernel, in the order of `kernels`. Raises CompileError on a target that cannot tell."""
        raise CompileError("profile: kernels of this device are not timed one by one; device 'cpu' has a profile")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a file that `kernelwright.runtime.load_program` runs, without the values of variables.

        Raises ProgramFileError where it cannot be written, CompileError on a target whose programs are not for files.
        """
        raise CompileError("save: programs of this device are not written to files; device 'cpu' writes them")

    def __reduce__(self) -> Any:
        """For `pickle` and `copy.deepcopy`: the same graph, over new variables of equal values, compiled again (which
        the kernel cache makes short)."""
        if self.remake is None:
            raise TypeError("only programs that kw.compile made can be copied or pickled")
        rows, places = as_rows([*self.inputs, *self.outputs, *self.updates, *self.updates.values()])
        return _remade, (self.remake, rows, places, len(self.inputs), len(self.outputs))

    def _check(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        return check_arrays(self.inputs, arrays)


def _remade(remake: Callable[..., Compiled], rows: Sequence[Row], places: Sequence[int], ins: int, outs: int) -> Any:
    """The program of these rows: inputs, outputs, variables, and as many new values."""
    found = from_rows(rows, places)
    inputs, outputs, rest = found[:ins], found[ins : ins + outs], found[ins + outs :]
    half = len(rest) // 2
    return remake(inputs, outputs, dict(zip(rest[:half], rest[half:], strict=True)))


@dataclass(frozen=True, eq=False)
class Planned:
    """A program as scheduled kernels in the order they run, and what has to hold of a run.

    The last buffers of `returned` are the flags of computed indices.
    """

    kernels: list[Kernel]
    inputs: tuple[Buffer, ...]
    returned: tuple[Buffer, ...]
    limits: Limits
    size_checks: tuple[runtime.SizeCheck, ...]
    trace: Trace


class Target(ABC):
    """A kind of machine, with what the user asked of it.

    name: as in `kw.compile(device=name)`. accepts: the options (`Options`) that mean something to it.
    """

    name: ClassVar[str]
    accepts: ClassVar[frozenset[str]] = frozenset(["typical"])
    has_loops: ClassVar[bool] = False
    """Can its programs run kernels several times, as `kw.scan` needs?"""

    def __init__(self, options: Options, index: int = 0) -> None:
        """index: which of several machines. Raises CompileError for an option that the target does not take."""
        for option in sorted(options.given() - self.accepts):
            raise CompileError(
                f"compile: {option} {getattr(options, option)!r} is not for device {self.name!r}, which takes "
                f"{', '.join(sorted(self.accepts))}"
            )
        self.options = options
        self.index = index

    # ------------------------------------------------------------ passes, top to bottom
    def graph_passes(self) -> Sequence[GraphPass]:
        """From the user's graph to one that is fused."""
        return (GraphPass("simplify", simplify), GraphPass("part_joins", part_joins, needed=True))

    def kernel_passes(self) -> Sequence[KernelPass]:
        """From kernels in loop form to scheduled ones in the order they run."""
        return (
            KernelPass("normalize", each(normalize)),
            KernelPass("set_orders", partial(layout.set_orders, price=self.price), needed=True),
            KernelPass("order_kernels", kernel_order.order, needed=True),
            KernelPass("schedule", each(self.scheduled), needed=True),
        )

    # ------------------------------------------------------------ what the passes ask
    @abstractmethod
    def price(self, kernel: Kernel) -> float:
        """What a run of the kernel should cost under its buffers' present orders, in a unit of the target's own."""

    @abstractmethod
    def scheduled(self, kernel: Kernel) -> Kernel:
        """The kernel with a schedule (which prints as one line of text) and what it should cost."""

    @abstractmethod
    def print(self, kernel: Kernel) -> Source:
        """A scheduled kernel as source text. Raises VerifyError where a result is left unwritten."""

    @abstractmethod
    def environment(self) -> str:
        """What decides a kernel's code besides its source: the machine, the code generator, versions. Part of keys."""

    # ------------------------------------------------------------ the whole
    @abstractmethod
    def compile(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]
    ) -> Compiled:
        """Something that runs."""

    def planned(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]) -> Planned:
        """The passes, in order."""
        trace = Trace()
        wanted = [*outputs, *updates.values()]
        checked, rooms = limits(wanted, inputs), size_checks(wanted)
        self._check_loops(wanted)
        simplified = run_graph_passes(self.graph_passes(), [*wanted, *checked.flags], trace)
        simplified = in_bodies(simplified, lambda results: run_graph_passes(self.graph_passes(), results, trace))
        results, new_values = simplified[: len(outputs)], dict(zip(updates, simplified[len(outputs) :]))
        results += simplified[len(wanted) :]
        lowered = in_kernels(inputs, results, new_values)
        kernels = run_kernel_passes(self.kernel_passes(), lowered.kernels, trace)
        given = tuple(lowered.buffers[x] for x in inputs)
        return Planned(kernels, given, tuple(lowered.returned), checked, rooms, trace)

    def _check_loops(self, wanted: Sequence[Tensor]) -> None:
        """Raises CompileError for a scan on a target whose programs have no loops."""
        loop = None if self.has_loops else next((n for n in toposort(wanted) if body_of(n) is not None), None)
        if loop is not None:
            raise CompileError(
                f"compile: kw.scan ({location(loop)}) is not for device {self.name!r} yet; compile for device 'cpu'"
            )
