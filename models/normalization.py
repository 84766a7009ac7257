"""Layers that rescale: batch, layer and local response normalisation, and dropout; others are in `group_norms`.

Leans on `layer`, and on the compiler's composed functions for the formulas.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..compiler.graph import functions
from ..compiler.graph.companions import accompany
from ..compiler.graph.ops.elementwise import maximum, rsqrt, where
from ..compiler.graph.ops.random import Generator
from ..compiler.graph.ops.source import size_of
from ..compiler.graph.tensor import Tensor, dim_of
from ..compiler.shapes import Shape, show
from . import initializers as init
from .arguments import explained
from .checks import FRACTION, NOT_NEGATIVE, POSITIVE, PROBABILITY, number, whole
from .checks import seed as checked_seed
from .layer import Layer, LayerError

LEARNT = "the number of features is learnt from the first call"
NAMES = {
    "num_features": f"here it is left out: {LEARNT}",
    "normalized_shape": f"here it is left out: {LEARNT}",
    "epsilon": "here it is eps",
    "axis": "it is always axis 1 for BatchNorm and the last axis for LayerNorm",
    "rate": "here it is p",
}


class BatchNorm(Layer):
    """Per channel (axis 1), over the batch and space (Ioffe and Szegedy 2015), with PyTorch's conventions.

    Training: batch moments (biased variance), and running <- (1 - momentum) running + momentum batch with the
    unbiased variance; a program with the training form moves them whenever it runs, unless its batch is empty.
    Inference: the running moments. Where a layer is called twice in one program, the last call moves the averages.
    momentum is what a batch weighs: Keras's 0.99 is 0.01 here.
    """

    kind = "batchnorm"
    state_names: ClassVar = {"scale": "weight", "shift": "bias", "mean": "running_mean", "var": "running_var"}
    state_ignored = ("num_batches_tracked",)

    @explained(NAMES, f"{LEARNT}, so that PyTorch's BatchNorm2d(64) is BatchNorm()", LayerError)
    def __init__(self, *, momentum: float = 0.1, eps: float = 1e-5, name: str | None = None):
        super().__init__(name)
        self.momentum = number("BatchNorm: momentum", momentum, PROBABILITY)
        self.eps = number("BatchNorm: eps", eps, NOT_NEGATIVE)

    def build(self, x: Tensor) -> None:
        if x.rank < 2 or not isinstance(x.shape[1], int):
            raise LayerError(f"batchnorm: (batch, channels, ...) with known channels is needed, not {show(x.shape)}")
        channels = (x.shape[1],)
        self.scale = self.parameter("scale", np.ones(channels))
        self.shift = self.parameter("shift", np.zeros(channels))
        self.mean = self.buffer("mean", np.zeros(channels, init.dtype()))
        self.var = self.buffer("var", np.ones(channels, init.dtype()))

    @property
    def last_input(self) -> Tensor:
        """The tensor of the last call."""
        return self._last_input

    def forward(self, x: Tensor, training: bool) -> Tensor:
        self._last_input = x
        if not training:
            return functions.batch_norm(x, self.scale, self.shift, self.mean, self.var, self.eps)
        axes = (0, *range(2, x.rank))
        mean, var = functions.moments(x, axes)
        count = size_of(dim_of(x, axes), x.dtype)
        unbiased = var * (count / maximum(count - 1.0, 1.0))
        keep, seen = 1.0 - self.momentum, count > 0  # an empty batch says nothing of the statistics
        self._updates = {
            self.mean: where(seen, self.mean * keep + mean * self.momentum, self.mean),
            self.var: where(seen, self.var * keep + unbiased * self.momentum, self.var),
        }
        y = functions.batch_norm(x, self.scale, self.shift, mean, var, self.eps)
        # The factor of this pass, a node of `y`: its gradients have it too, and programs of other things have not.
        accompany(self.scale * rsqrt(var + self.eps), self._updates)
        return y


class LayerNorm(Layer):
    """Over the last axis of each example (Ba, Kiros, Hinton 2016)."""

    kind = "layernorm"
    state_names: ClassVar = {"scale": "weight", "shift": "bias"}

    @explained(NAMES, f"{LEARNT}, so that PyTorch's LayerNorm(64) is LayerNorm()", LayerError)
    def __init__(self, *, eps: float = 1e-5, name: str | None = None):
        super().__init__(name)
        self.eps = number("LayerNorm: eps", eps, NOT_NEGATIVE)

    def build(self, x: Tensor) -> None:
        if x.rank < 2 or not isinstance(x.shape[-1], int):
            raise LayerError(f"layernorm: (..., features) with known features is needed, not {show(x.shape)}")
        self.scale = self.parameter("scale", np.ones(x.shape[-1]))
        self.shift = self.parameter("shift", np.zeros(x.shape[-1]))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return functions.layer_norm(x, self.scale, self.shift, self.eps)


class LocalResponseNorm(Layer):
    """Across neighbouring channels (Krizhevsky et al. 2012, section 3.3); alpha is divided by size, as in PyTorch."""

    kind = "lrn"

    @explained(error=LayerError)
    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, *, name: str | None = None
    ):
        super().__init__(name)
        self.size, self.k = whole("LocalResponseNorm: size", size), number("LocalResponseNorm: k", k, POSITIVE)
        self.alpha = number("LocalResponseNorm: alpha", alpha, NOT_NEGATIVE)
        self.beta = number("LocalResponseNorm: beta", beta, NOT_NEGATIVE)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return functions.local_response_norm(x, self.size, self.alpha, self.beta, self.k)


class Dropout(Layer):
    """In training each element is 0 with probability `p`, else divided by 1 - p (Srivastava et al. 2014).

    The mask comes from a counter-based generator whose state is a buffer of the layer: the same on any device and
    thread count, and restored with a checkpoint.
    """

    state_names: ClassVar = {"generator": None}

    kind = "dropout"

    @explained(NAMES, "the seed goes by name, as in Dropout(0.5, seed=1)", LayerError)
    def __init__(self, p: float = 0.5, *, seed: int | None = None, name: str | None = None):
        super().__init__(name)
        self.p = number("Dropout: p, a probability,", p, FRACTION)
        self.seed = None if seed is None else checked_seed("Dropout: seed", seed)

    def build(self, x: Tensor) -> None:
        seed = init.whole_number(2**62) if self.seed is None else self.seed
        self.generator = Generator(seed)
        self.generator.state = self.buffer("generator", np.array([seed, 0], "int64"))

    def drawn(self, x: Tensor) -> Shape:
        """The shape of the mask."""
        return x.shape

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if not training or self.p == 0:
            return x
        self._updates = self.generator.updates()
        kept = self.generator.uniform(self.drawn(x)) >= self.p
        accompany(kept, self._updates)
        return where(kept, x * (1 / (1 - self.p)), 0.0)


class SpatialDropout(Dropout):
    """Dropout of whole channels (axis 1) of each example (Tompson et al. 2015); PyTorch's Dropout1d, 2d and 3d."""

    kind = "spatialdropout"

    def drawn(self, x: Tensor) -> Shape:
        if x.rank < 2:
            raise LayerError(f"spatialdropout: (batch, channels, ...) is needed, not {show(x.shape)}")
        return (*x.shape[:2], *(1,) * (x.rank - 2))
