"""The activations that PyTorch and Keras have, as functions of a tensor, composed of the DSL's ops.

Names, defaults and values are PyTorch's, and so are the gradients where a function has a corner. Each takes a tensor of
floats of any shape and gives one of the same shape and dtype (`glu` halves an axis). `relu`, `sigmoid`, `tanh` and
`softmax` are the compiler's own. As layers, with their settings, they are in `activation_layers`.
"""

from __future__ import annotations

import math

from ..compiler.errors import ShapeError
from ..compiler.graph import functions
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.elementwise import abs_, expm1, sigmoid, tanh, where
from ..compiler.graph.synonyms import also_named
from ..compiler.graph.tensor import Like, Tensor, as_tensor, normalize_axis
from ..compiler.shapes import show
from .checks import FINITE, POSITIVE, SettingError, choice, number

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
"""The fixed point of mean 0 and variance 1 (Klambauer et al. 2017, equation 14)."""


def gelu(x: Like, approximate: str = "none") -> Tensor:
    """x times the normal distribution function (Hendrycks and Gimpel 2016).

    approximate: "none" for the function itself, "tanh" for x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), which GPT-2
    and BERT's first code use. Raises SettingError for another word.
    """
    x = as_tensor(x)
    if choice("gelu: approximate", approximate, ("none", "tanh")) == "none":
        return functions.gelu(x)
    return x * 0.5 * (1.0 + tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)))


def silu(x: Like) -> Tensor:
    """x sigmoid(x), also called swish (Hendrycks and Gimpel 2016; Ramachandran, Zoph, Le 2017)."""
    x = as_tensor(x)
    return x * sigmoid(x)


def mish(x: Like) -> Tensor:
    """x tanh(softplus(x)) (Misra 2019)."""
    x = as_tensor(x)
    return x * tanh(functions.softplus(x))


def leaky_relu(x: Like, negative_slope: float = 0.01) -> Tensor:
    """x above 0, negative_slope x below (Maas, Hannun, Ng 2013). The gradient at 0 is the slope."""
    x = as_tensor(x)
    return where(x > 0, x, x * number("leaky_relu: negative_slope", negative_slope, FINITE))


def elu(x: Like, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha (exp(x) - 1) below (Clevert, Unterthiner, Hochreiter 2016)."""
    return _exponential(as_tensor(x), 1.0, number("elu: alpha", alpha, FINITE), 1.0)


def celu(x: Like, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha (exp(x / alpha) - 1) below (Barron 2017), whose slope at 0 is 1 for every alpha above 0."""
    alpha = number("celu: alpha", alpha, POSITIVE)
    return _exponential(as_tensor(x), 1.0, alpha, 1 / alpha)


def selu(x: Like) -> Tensor:
    """elu with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return _exponential(as_tensor(x), SELU_SCALE, SELU_SCALE * SELU_ALPHA, 1.0)


def _exponential(x: Tensor, above: float, below: float, rate: float) -> Tensor:
    """above x where x > 0, else below (exp(rate x) - 1). What is not taken is kept from overflowing."""
    negative = where(x > 0, 0.0, x)
    return where(x > 0, x * above, expm1(negative * rate) * below)


def hardtanh(x: Like, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val]; the gradient at both is 0. Raises SettingError unless min_val < max_val."""
    low, high = number("hardtanh: min_val", min_val), number("hardtanh: max_val", max_val)
    if low >= high:
        raise SettingError(f"hardtanh: min_val lies below max_val, and {low:g} does not lie below {high:g}")
    x = as_tensor(x)
    return where(x <= low, low, where(x >= high, high, x))


def relu6(x: Like) -> Tensor:
    """x limited to [0, 6]; the gradient at both is 0."""
    return hardtanh(x, 0.0, 6.0)


def hardsigmoid(x: Like) -> Tensor:
    """x / 6 + 1/2 limited to [0, 1], which begins at -3 and ends at 3 (Howard et al. 2019)."""
    x = as_tensor(x)
    return where(x <= -3, 0.0, where(x >= 3, 1.0, x * (1 / 6) + 0.5))


def hardswish(x: Like) -> Tensor:
    """x hardsigmoid(x) (Howard et al. 2019)."""
    x = as_tensor(x)
    return where(x <= -3, 0.0, where(x >= 3, x, x * (x * (1 / 6) + 0.5)))


def softsign(x: Like) -> Tensor:
    """x / (1 + |x|)."""
    x = as_tensor(x)
    return x / (abs_(x) + 1.0)


def log_sigmoid(x: Like) -> Tensor:
    """log(sigmoid(x)) without underflow."""
    return -functions.softplus(-as_tensor(x))


@also_named()
def glu(x: Like, axis: int = -1) -> Tensor:
    """a sigmoid(b) with a and b the halves of x along `axis` (Dauphin et al. 2017).

    Raises ShapeError where the axis has no even, known size.
    """
    x = as_tensor(x)
    at = normalize_axis("glu", axis, x)
    size = x.shape[at]
    if not isinstance(size, int) or size % 2:
        raise ShapeError(f"glu: axis {axis} of {show(x.shape)} is halved, and has no even size (at {user_location()})")
    before = (slice(None),) * at
    return x[(*before, slice(0, size // 2))] * sigmoid(x[(*before, slice(size // 2, size))])


__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu6",
    "selu",
    "silu",
    "softsign",
]
