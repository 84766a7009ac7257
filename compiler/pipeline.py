"""From a graph to a program that runs: the ordered list of passes, top to bottom.

`compile` is the public entry. Leans on every pass, each a pure function, and on the runtime for execution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .codegen import reference
from .errors import CompileError, InputError
from .shapes import show
from .tensor import Tensor

DEVICES = ("cpu", "reference")


class Compiled:
    """A compiled program: call it with arrays in the order of `inputs`; it returns arrays in that of `outputs`."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]):
        self.inputs, self.outputs, self.updates = tuple(inputs), tuple(outputs), dict(updates)

    def __call__(self, *arrays: Any) -> Any:
        """One run. Returns the outputs as a list of arrays (one array where the program has one output)."""
        out = self.run(arrays)
        return out[0] if len(out) == 1 else out

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        """`steps` runs in one native call. Inputs whose position is in `per_step` carry a leading axis of `steps`;
        with more than one step, so does every output."""
        raise NotImplementedError

    def _check(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        if len(arrays) != len(self.inputs):
            names = ", ".join(f"{x.attrs.name}{show(x.shape)}" for x in self.inputs)
            raise InputError(f"{len(arrays)} arrays given, {len(self.inputs)} inputs expected: {names}")
        return [np.asarray(a) for a in arrays]


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
        return results[0] if steps == 1 else [np.stack(column) for column in zip(*results)]


def compile(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor] | Tensor,
    updates: Mapping[Tensor, Tensor] | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Compiled:
    """A program from `inputs` to `outputs` that also leaves `updates[variable]` in each variable.

    device: "cpu" (native kernels) or "reference" (NumPy, for checking). threads: worker threads, by default
    one per core. Raises CompileError for a device or updates that cannot be.
    """
    wanted = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    for variable, new in (updates or {}).items():
        if variable.op.name != "variable":
            raise CompileError(f"compile: only variables can be updated, not {variable!r}")
        if (variable.shape, variable.dtype) != (new.shape, new.dtype):
            raise CompileError(f"compile: the update {new.brief()} does not fit {variable!r}")
    if device == "reference":
        return Reference(inputs, wanted, updates or {})
    raise CompileError(f"compile: there is no device {device!r}; use one of {', '.join(DEVICES)}")
