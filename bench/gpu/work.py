"""A program to be timed: its graph, its arrays, its precision; compiled for the GPU, or as kernels for an architecture.

Leans on the compiler and on `bench.ours` for networks.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...compiler.graph.tensor import Tensor
from ...compiler.targets.cuda import compiled, cubin_store
from ...compiler.targets.cuda.compiled import CudaCompiled, CudaListing
from ...models.precision import lowered, of_device
from .. import ours
from ..contenders import FLOAT32
from ..networks import case

ROUNDS = 5
ROUND_SECONDS = 0.06
MOST_CALLS = 200


@dataclass(frozen=True)
class Work:
    """What `kw.compile` takes, with a name. arrays: makes what a run is given."""

    name: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    updates: Mapping[Tensor, Tensor]
    precision: str
    batch: int
    arrays: Callable[[], list[np.ndarray]]

    def compiled(self) -> CudaCompiled:
        """The program on the first GPU. Raises CompileError where there is none."""
        gpu = compiled.driver(0)
        sizes = {"batch": self.batch}
        return CudaCompiled(self.inputs, self.outputs, self.updates, 0, sizes, gpu, self.precision)

    def prepared(self, arch: str) -> int:
        """Have its kernels for an architecture in the cache; how many were compiled for that."""
        listing, makers = self.listing(arch), cubin_store.makers()
        fresh = [k for k in {k.key: k for k in listing.kernels}.values() if cubin_store.find(k.key, makers) is None]
        listing.compile(*fresh)
        return len(fresh)

    def listing(self, arch: str) -> CudaListing:
        """Its kernels for an architecture, without a GPU."""
        return CudaListing(self.inputs, self.outputs, self.updates, arch, {"batch": self.batch}, self.precision)


def network(name: str, batch: int, precision: str, training: bool) -> Work:
    """A network's training step (forward, backward, SGD with momentum) or its logits; dropout is off. In bfloat16 that
    is what lies between contractions too."""
    model = ours.network(name)
    in_graph, _ = of_device("cuda", precision)
    if training:
        inputs, outputs, updates = ours.training_step(model, case(name).rate, in_graph or FLOAT32)
    else:
        inputs, updates = [model.images()], {}
        outputs = lowered([model(inputs[0])], in_graph)

    def arrays() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        images = rng.random((batch, *model.input_shape), dtype="float32")
        return [images, rng.integers(0, model.classes, batch).astype("int32")][: len(inputs)]

    mode = "train" if training else "infer"
    return Work(f"{name} {batch} {mode} {precision}", inputs, outputs, updates, precision, batch, arrays)


def milliseconds(program: CudaCompiled, arrays: Sequence[np.ndarray]) -> dict[str, float]:
    """Median, least and most milliseconds of a step over some rounds, each of many steps where a step is short."""
    once = min(program.step_seconds(*arrays, rounds=2))
    calls = int(min(max(ROUND_SECONDS / max(once, 1e-6), 1), MOST_CALLS))
    found = [s * 1e3 for s in program.step_seconds(*arrays, rounds=ROUNDS, calls=calls)]
    return {"ms": statistics.median(found), "lower": min(found), "upper": max(found)}
