"""Activations as layers, under PyTorch's names: what `Sequential(..., kw.nn.LeakyReLU(0.2))` is made of.

A plain function stands in a Sequential as it is (`kw.relu`); these are for functions with settings, for the one that
learns (PReLU), and for people who write `ReLU()`. Leans on `activations` for the formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..compiler.graph import functions
from ..compiler.graph.functions import prelu
from ..compiler.graph.node import user_location
from ..compiler.graph.ops import elementwise
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from . import activations
from . import initializers as init
from .arguments import explained
from .checks import FINITE, POSITIVE, choice, flag, function, number, whole
from .layer import Layer, LayerError

NAMES = {
    "inplace": "it is left out: tensors are values",
    "alpha": "here it is negative_slope",
    "max_value": "kw.nn.ReLU6(), or kw.nn.Hardtanh(0, max_value)",
    "num_parameters": "shared=True learns one slope, shared=False one for each channel",
}

QUARTER = init.constant(0.25)
FAR = 64
"""No tensor has so many axes."""


class _Plain(Layer):
    """A function without settings, applied to each element."""

    function: ClassVar[Callable[..., Tensor]]

    @explained(NAMES, error=LayerError)
    def __init__(self, *, name: str | None = None):
        super().__init__(name)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return type(self).function(x)


class ReLU(_Plain):
    """max(x, 0)."""

    kind, function = "relu", staticmethod(elementwise.relu)


class ReLU6(_Plain):
    """x limited to [0, 6]."""

    kind, function = "relu6", staticmethod(activations.relu6)


class Sigmoid(_Plain):
    """1 / (1 + exp(-x))."""

    kind, function = "sigmoid", staticmethod(elementwise.sigmoid)


class Tanh(_Plain):
    """The hyperbolic tangent."""

    kind, function = "tanh", staticmethod(elementwise.tanh)


class SiLU(_Plain):
    """x sigmoid(x), also called swish."""

    kind, function = "silu", staticmethod(activations.silu)


class Mish(_Plain):
    """x tanh(softplus(x)) (Misra 2019)."""

    kind, function = "mish", staticmethod(activations.mish)


class SELU(_Plain):
    """elu with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""

    kind, function = "selu", staticmethod(activations.selu)


class Hardsigmoid(_Plain):
    """x / 6 + 1/2 limited to [0, 1] (Howard et al. 2019)."""

    kind, function = "hardsigmoid", staticmethod(activations.hardsigmoid)


class Hardswish(_Plain):
    """x hardsigmoid(x) (Howard et al. 2019)."""

    kind, function = "hardswish", staticmethod(activations.hardswish)


class Softsign(_Plain):
    """x / (1 + |x|)."""

    kind, function = "softsign", staticmethod(activations.softsign)


class LogSigmoid(_Plain):
    """log(sigmoid(x)) without underflow."""

    kind, function = "log_sigmoid", staticmethod(activations.log_sigmoid)


class GELU(Layer):
    """x times the normal distribution function; approximate="tanh" as in `kw.gelu`."""

    kind = "gelu"

    @explained(NAMES, error=LayerError)
    def __init__(self, approximate: str = "none", *, name: str | None = None):
        super().__init__(name)
        self.approximate = choice("GELU: approximate", approximate, ("none", "tanh"))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return activations.gelu(x, self.approximate)


class LeakyReLU(Layer):
    """x above 0, negative_slope x below (Maas, Hannun, Ng 2013). Keras's default slope is 0.3."""

    kind = "leaky_relu"

    @explained(NAMES, error=LayerError)
    def __init__(self, negative_slope: float = 0.01, *, name: str | None = None):
        super().__init__(name)
        self.negative_slope = number("LeakyReLU: negative_slope", negative_slope, FINITE)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return activations.leaky_relu(x, self.negative_slope)


class PReLU(Layer):
    """x above 0, weight x below, with a weight that is learnt and starts at a quarter (He et al. 2015).

    shared: one weight (1,), as in PyTorch's PReLU(); False: one for each channel (axis 1), as in its PReLU(channels).
    """

    kind = "prelu"

    @explained(NAMES, "the channels are learnt from the first call: PReLU(64) is PReLU(shared=False)", LayerError)
    def __init__(
        self,
        *,
        shared: bool = True,
        weight_init: init.Initializer = QUARTER,
        name: str | None = None,
    ):
        super().__init__(name)
        self.shared = flag("PReLU: shared", shared)
        self.weight_init = function("PReLU: weight_init", weight_init)

    def build(self, x: Tensor) -> None:
        channels = 1 if self.shared else x.shape[1] if x.rank > 1 else None
        if not isinstance(channels, int):
            raise LayerError(
                f"prelu: (batch, channels, ...) with known channels is needed, not {show(x.shape)} (at "
                f"{user_location()}); PReLU() learns one slope for all"
            )
        self.weight = self.parameter("weight", init.draw_later(self.weight_init, (channels,)))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return prelu(x, self.weight)


class ELU(Layer):
    """x above 0, alpha (exp(x) - 1) below (Clevert, Unterthiner, Hochreiter 2016)."""

    kind = "elu"

    @explained({"inplace": NAMES["inplace"]}, error=LayerError)
    def __init__(self, alpha: float = 1.0, *, name: str | None = None):
        super().__init__(name)
        self.alpha = number("ELU: alpha", alpha, FINITE)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return activations.elu(x, self.alpha)


class CELU(Layer):
    """x above 0, alpha (exp(x / alpha) - 1) below (Barron 2017)."""

    kind = "celu"

    @explained({"inplace": NAMES["inplace"]}, error=LayerError)
    def __init__(self, alpha: float = 1.0, *, name: str | None = None):
        super().__init__(name)
        self.alpha = number("CELU: alpha", alpha, POSITIVE)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return activations.celu(x, self.alpha)


class Hardtanh(Layer):
    """x limited to [min_val, max_val]."""

    kind = "hardtanh"

    @explained({"inplace": NAMES["inplace"]}, error=LayerError)
    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, *, name: str | None = None):
        super().__init__(name)
        self.min_val, self.max_val = number("Hardtanh: min_val", min_val), number("Hardtanh: max_val", max_val)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return activations.hardtanh(x, self.min_val, self.max_val)


class Softplus(Layer):
    """log(1 + exp(beta x)) / beta, without overflow."""

    kind = "softplus"

    @explained({"threshold": "it is left out: no beta x overflows"}, error=LayerError)
    def __init__(self, beta: float = 1.0, *, name: str | None = None):
        super().__init__(name)
        self.beta = number("Softplus: beta", beta, POSITIVE)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return functions.softplus(x) if self.beta == 1 else functions.softplus(x * self.beta) * (1 / self.beta)


class _Along(Layer):
    """A function along one axis."""

    function: ClassVar[Callable[..., Tensor]]

    @explained(NAMES, error=LayerError)
    def __init__(self, axis: int = -1, *, name: str | None = None):
        super().__init__(name)
        self.axis = whole(f"{type(self).__name__}: axis", axis, least=-FAR, most=FAR)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return type(self).function(x, self.axis)


class Softmax(_Along):
    """exp(x) over its sum along `axis`. `kw.losses.cross_entropy` takes what comes before a softmax."""

    kind, function = "softmax", staticmethod(functions.softmax)


class LogSoftmax(_Along):
    """The logarithm of the softmax along `axis`, which `kw.losses.nll` takes."""

    kind, function = "log_softmax", staticmethod(functions.log_softmax)


class GLU(_Along):
    """a sigmoid(b) with a and b the halves of x along `axis` (Dauphin et al. 2017)."""

    kind, function = "glu", staticmethod(activations.glu)


__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]
