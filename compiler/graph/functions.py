"""What is composed of primitives: softmax, norms, losses. Fast and stable by rewriting and fusion, not by hand.

Leans on the op families only.
"""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..errors import ShapeError
from ..shapes import show
from .arrangement import swapaxes
from .node import user_location
from .ops.elementwise import clip, erf, exp, log, log1p, maximum, rsqrt, sqrt, stop_gradient, where
from .ops.indexing import hits, one_hot
from .ops.movement import expand_dims
from .ops.reduce import mean, sum_
from .ops.slicing import pad
from .ops.source import iota
from .ops.window import sum_pool
from .synonyms import also_named
from .tensor import Like, Tensor, as_tensor, normalize_axes


@also_named()
def softmax(x: Like, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`, shifted by the maximum so that it cannot overflow."""
    x = as_tensor(x)
    e = exp(x - stop_gradient(x.max(axis, keepdims=True)))
    return e / e.sum(axis, keepdims=True)


@also_named()
def log_softmax(x: Like, axis: int = -1) -> Tensor:
    """log(softmax(x)), computed without forming the quotient."""
    x = as_tensor(x)
    shifted = x - stop_gradient(x.max(axis, keepdims=True))
    return shifted - log(exp(shifted).sum(axis, keepdims=True))


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without overflow."""
    return maximum(x, 0) + log1p(exp(-abs(x)))


def prelu(x: Like, weight: Like) -> Tensor:
    """x above 0, weight x below (He et al. 2015b). weight: one number, or one for each channel (axis 1) of x."""
    x, weight = as_tensor(x), as_tensor(weight)
    by_channel = weight.rank == 1 and x.rank > 1 and weight.shape[0] != 1
    return where(x > 0, x, x * (weight.reshape(-1, *(1,) * (x.rank - 2)) if by_channel else weight))


def scaled_dot_product_attention(
    query: Like,
    key: Like,
    value: Like,
    attn_mask: Like | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(query key^T scale) value (Vaswani et al. 2017, equation 1), for any axes before the last two.

    query (..., time, size), key (..., other time, size), value (..., other time, features); scale: 1 / sqrt(size) where
    it is None. attn_mask broadcasts to (..., time, other time): bool, True where a query sees a key, or floats that are
    added, as in PyTorch's function of this name. is_causal: a place sees itself and those before it. A query that sees
    nothing is NaN. Raises ShapeError for a size that is not known while compiling.
    """
    return attention_weights(as_tensor(query), as_tensor(key), attn_mask, is_causal, scale) @ as_tensor(value)


def attention_weights(
    q: Tensor, k: Tensor, attn_mask: Like | None = None, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """What each query takes of each value, as in `scaled_dot_product_attention`: (..., time, other time)."""
    size = q.shape[-1] if q.rank > 1 else None
    if scale is None and not isinstance(size, int):
        raise ShapeError(
            f"scaled_dot_product_attention: (..., time, size) with a known size is needed, not {show(q.shape)}; "
            f"or give scale= (at {user_location()})"
        )
    scores = (q * (1 / math.sqrt(size) if scale is None else scale)) @ swapaxes(k, -1, -2)  # type: ignore[arg-type]
    if is_causal:
        queries, others = (iota(n) for n in scores.shape[-2:])
        scores = where(expand_dims(others, 0) > expand_dims(queries, 1), -math.inf, scores)
    if attn_mask is not None:
        mask = as_tensor(attn_mask)
        scores = where(mask, scores, -math.inf) if mask.dtype == dtypes.BOOL else scores + mask
    return softmax(scores)


def gelu(x: Tensor) -> Tensor:
    """x times the normal distribution function (Hendrycks and Gimpel 2016)."""
    return x * 0.5 * (1.0 + erf(x * (1 / math.sqrt(2))))


def cross_entropy(logits: Like, targets: Like, label_smoothing: float = 0.0) -> Tensor:
    """The mean over rows of -log softmax(logits)[target].

    logits: (..., classes) floats; targets: integers (...,) in [0, classes), or weights of logits' shape.
    Scalar result. Raises ShapeError where the shapes do not fit.
    """
    logits, targets = as_tensor(logits), as_tensor(targets)
    classes = logits.shape[-1] if logits.rank else 0
    if not isinstance(classes, int) or classes == 0:
        raise ShapeError(
            f"cross_entropy: logits {show(logits.shape)} need a last axis of classes (at {user_location()})"
        )
    log_p = log_softmax(logits)
    if targets.shape == logits.shape and dtypes.is_float(targets.dtype):
        weights = targets
    elif targets.shape == logits.shape[:-1] and dtypes.is_integer(targets.dtype):
        if label_smoothing == 0.0:
            hit = hits(targets, classes)
            return -mean(sum_(where(hit, log_p, 0.0), -1))
        weights = one_hot(targets, classes, logits.dtype)
    else:
        raise ShapeError(
            f"cross_entropy: logits {show(logits.shape)} take integer targets {show(logits.shape[:-1])} or "
            f"weights {show(logits.shape)}, not {targets.brief()}\n  at {user_location()}"
        )
    if label_smoothing:
        weights = weights * (1 - label_smoothing) + label_smoothing / classes
    return -mean(sum_(weights * log_p, -1))


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean of -log sigmoid, from logits; targets in [0, 1] of the same shape."""
    return mean(softplus(logits) - targets * logits)


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """The mean over rows of sum p log(p / q) along the last axis; 0 log 0 is 0."""
    positive = p > 0
    ratio = log(where(positive, p, 1.0)) - log(where(positive, q, 1.0))
    return mean(sum_(where(positive, p * ratio, 0.0), -1))


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of (prediction - target)^2."""
    d = prediction - target
    return mean(d * d)


def hinge(scores: Tensor, targets: Tensor, squared: bool = False) -> Tensor:
    """One-vs-rest hinge loss: the mean over rows of sum max(0, 1 - y s), with y = +1 at the target and -1 elsewhere."""
    classes = scores.shape[-1]
    sign = one_hot(targets, classes, scores.dtype) * 2.0 - 1.0  # type: ignore[arg-type]
    margin = maximum(1.0 - sign * scores, 0.0)
    return mean(sum_(margin * margin if squared else margin, -1))


def batch_norm(x: Tensor, scale: Tensor, shift: Tensor, mean_: Tensor, var: Tensor, eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(var + eps) * scale + shift, per channel (axis 1) (Ioffe and Szegedy 2015, algorithm 1).

    Where the mean is computed, the same function is written as (x - m) * f + (shift - (mean - m) * f) with m the mean
    as a constant. Its derivatives are the same at every order, and the gradient by the mean needs no sum over x of its
    own: it is f times that by the shift.
    """
    per_channel = (1, -1) + (1,) * (x.rank - 2)
    factor = scale * rsqrt(var + eps)
    if mean_.inputs:
        fixed = stop_gradient(mean_)
        mean_, shift = fixed, shift - (mean_ - fixed) * factor
    return (x - mean_.reshape(per_channel)) * factor.reshape(per_channel) + shift.reshape(per_channel)


def moments(x: Tensor, axes: Any, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """(mean, biased variance) over `axes`."""
    m = x.mean(axes)
    row = expand_dims(m, normalize_axes("moments", axes, x))
    d = x - row
    return (row if keepdims else m), (d * d).mean(axes, keepdims=keepdims)


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """Normalised over the last axis (Ba, Kiros, Hinton 2016)."""
    m, v = moments(x, -1, keepdims=True)
    return (x - m) * rsqrt(v + eps) * scale + shift


def local_response_norm(x: Tensor, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> Tensor:
    """x / (k + alpha/size * sum of x^2 over `size` neighbouring channels)^beta, as PyTorch scales alpha.

    x: (batch, channels, ...). Krizhevsky et al. 2012, section 3.3 (whose alpha is not divided by size).
    """
    before = size // 2
    squares = pad(x * x, [0, (before, size - 1 - before)] + [0] * (x.rank - 2))
    window = (size,) + (1,) * (x.rank - 2)
    scale = sum_pool(squares, window, 1) * (alpha / size) + k
    if beta != 0.75:
        return x / scale**beta
    root = rsqrt(scale)  # scale**-0.5: the common power by two roots, where powers cost twenty operations
    return x * (root * sqrt(root))


__all__ = [
    "batch_norm",
    "binary_cross_entropy",
    "clip",
    "cross_entropy",
    "gelu",
    "hinge",
    "kl_divergence",
    "layer_norm",
    "local_response_norm",
    "log_softmax",
    "mean_squared_error",
    "moments",
    "softmax",
    "softplus",
]
