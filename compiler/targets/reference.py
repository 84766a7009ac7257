"""The reference as a target: the graph run by NumPy, node by node. Slow, and what is meant.

Leans on `graph.reference`; no pass runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from ..graph import reference
from ..graph.arguments import check_shapes, check_sizes
from ..graph.bfloat16 import returned
from ..graph.limits import size_checks
from ..graph.tensor import Tensor
from ..loops.kernels import Kernel
from .base import Compiled, Target


class Reference(Compiled):
    """The program run by NumPy, node by node."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]):
        super().__init__(inputs, outputs, updates)
        self._rooms = size_checks([*self.outputs, *self.updates.values()])

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        given = self._check(arrays)
        check_shapes(self.inputs, given, steps, per_step)
        results = []
        for step in range(steps):
            feed = {x: a[step] if i in per_step else a for i, (x, a) in enumerate(zip(self.inputs, given))}
            check_sizes(self._rooms, feed)
            values = reference.evaluate([*self.outputs, *self.updates.values()], feed)
            for variable, new in zip(self.updates, values[len(self.outputs) :]):
                variable.attrs.state.set(new)
            results.append([returned(v, y.dtype) for v, y in zip(values, self.outputs)])
        return results[0] if steps == 1 and not per_step else [np.stack(column) for column in zip(*results)]


class ReferenceTarget(Target):
    """NumPy. It has no kernels, so what a kernel costs or how it is printed is nobody's question."""

    name = "reference"
    accepts: ClassVar[frozenset[str]] = frozenset(["threads", "typical"])

    def compile(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], updates: Mapping[Tensor, Tensor]
    ) -> Reference:
        return Reference(inputs, outputs, updates)

    def environment(self) -> str:
        return f"numpy {np.__version__}"

    def price(self, kernel: Kernel) -> NoReturn:
        raise NotImplementedError("the reference has no kernels")

    scheduled = print = price
