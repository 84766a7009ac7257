"""Who races: a table of programs by name, and what each of them has to be able to do.

A contender is one framework in one way of running it. Its file in this package is imported by the worker process
alone, so that no other framework lives beside it. Leans on nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..runtime.errors import KernelwrightError

FLOAT32, BFLOAT16 = "float32", "bfloat16"
MOMENTUM, HEAD_WEIGHT = 0.9, 0.3
"""SGD's momentum, and the weight of auxiliary classifiers (GoogLeNet's paper, section 5), on every side."""


class BenchError(KernelwrightError, ValueError):
    """A benchmark that cannot be run as asked."""


@dataclass(frozen=True)
class Setup:
    """What a worker is told. `folder` holds the batches, the weights and the network's graph; `precision` is that of
    convolutions and matrix products."""

    contender: str
    network: str
    training: bool
    threads: int
    steps_per_call: int
    rate: float
    folder: str
    precision: str = FLOAT32

    def batches(self) -> tuple[np.ndarray, np.ndarray]:
        """(images (stack, batch, ...) float32, labels (stack, batch) int32)."""
        with np.load(Path(self.folder) / "batches.npz") as data:
            return data["images"], data["labels"]

    def weights(self) -> list[np.ndarray]:
        """Our network's parameters, in order."""
        with np.load(Path(self.folder) / "weights.npz") as data:
            return [data[f"p{i}"] for i in range(len(data.files))]


class Runner(Protocol):
    """A contender at work. Step i takes batch i modulo the number of batches."""

    def call(self) -> np.ndarray:
        """One call of the program: the loss of each of its steps, or the logits of the first of its batches."""

    def repeat(self, calls: int) -> None:
        """That many calls; returns when all their work is done."""


@dataclass(frozen=True)
class Contender:
    """peer: what `--against` calls it (None: ours). `needs`: modules that must be installed, its own first.

    `reads_graph`: does it make the network from `graph.json`? `narrow`: can it multiply in bfloat16? `convolves`: can
    it run convolutional networks?
    """

    name: str
    module: str
    peer: str | None = None
    needs: tuple[str, ...] = ()
    channels_last: bool = False
    many_steps: bool = False
    compiled: bool = False
    trains: bool = True
    reads_graph: bool = False
    narrow: bool = False
    convolves: bool = True

    def missing(self) -> str | None:
        """What to install before it can run."""
        absent = [name for name in self.needs if find_spec(name) is None]
        return f"not installed: pip install {' '.join(absent)}" if absent else None

    def runner(self, setup: Setup) -> Runner:
        """The contender with the network built and its weights in place, nothing run yet."""
        found: Any = import_module(f".{self.module}", __package__)
        result: Runner = found.build(self, setup)
        return result


CONTENDERS = (
    Contender("kernelwright", "ours", narrow=True),
    Contender("kernelwright many steps", "ours", many_steps=True, narrow=True),
    Contender("torch eager", "in_torch", "torch", ("torch",), narrow=True),
    Contender("torch channels last", "in_torch", "torch", ("torch",), channels_last=True, narrow=True),
    Contender("torch compiled", "in_torch", "torch", ("torch",), compiled=True, narrow=True),
    Contender(
        "torch compiled channels last", "in_torch", "torch", ("torch",), channels_last=True, compiled=True, narrow=True
    ),
    Contender("jax jit", "in_jax", "jax", ("jax", "torch"), reads_graph=True),
    Contender("jax channels last", "in_jax", "jax", ("jax", "torch"), channels_last=True, reads_graph=True),
    Contender("jax many steps", "in_jax", "jax", ("jax", "torch"), many_steps=True, reads_graph=True),
    Contender(
        "onnxruntime", "in_onnx", "onnxruntime", ("onnxruntime", "onnx", "torch"), trains=False, reads_graph=True
    ),
    Contender("pytensor", "in_pytensor", "pytensor", ("pytensor", "torch"), reads_graph=True, convolves=False),
    Contender("tinygrad", "in_tinygrad", "tinygrad", ("tinygrad", "torch"), reads_graph=True),
)
PEERS = tuple(dict.fromkeys(c.peer for c in CONTENDERS if c.peer is not None))


def named(name: str) -> Contender:
    """The contender of that name."""
    return next(c for c in CONTENDERS if c.name == name)


def entered(peers: Sequence[str], images: bool, many: bool) -> list[Contender]:
    """Ours and those of `peers`, frameworks or single contenders, that fit: channels last where there are images, many
    steps a call where `many`.

    Raises BenchError for a peer that there is not.
    """
    known = list(dict.fromkeys([*PEERS, *(c.name for c in CONTENDERS if c.peer is not None)]))
    for peer in peers:
        if peer not in known:
            raise BenchError(f"there is no peer {peer!r} to race against; there are {', '.join(known)}")
    wanted = [c for c in CONTENDERS if c.peer is None or c.peer in peers or c.name in peers]
    return [c for c in wanted if images >= c.channels_last and many >= c.many_steps]


def check_weights(network: str, ours: Sequence[np.ndarray], theirs: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    """Raises BenchError, naming the first parameter that differs, unless both sides' match by order and shape."""
    for i, (mine, (name, shape)) in enumerate(zip(ours, theirs)):
        if mine.shape != shape:
            raise BenchError(
                f"{network}: parameter {i} has shape {mine.shape} in our network, but {name} has {shape} in its "
                f"definition for the peers (bench/networks)"
            )
    if len(ours) != len(theirs):
        raise BenchError(
            f"{network}: our network has {len(ours)} parameters, its definition for the peers {len(theirs)}"
        )
