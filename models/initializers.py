"""First values of parameters: functions of a shape and a NumPy generator, with fans worked out for dense and conv.

Weights default to `fan_in_uniform`, uniform in +-1/sqrt(fan_in), which is what PyTorch's Linear and Conv layers
draw, so that learning rates carry over; biases default to zeros, as in Keras. Large weights are drawn by a thread while
the graph is made, in the order in which layers ask for them. Leans on NumPy, `checks` and the runtime's `awaited`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TypeAlias

import numpy as np

from ..runtime.awaited import Awaited, settle
from .checks import NOT_NEGATIVE, SettingError, choice, number
from .checks import seed as checked_seed

Initializer: TypeAlias = Callable[[tuple[int, ...], np.random.Generator], np.ndarray]


class _Source:
    """A generator. shown: others may hold it too, so that its numbers are drawn when they are asked for."""

    def __init__(self, seed: int | None) -> None:
        self.generator = np.random.default_rng(seed)
        self.shown = False


_SOURCE: ContextVar[_Source | None] = ContextVar("initializer_source", default=None)
_DTYPE: ContextVar[str] = ContextVar("parameter_dtype", default="float32")
_DRAWING: ContextVar[bool] = ContextVar("drawing", default=True)
_SHARED = _Source(0)


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Layers built inside draw their first values from `seed` (None: from the operating system's entropy)."""
    token = _SOURCE.set(_Source(None if seed is None else checked_seed("init.seeded: seed", seed)))
    try:
        yield
    finally:
        _SOURCE.reset(token)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Parameters and running statistics of layers built inside, and images of models, are "float32" or "float64".

    Raises ValueError for any other dtype. First values are drawn in float32 either way.
    """
    if dtype not in ("float32", "float64"):
        raise SettingError(f"precision: parameters are float32 or float64, not {dtype!r}")
    token = _DTYPE.set(dtype)
    try:
        yield
    finally:
        _DTYPE.reset(token)


def dtype() -> str:
    """The dtype of parameters in force: that of `precision`, else float32."""
    return _DTYPE.get()


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Parameters of layers built inside have names and shapes but no values: for counting them, not for programs."""
    token = _DRAWING.set(False)
    try:
        yield
    finally:
        _DRAWING.reset(token)


def drawing() -> bool:
    """Whether parameters get values; not inside `undrawn`."""
    return _DRAWING.get()


def draw(what: Initializer, shape: tuple[int, ...]) -> np.ndarray:
    """First values of a parameter, from the generator in force. Inside `undrawn`, zeros that take no memory."""
    return what(shape, rng()) if drawing() else np.broadcast_to(np.float32(0), shape)


def draw_later(what: Initializer, shape: tuple[int, ...]) -> np.ndarray | Awaited:
    """The same values, which a thread may still be drawing: for `Layer.parameter`."""
    source, kind = _source(), what.func if isinstance(what, partial) else None
    if kind is _constant and drawing():
        return what(shape, source.generator)  # which it does not look at
    apart = kind in _APART and drawing() and not source.shown
    return Awaited(partial(what, shape, source.generator), shape) if apart else draw(what, shape)


def rng() -> np.random.Generator:
    """The generator in force: that of `seeded`, else one for the process that starts at seed 0."""
    source = _source()
    source.shown = True
    settle()
    return source.generator


def whole_number(below: int) -> int:
    """A number in [0, below) from the generator in force."""
    settle()
    return int(_source().generator.integers(below))


def _source() -> _Source:
    return _SOURCE.get() or _SHARED


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(inputs, outputs) of one unit, for a dense weight (out, in) or a conv weight (filters, channels, *window)."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def variance_scaling(scale: float, mode: str = "fan_in", distribution: str = "uniform") -> Initializer:
    """Zero mean and variance `scale` / fan; mode: fan_in, fan_out or fan_avg; distribution: uniform or normal."""
    number("variance_scaling: scale", scale, NOT_NEGATIVE)
    choice("variance_scaling: mode", mode, ("fan_in", "fan_out", "fan_avg"))
    choice("variance_scaling: distribution", distribution, ("uniform", "normal"))

    return partial(_variance_scaling, scale, mode, distribution)


def _variance_scaling(
    scale: float, mode: str, distribution: str, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    fan_in, fan_out = fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    std = math.sqrt(scale / max(fan, 1))
    if distribution == "normal":
        return _normal(std, 0.0, shape, rng)
    limit = math.sqrt(3) * std
    return _uniform(-limit, limit, shape, rng)


fan_in_uniform = variance_scaling(1 / 3)
"""Uniform in +-1/sqrt(fan_in): PyTorch's default."""
glorot_uniform = variance_scaling(1, "fan_avg")
"""For tanh and sigmoid (Glorot and Bengio 2010, equation 16); the default of Keras."""
glorot_normal = variance_scaling(1, "fan_avg", "normal")
he_uniform = variance_scaling(2)
"""For relu (He et al. 2015, equation 10)."""
he_normal = variance_scaling(2, distribution="normal")
lecun_uniform = variance_scaling(1)
"""Unit variance kept forward (LeCun et al. 1998, Efficient BackProp, section 4.6)."""
lecun_normal = variance_scaling(1, distribution="normal")


def normal(std: float = 0.01, mean: float = 0.0) -> Initializer:
    """Normal with the given mean and standard deviation."""
    number("normal: std", std, NOT_NEGATIVE)
    number("normal: mean", mean)
    return partial(_normal, std, mean)


def _normal(std: float, mean: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return (rng.standard_normal(shape) * std + mean).astype("float32")


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Uniform in [low, high)."""
    if number("uniform: low", low) > number("uniform: high", high):
        raise SettingError(f"uniform: low is at most high, not {low} and {high}")
    return partial(_uniform, low, high)


def _uniform(low: float, high: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(low, high, shape).astype("float32")


def constant(value: float) -> Initializer:
    """The same number everywhere."""
    number("constant: value", value)
    return partial(_constant, value)


def _constant(value: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return np.full(shape, value, "float32")


def over_fan_in(limit: float = 2.4) -> Initializer:
    """Uniform in +-limit/fan_in: the fan-in, not its root (LeCun et al. 1989, section 5; 1998, appendix A)."""
    number("over_fan_in: limit", limit, NOT_NEGATIVE)

    return partial(_over_fan_in, limit)


def _over_fan_in(limit: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    most = limit / max(fans(shape)[0], 1)
    return _uniform(-most, most, shape, rng)


_APART = frozenset([_variance_scaling, _normal, _uniform, _over_fan_in])
"""What only draws and scales, and refuses no shape: it may run in a thread of its own."""

zeros = constant(0.0)
ones = constant(1.0)


def orthogonal(gain: float = 1.0) -> Initializer:
    """Rows (or columns, whichever are fewer) orthonormal, times `gain` (Saxe et al. 2014)."""
    number("orthogonal: gain", gain)

    return partial(_orthogonal, gain)


def _orthogonal(gain: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if len(shape) < 2:
        raise SettingError(f"orthogonal: a shape of at least two axes is needed, not {shape}")
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (gain * (q.T if rows < columns else q)).reshape(shape).astype("float32")
