"""From a graph to a program that runs: the ordered list of passes, top to bottom.

`compile` is the public entry. Leans on every pass, each a pure function, and on the runtime for execution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import runtime
from . import config, saved
from .errors import CompileError
from .graph import reference
from .graph.arguments import check_arrays, check_program, check_shapes
from .graph.bfloat16 import returned
from .graph.companions import with_companions
from .graph.limits import Limits, limits
from .graph.node import name_of, toposort
from .graph.tensor import Tensor
from .loops.kernels import Buffer, Kernel
from .lowering import kernel_order as memory
from .lowering import layout
from .lowering.fuse import Fusion, fuse
from .lowering.lower import lower
from .lowering.merge import merged
from .lowering.normalize import normalize
from .lowering.recompute import recompute
from .lowering.split_reductions import in_parts
from .rewriting.rewrite import Report
from .rewriting.rules import simplify
from .rewriting.verify import verify
from .shapes import as_index
from .shapes import typical as typical_sizes
from .targets.cpu.assemble import KernelInfo, assemble, kernel_cache, size_checks
from .targets.cpu.machine import target
from .targets.cpu.overrides import Progress, Wishes
from .targets.cpu.plane_padding import apart
from .targets.cpu.planning import plan
from .targets.cpu.strided_gradients import by_phases
from .targets.cpu.winograd import fast_convolutions
from .targets.cpu.winograd_maps import mapped
from .targets.shared import workers
from .uncollected import uncollected

MANY_NODES = 500
"""Graphs of at least so many nodes have kernels enough for helpers, which are started before the passes."""

DEVICES = ("cpu", "cuda", "reference")

Pass = Callable[[Sequence[Tensor]], tuple[list[Tensor], Report]]
CPU_PASSES: tuple[Pass, ...] = (simplify, fast_convolutions)


class Compiled:
    """A compiled program: call it with arrays in the order of `inputs`; it returns arrays in that of `outputs`."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]):
        self.inputs, self.outputs, self.updates = tuple(inputs), tuple(outputs), dict(updates)

    kernels: Sequence[KernelInfo] = ()

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

    def _check(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        return check_arrays(self.inputs, arrays)


class Reference(Compiled):
    """The program run by NumPy, node by node."""

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        given = self._check(arrays)
        check_shapes(self.inputs, given, steps, per_step)
        results = []
        for step in range(steps):
            feed = {x: a[step] if i in per_step else a for i, (x, a) in enumerate(zip(self.inputs, given))}
            values = reference.evaluate([*self.outputs, *self.updates.values()], feed)
            for variable, new in zip(self.updates, values[len(self.outputs) :]):
                variable.attrs.state.set(new)
            results.append([returned(v, y.dtype) for v, y in zip(values, self.outputs)])
        return results[0] if steps == 1 and not per_step else [np.stack(column) for column in zip(*results)]


class Native(Compiled):
    """The program as native kernels, run in one call."""

    def __init__(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        updates: Mapping[Tensor, Tensor],
        threads: int,
        sizes: Mapping[str, int],
        wishes: Wishes,
    ):
        super().__init__(inputs, outputs, updates)
        self.threads, self.target = threads, target()
        self._make(sizes, wishes)
        self.tuned = wishes.tuned

    def _make(self, sizes: Mapping[str, int], wishes: Wishes) -> None:
        """Compile and load. A second try follows where another thread's program has fixed the order of a variable's
        axes since this one was planned, and where code from the cache does not link: that is compiled again, once."""
        variables = sum(node.op.name == "variable" for node in toposort([*self.outputs, *self.updates.values()]))
        damaged: set[str] = set()
        moved = 0
        while True:
            try:
                with typical_sizes(sizes), uncollected():
                    self.program, self.kernels, states = _build_or_load(
                        self.inputs, self.outputs, self.updates, sizes, wishes
                    )
                runnable = self.target.runs_here
                self._executable = runtime.Executable(self.program, states, self.threads) if runnable else None
                return
            except runtime.LayoutError:
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

    def threads_for(self, **sizes: int) -> int:
        """How many of `threads` run a step at these sizes: one, where it has less work than their meetings cost."""
        return runtime.threads_for(self.program, sizes, self.threads)

    def profile(self, *arrays: Any, repeats: int = 10) -> list[float]:
        """Seconds per kernel, in the order of `kernels`; variables end as they began."""
        return self.executable.profile(self._check(arrays), repeats)

    def __str__(self) -> str:
        from .targets.shared.inspect import table

        return table(self)


def compile(
    inputs: Sequence[Tensor] | Tensor,
    outputs: Sequence[Tensor] | Tensor,
    updates: Mapping[Tensor, Tensor] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    typical: Mapping[str, int] | None = None,
    schedules: Mapping[str, str] | None = None,
    tune: bool | Progress = False,
    precision: str = "float32",
) -> Compiled:
    """A program from `inputs` to `outputs` that also leaves `updates[variable]` in each variable.

    What layers called with training=True leave in their variables (running statistics of batch normalisation, the
    states of dropout and augmentation) is added for variables that `updates` does not have; {v: v} keeps v as it is.
    device: "cpu" (native kernels), "cuda" (the first NVIDIA GPU; "cuda:1" the second) or "reference" (NumPy, for
    checking). threads: worker threads on the CPU, by default one per core. typical: sizes that most runs will have,
    such as {"batch": 32}; layouts and tiles are chosen for them (for 128 where nothing is said), and every other size
    runs too. schedules: {name or pattern of kernels: text} in place of what is chosen on the CPU, in the form of
    `.kernels[i].schedule`: {"conv1*": "outer tile 6x4"}. tune: choose register tiles by timing the best few of each
    contraction on this machine, once; later programs find the outcome in the cache. A function in its place is called
    with (kernel's name, kernels done, kernels in all). precision: of contractions on the GPU, whose tensor cores round
    float32 operands to "tf32" (10 bits of mantissa) or "bfloat16" (7 bits) and sum in float32; else "float32".

    Raises CompileError for a device, inputs, updates or schedules that cannot be; without a GPU, its driver or the
    extra "cuda" the error says what is missing.
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wanted = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    new_values = dict(updates or {})
    check_program(inputs, wanted, new_values)
    new_values = with_companions(wanted, new_values)
    if threads is not None and (as_index(threads) is None or threads < 1):
        raise CompileError(f"compile: threads must be an integer of at least 1, not {threads!r}")
    if precision != "float32" and device.partition(":")[0] != "cuda":
        raise CompileError(f"compile: precision {precision!r} is of device 'cuda'; {device!r} has float32 alone")
    if device == "reference":
        return Reference(inputs, wanted, new_values)
    if device == "cpu":
        threads = threads or config.threads()
        wishes = Wishes(dict(schedules or {}), threads if tune else 0, tune if callable(tune) else None)
        return Native(inputs, wanted, new_values, threads, typical or {}, wishes)
    name, _, index = device.partition(":")
    if name == "cuda" and (index.isdigit() or device == name):
        from .targets.cuda.compiled import Cuda

        return Cuda(inputs, wanted, new_values, int(index or 0), typical or {}, precision=precision)
    raise CompileError(f"compile: there is no device {device!r}; use one of {', '.join(DEVICES)}")


@dataclass(frozen=True, eq=False)
class Lowered:
    """A program as kernels in loop form, whose buffers have no order of axes yet; what every device starts from.

    The last buffers of `returned` are the flags of computed indices.
    """

    kernels: list[Kernel]
    buffers: dict[Any, Buffer]
    returned: list[Buffer]
    limits: Limits
    rooms: tuple[runtime.SizeCheck, ...]


def lowered(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    updates: Mapping[Tensor, Tensor],
    passes: Sequence[Pass] = (simplify,),
) -> Lowered:
    """The passes over the graph and down to kernels, in order."""
    required = [*outputs, *updates.values()]
    checked, rooms = limits(required, inputs), size_checks(required)
    required += checked.flags
    simplified = required
    for each in passes:
        before, (simplified, _) = simplified, each(simplified)
        verify(each.__name__, before, simplified)
    results, new_values = simplified[: len(outputs)], dict(zip(updates, simplified[len(outputs) :]))
    results += simplified[len(outputs) + len(updates) :]
    fusion = fuse(simplified)
    buffers, stored, targets, returned = _allocate(inputs, results, new_values, fusion)
    kernels = recompute(lower(fusion, stored, targets))
    return Lowered(kernels, buffers, returned, checked, rooms)


def _build_or_load(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    updates: Mapping[Tensor, Tensor],
    sizes: Mapping[str, int],
    wishes: Wishes,
) -> tuple[runtime.Program, Sequence[KernelInfo], list[Any]]:
    """`build`, or what it gave for this graph before (unless values are to be compared between passes, or the user
    wishes other schedules)."""
    plain = config.verify_level() < 2 and not wishes.schedules and not wishes.tune
    identity = saved.identify(inputs, outputs, updates, sizes) if plain else None
    if identity is None:
        return build(inputs, outputs, updates, wishes)
    found = saved.load(identity)
    if found is None:
        program, infos, states = build(inputs, outputs, updates, wishes)
        saved.keep(identity, program, infos, states)
        return program, infos, states
    program, listing, states = found
    required = [*outputs, *updates.values()]
    return _checked(program, limits(required, inputs), size_checks(required)), listing, states


def build(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    updates: Mapping[Tensor, Tensor],
    wishes: Wishes,
) -> tuple[runtime.Program, list[KernelInfo], list[Any]]:
    """The passes, in order. What the user wishes of schedules comes after what they choose."""
    if len(toposort([*outputs, *updates.values()])) >= MANY_NODES:
        workers.start(config.helpers())
    program = lowered(inputs, outputs, updates, CPU_PASSES)
    kernels = layout.assign([_phased(k) for k in program.kernels])
    kernels = memory.order([part for k in apart(kernels) for part in in_parts(k)])
    scheduled = [_scheduled(k) for k in kernels]
    wishes.apply(scheduled)
    assembled, infos, states = assemble("program", memory.plan(scheduled), inputs, program.buffers, program.returned)
    return _checked(assembled, program.limits, program.rooms), infos, states


def _checked(program: runtime.Program, limits: Limits, rooms: tuple[runtime.SizeCheck, ...]) -> runtime.Program:
    return replace(program, checks=limits.inputs, computed_checks=limits.computed, size_checks=rooms)


def _phased(kernel: Kernel) -> Kernel:
    """Strided gradients by phases; a map of small tiles wants every pixel's own condition."""
    return kernel if mapped(kernel) is not None else normalize(by_phases(kernel))


def _scheduled(kernel: Kernel) -> Kernel:
    kernel = merged(kernel)
    kernel.schedule, kernel.cycles = plan(kernel)
    return kernel


def _allocate(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor], fusion: Fusion
) -> tuple[dict[Any, Buffer], dict[Any, Buffer], dict[Any, list[Buffer]], list[Buffer]]:
    """(buffers of leaves, where every stored node is read, where it is written, the output buffers in order)."""
    leaves: dict[Any, Buffer] = {}
    for node in toposort([*inputs, *outputs, *updates, *updates.values()]):
        if node.op.name == "input":
            leaves[node] = Buffer(node.attrs.name, node.shape, node.dtype, "input", node)
        elif node.op.name == "variable":
            state = node.attrs.state
            leaves[node] = Buffer(node.attrs.name, node.shape, node.dtype, "state", node, tuple(state.order))
        elif node.op.name == "array":
            leaves[node] = Buffer("constant", node.shape, node.dtype, "constant", node)
    stored = dict(leaves)
    targets: dict[Any, list[Buffer]] = {}
    result: dict[Any, Buffer] = {}
    for y in outputs:
        if y not in result:
            result[y] = Buffer(name_of(y) or "output", y.shape, y.dtype, "output", y)
            targets.setdefault(y, []).append(result[y])
            if y not in leaves:
                stored[y] = result[y]
    for variable, new in updates.items():
        targets.setdefault(new, []).append(leaves[variable])
    read = {n for g in fusion.groups for n in g.inputs}
    for group in fusion.groups:
        for node in group.members:
            wanted = targets.setdefault(node, [])
            if node not in stored and (not wanted or node in read):
                stored[node] = Buffer(_temp_name(node), node.shape, node.dtype, "temp", node)
                wanted.append(stored[node])
    return leaves, stored, targets, [result[y] for y in outputs]


def _temp_name(node: Tensor) -> str:
    from .graph.node import location

    scope = location(node).scope.split(".")[-1]
    return name_of(node) or "_".join(filter(None, [scope, node.op.name]))
