"""Counter-based random bits (Philox-4x32-10, Salmon et al. 2011): the same on any device and thread count.

An element's bits depend on the seed, the step, the stream (one number per use in a program) and the
element's row-major position, nothing else. A `Generator` holds seed and step as a variable of the program
and moves the step on once per run. Leans on `elementwise` for what is made of the bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...errors import DTypeError, InputError, ShapeError
from ...loops import expressions as loops
from ...loops.philox import philox_reference
from ...shapes import as_index
from ..tensor import Tensor, apply, as_tensor, checked_shape
from . import elementwise as ew
from .registry import Op, Sample, register
from .source import concrete


def _infer(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    (state,) = inputs
    if state.dtype != dtypes.INT64:
        raise DTypeError(f"the generator's state must be int64, not {state.dtype}")
    if state.shape != (2,):
        raise ShapeError("the generator's state must be (seed, step)")
    return attrs.shape, dtypes.UINT32


def _reference(node: Tensor, env: Any, state: np.ndarray) -> np.ndarray:
    shape = concrete(node.shape, env)
    place = np.arange(int(np.prod(shape)), dtype=np.uint64)
    seed, step = (int(v) & 0xFFFFFFFFFFFFFFFF for v in state)
    counter = place, node.attrs.stream, step & 0xFFFFFFFF, step >> 32
    return philox_reference(counter, (seed & 0xFFFFFFFF, seed >> 32))[0].reshape(shape)


def _lower(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    place = loops.Index()
    for i, d in zip(index, node.shape):
        place = place * d + i
    seed, step = read(0, (loops.Index(),)), read(0, (loops.at(1),))
    stream = loops.const(node.attrs.stream, dtypes.INT64)
    return loops.call("random_bits", [loops.index_value(place, dtypes.INT64), stream, step, seed], dtypes.UINT32)


register(
    Op(
        "random_bits",
        "random",
        _infer,
        _reference,
        _lower,
        vjp=lambda n, g: (None,),
        zero_gradient=True,
        samples=(Sample(((2,),), {"shape": (3, 5), "stream": 1}, dtypes=("int64",)),),
        flops=60,
    )
)
register(
    Op(
        "bits_to_uniform",
        "elementwise",
        lambda inputs, attrs: (inputs[0].shape, dtypes.FLOAT32),
        lambda node, env, bits: (bits >> np.uint32(8)).astype("float32") * np.float32(2.0**-24),
        lambda node, index, read, axis: loops.call("bits_to_uniform", [read(0, index)], node.dtype),
        vjp=lambda n, g: (None,),
        zero_gradient=True,
        samples=(Sample(((3, 5),), dtypes=("uint32",), high=2**32 - 1),),
    )
)


class Generator:
    """A source of random numbers inside programs. Not thread-safe while a graph is built.

    `updates()` is the variable update that moves it on one step: give it to `kw.compile`, or every run
    draws the same numbers.
    """

    def __init__(self, seed: int = 0):
        from ..variable import variable

        if (whole := as_index(seed)) is None or not 0 <= whole < 2**63:
            raise InputError(f"Generator: the seed is a whole number from 0 to 2**63 - 1, not {seed!r}")
        self.state = variable("random_state", np.array([seed, 0], "int64"))
        self._streams = 0

    def __repr__(self) -> str:
        seed, step = self.state.attrs.state.get().tolist()
        return f"<Generator: seed {seed}, {step} steps, {self._streams} streams>"

    def bits(self, shape: Any) -> Tensor:
        """Uniform uint32 words."""
        self._streams += 1
        return apply("random_bits", (self.state,), shape=checked_shape("random", shape), stream=self._streams)

    def uniform(self, shape: Any, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform float32 in [low, high)."""
        u = apply("bits_to_uniform", (self.bits(shape),))
        if (low, high) == (0.0, 1.0):
            return u
        below = np.nextafter(np.float32(high), np.float32(low))  # the product may round up to high
        return ew.minimum(u * (high - low) + low, float(below))

    def normal(self, shape: Any, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Normal float32 (Box and Muller 1958)."""
        u, v = self.uniform(shape), self.uniform(shape)
        return ew.sqrt(ew.log(1.0 - u) * -2.0) * ew.cos(v * (2 * math.pi)) * std + mean

    def bernoulli(self, shape: Any, p: float) -> Tensor:
        """True with probability p."""
        return self.uniform(shape) < p

    def updates(self) -> dict[Tensor, Tensor]:
        """{state: state one step on}."""
        return {self.state: self.state + as_tensor(np.array([0, 1], "int64"))}
