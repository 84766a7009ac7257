"""From a graph to a program that runs: the ordered list of passes, top to bottom.

`compile` is the public entry. Leans on every pass, each a pure function, and on the runtime for execution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import runtime
from . import config, layout, memory, schedule
from .assemble import KernelInfo, assemble, checks, size_checks
from .codegen import reference
from .errors import CompileError, InputError
from .fuse import Fusion, fuse
from .graph import name_of, toposort
from .kernels import Buffer, Kernel
from .lower import lower
from .rules import simplify
from .shapes import show
from .shapes import typical as typical_sizes
from .tensor import Tensor
from .verify import verify

DEVICES = ("cpu", "reference")


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
        if len(arrays) != len(self.inputs):
            names = ", ".join(f"{x.attrs.name}{show(x.shape)}" for x in self.inputs)
            raise InputError(f"{len(arrays)} arrays given, {len(self.inputs)} inputs expected: {names}")
        given = []
        for x, a in zip(self.inputs, arrays):
            array = a if isinstance(a, np.ndarray) else np.asarray(a, x.dtype)
            if array.dtype.name != x.dtype:
                raise InputError(
                    f"input {x.attrs.name!r} takes {x.dtype}, got {array.dtype} of shape {array.shape}; "
                    f"convert it with .astype({x.dtype!r})"
                )
            given.append(array)
        return given


class Reference(Compiled):
    """The program run by NumPy, node by node."""

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        given = self._check(arrays)
        results = []
        for step in range(steps):
            feed = {x: a[step] if i in per_step else a for i, (x, a) in enumerate(zip(self.inputs, given))}
            values = reference.evaluate([*self.outputs, *self.updates.values()], feed)
            for variable, new in zip(self.updates, values[len(self.outputs) :]):
                variable.attrs.state.set(new)
            results.append(values[: len(self.outputs)])
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
    ):
        super().__init__(inputs, outputs, updates)
        self.threads = threads
        with typical_sizes(sizes):
            self.program, self.kernels, states = build(self.inputs, self.outputs, self.updates)
        self.executable = runtime.Executable(self.program, states, threads)

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        return self.executable.run(self._check(arrays), steps, frozenset(per_step))

    def profile(self, *arrays: Any, repeats: int = 10) -> list[float]:
        """Seconds per kernel, in the order of `kernels`; variables end as they began."""
        return self.executable.profile(self._check(arrays), repeats)

    def __str__(self) -> str:
        from .inspect import table

        return table(self)


def compile(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor] | Tensor,
    updates: Mapping[Tensor, Tensor] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    typical: Mapping[str, int] | None = None,
) -> Compiled:
    """A program from `inputs` to `outputs` that also leaves `updates[variable]` in each variable.

    device: "cpu" (native kernels) or "reference" (NumPy, for checking). threads: worker threads, by default
    one per core. typical: sizes that most runs will have, such as {"batch": 32}; layouts and tiles are chosen for them
    (for 128 where nothing is said), and every other size runs too.

    Raises CompileError for a device, inputs or updates that cannot be.
    """
    wanted = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    new_values = dict(updates or {})
    _check_program(inputs, wanted, new_values)
    if device == "reference":
        return Reference(inputs, wanted, new_values)
    if device == "cpu":
        return Native(inputs, wanted, new_values, threads or config.threads(), typical or {})
    raise CompileError(f"compile: there is no device {device!r}; use one of {', '.join(DEVICES)}")


def _check_program(inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]) -> None:
    for variable, new in updates.items():
        if variable.op.name != "variable":
            raise CompileError(f"compile: only variables can be updated, not {variable!r}")
        if (variable.shape, variable.dtype) != (new.shape, new.dtype):
            raise CompileError(f"compile: the update {new.brief()} does not fit {variable!r}")
    given = set(inputs)
    if len(given) != len(inputs):
        raise CompileError("compile: an input is listed twice")
    for x in inputs:
        if x.op.name != "input":
            raise CompileError(f"compile: {x!r} is not an input; make inputs with kw.input")
    for node in toposort([*outputs, *updates.values()]):
        if node.op.name == "input" and node not in given:
            raise CompileError(f"compile: input {node!r} is needed but not among the inputs")


def build(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]
) -> tuple[runtime.Program, list[KernelInfo], list[Any]]:
    """The passes, in order."""
    required = [*outputs, *updates.values()]
    limits, rooms = checks(required, inputs), size_checks(required)
    simplified, _ = simplify(required)
    verify("simplify", required, simplified)
    results, new_values = simplified[: len(outputs)], dict(zip(updates, simplified[len(outputs) :]))
    fusion = fuse(simplified)
    buffers, stored, targets, returned = _allocate(inputs, results, new_values, fusion)
    kernels = lower(fusion, stored, targets)
    kernels = layout.assign(kernels)
    kernels = memory.order(kernels)
    scheduled = [_scheduled(k) for k in kernels]
    program, infos, states = assemble("program", memory.plan(scheduled), inputs, buffers, returned)
    return replace(program, checks=limits, size_checks=rooms), infos, states


def _scheduled(kernel: Kernel) -> Kernel:
    kernel.schedule, kernel.cycles = schedule.plan(kernel)
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
    from .graph import location

    scope = location(node).scope.split(".")[-1]
    return name_of(node) or "_".join(filter(None, [scope, node.op.name]))
