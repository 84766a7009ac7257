"""What the quick check measures: matrix products, and the heaviest contractions of networks' training steps.

Each is a program of its own. Leans on the graph, the models and the compiler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import models
from ..compiler.graph.autodiff import vjp
from ..compiler.graph.bfloat16 import to_bfloat16
from ..compiler.graph.node import location, toposort
from ..compiler.graph.tensor import Tensor, cast, input
from ..compiler.graph.variable import variable
from ..compiler.pipeline import compile
from ..compiler.rewriting.rewrite import rebuild
from ..compiler.targets.cpu.machine import target
from ..models.initializers import undrawn
from .contenders import BFLOAT16, FLOAT32, BenchError

PRODUCTS = ((512, 512, 512), (1000, 1000, 1000), (1568, 512, 2048), (128, 784, 512), (6272, 256, 64))
"""(rows, terms of each sum, columns)."""
BATCHES = {
    "mlp": 128,
    "lenet5": 128,
    "resnet20": 128,
    "alexnet": 16,
    "googlenet": 16,
    "resnet18": 16,
    "resnet50": 8,
    "vgg16": 8,
}
HEAVIEST = 3
"""Contractions of each network."""
PASSES = ("forward", "by input", "by weight")


@dataclass(frozen=True)
class Case:
    """A kernel to measure: its name in the files, its floating point operations, and what compiles it for a number of
    threads and gives the function that runs it once."""

    name: str
    flops: int
    make: Callable[[int], Callable[[], Any]]


def cases(networks: Sequence[str] = ()) -> list[Case]:
    """The products, and the contractions of these networks (of all in BATCHES where none is named).

    Raises BenchError for a network that is not checked.
    """
    for name in networks:
        if name not in BATCHES:
            raise BenchError(f"there is no quick check of a network {name!r}; there are {', '.join(BATCHES)}")
    dtypes = [FLOAT32, *[BFLOAT16] * target().pairs]
    found = [product(*sizes, dtype) for sizes in PRODUCTS for dtype in dtypes]
    for name in networks or BATCHES:
        found += heaviest(name, BATCHES[name])
    return found


def product(rows: int, terms: int, columns: int, dtype: str) -> Case:
    """(rows, terms) @ (terms, columns) of operands of `dtype`, given as arrays, to float32."""

    def make(threads: int) -> Callable[[], Any]:
        a, b = input("a", (rows, terms), dtype), input("b", (terms, columns), dtype)
        result = variable("result", np.zeros((rows, columns), "float32"))
        program = compile([a, b], [], {result: cast(a @ b, FLOAT32)}, threads=threads)
        arrays = [_drawn(a.shape), _drawn(b.shape)]
        given = [to_bfloat16(x) for x in arrays] if dtype == BFLOAT16 else arrays
        return lambda: program.run(given)

    return Case(f"product {rows}x{terms}x{columns}, {dtype}", 2 * rows * terms * columns, make)


@dataclass
class Layer:
    """A contraction of the forward pass, the first of `count` of its shape. passed: do gradients pass to its input?"""

    name: str
    node: Tensor
    count: int
    passed: bool

    @property
    def flops(self) -> int:
        """Of one pass; each gradient is a sum of as many products."""
        return 2 * math.prod((*self.node.shape, *self.node.attrs.spec.red))

    def passes(self) -> Sequence[str]:
        """What a training step computes of it."""
        return PASSES if self.passed else (PASSES[0], PASSES[2])


def heaviest(network: str, batch: int) -> list[Case]:
    """The contractions, forward or of a gradient, that have the most work in a training step of this batch size, those
    of one shape taken together; of equal ones the first layer's."""
    found = [(layer, kind) for layer in layers(network, batch) for kind in layer.passes()]
    found.sort(key=lambda each: -each[0].flops * each[0].count)
    return [_alone(network, layer, kind) for layer, kind in found[:HEAVIEST]]


def layers(network: str, batch: int) -> list[Layer]:
    """The contractions of the network's forward pass, one for each shape, in the order of its layers."""
    with undrawn():
        model = models.build(network)
    images = input("images", (batch, *model.input_shape))
    answers = [model(images, training=True), *(logits for _, logits in model.net.heads())]
    learned = set(model.parameters())
    found: dict[Any, Layer] = {}
    for node in toposort(answers):
        if node.op.kind == "contract":
            key = (node.attrs, *(i.shape for i in node.inputs))
            layer = found.setdefault(key, Layer(location(node).scope, node, 0, False))
            layer.count += 1
            layer.passed |= node.inputs[0] in learned
        if any(i in learned for i in node.inputs):
            learned.add(node)
    return list(found.values())


def _alone(network: str, layer: Layer, kind: str) -> Case:
    """The contraction over variables, whose order in memory the compiler chooses, with its result left in another."""

    def make(threads: int) -> Callable[[], Any]:
        x, w = (variable("operand", _drawn(i.shape)) for i in layer.node.inputs)
        y = rebuild(layer.node, [x, w])
        if kind != PASSES[0]:
            y = vjp(y, x if kind == PASSES[1] else w, variable("operand", _drawn(y.shape)))
        program = compile([], [], {variable("result", np.zeros(y.shape, y.dtype)): y}, threads=threads)
        return lambda: program.run([])

    return Case(f"{network} {layer.name}, {kind}", layer.flops, make)


def _drawn(shape: Sequence[Any]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, "float32") * np.float32(0.1)
