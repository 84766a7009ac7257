"""Do two graphs mean the same? Both are run by the reference on inputs of many sizes, and compared as is fair.

What is fair: an element that is finite before must be finite after, and close to it; NaN that an input brings must stay
NaN; where the graph before overflows, anything may stand after (a stable form is finite there). Close is up to what
rounding does to the graph before: it is run again with every operation that rounds moved by a few units in the last
place, and by the smallest normal number where it underflows, and what that changes is allowed. An element that becomes
infinite by that is not compared, nor an integer that changes. Leans on the op rows and the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...runtime.sizes import symbols
from .. import dtypes
from ..graph import reference
from ..graph.bfloat16 import given
from ..graph.node import toposort
from ..graph.tensor import Tensor
from ..shapes import poly, value

TOLERANCE = {dtypes.BFLOAT16: 2e-2, dtypes.FLOAT32: 1e-4, dtypes.FLOAT64: 1e-9}
UNIT = {dtypes.BFLOAT16: 2.0**-8, dtypes.FLOAT32: 2.0**-23, dtypes.FLOAT64: 2.0**-52}
SCALED = 6
DISTURBED = 2
MOST = 64
"""Symbols are not tried beyond."""

Feed = dict[Any, np.ndarray]
Draw = Callable[[np.random.Generator, tuple[int, ...], str], np.ndarray]


def difference(before: Sequence[Tensor], after: Sequence[Tensor], *, scaled: int = SCALED) -> str:
    """The first element found that differs, in words; "" where none does.

    Of the inputs beyond [-1, 1], `scaled` times each has a random power of ten of its own.
    Variables have their present values. Symbols are 3, or more where some size would be negative.
    """
    rng = np.random.default_rng(0)
    nodes = toposort([*before, *after])
    env = dict.fromkeys(sorted(set().union(*(symbols(poly(d)) for n in nodes for d in n.shape))), 3)
    while env and max(env.values()) < MOST and any(value(d, env) < 0 for n in nodes for d in n.shape):
        env = {symbol: size + 1 for symbol, size in env.items()}
    for kind, draw in _draws(scaled):
        feed: Feed = {}
        for node in nodes:
            if node.op.name == "input":
                shape = tuple(value(d, env) for d in node.shape)
                drawn = draw(rng, shape, node.dtype) if dtypes.is_float(node.dtype) else rng.integers(0, 2, shape)
                feed[node] = drawn
        found = _compare(before, after, feed, env, rng, kind)
        if found:
            return f"{found} ({kind} inputs)"
    return ""


# ---------------------------------------------------------------- inputs


def _draws(scaled: int) -> Iterator[tuple[str, Draw]]:
    yield "positive", lambda rng, shape, dtype: rng.random(shape)
    yield "signed", lambda rng, shape, dtype: rng.uniform(-1, 1, shape)
    for _ in range(scaled):
        yield "scaled", _scaled
    yield "large", _large
    yield "tiny", _small
    yield "NaN", lambda rng, shape, dtype: _with(rng, shape, [np.nan])
    yield "infinite", lambda rng, shape, dtype: _with(rng, shape, [np.inf, -np.inf])


def _scaled(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    step = rng.integers(-4, 5)
    if abs(step) == 4:
        return _large(rng, shape, dtype) if step > 0 else _small(rng, shape, dtype)
    return _of_one_sign(rng, shape, 10.0 ** float(step * (100 if dtype == dtypes.FLOAT64 else 12)))


def _large(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return _of_one_sign(rng, shape, dtypes.largest(dtype) / 2)


def _small(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return _of_one_sign(rng, shape, 4 * _tiny(dtype))


def _of_one_sign(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> np.ndarray:
    """Of one sign, since sums of both signs may overflow in one order and not in another."""
    result: np.ndarray = rng.uniform(0.5, 1.0, shape) * size * rng.choice([-1.0, 1.0])
    return result


def _with(rng: np.random.Generator, shape: tuple[int, ...], some: list[float]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.2, rng.choice(some, shape), rng.random(shape))


def _tiny(dtype: str) -> float:
    return float(np.finfo(dtypes.computed(dtype)).tiny)


# ---------------------------------------------------------------- comparison


def _compare(
    before: Sequence[Tensor],
    after: Sequence[Tensor],
    feed: Feed,
    env: Mapping[str, int],
    rng: np.random.Generator,
    kind: str,
) -> str:
    feed = {x: given(v, x.dtype) for x, v in feed.items()}
    old, new = reference.evaluate(before, feed, env), reference.evaluate(after, feed, env)
    moved = [reference.evaluate(before, _nudged(feed, rng), env, disturb=_disturb(rng)) for _ in range(DISTURBED)]
    for i, y in enumerate(before):
        wrong = _wrong(y.dtype, old[i], new[i], [each[i] for each in moved], kind)
        if wrong.any():
            return f"changed {wrong.sum()} element(s) of {y!r}, such as {old[i][wrong][0]} to {new[i][wrong][0]}"
    return ""


def _wrong(dtype: str, old: np.ndarray, new: np.ndarray, moved: Sequence[np.ndarray], kind: str) -> np.ndarray:
    """Where `new` may not stand for `old`."""
    if not dtypes.is_float(dtype):
        steady = np.all([each == old for each in moved], axis=0)
        other: np.ndarray = steady & (old != new)
        return other
    lost = np.isnan(old) & ~np.isnan(new) & (kind == "NaN")
    steady = np.isfinite(old) & np.all(np.isfinite(moved), axis=0)
    with np.errstate(all="ignore"):
        wide = old.astype(np.float64)
        noise = np.max([np.abs(wide - each) for each in moved], axis=0)
        size = np.abs(wide[steady]).max(initial=0.0)
        near = TOLERANCE[dtype] * (np.minimum(size, 1.0) if kind not in ("positive", "signed") else 1.0)
        allowed = TOLERANCE[dtype] * np.abs(wide) + 1e-2 * near + 8 * noise[steady].max(initial=0.0) + _tiny(dtype)
        far = ~(np.abs(wide - new) <= allowed)
    result: np.ndarray = lost | (steady & far)
    return result


def _nudged(feed: Feed, rng: np.random.Generator) -> Feed:
    return {x: _rounded_otherwise(v, x.dtype, rng) if dtypes.is_float(x.dtype) else v for x, v in feed.items()}


def _rounded_otherwise(values: np.ndarray, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """Floats moved by a few units in the last place."""
    with np.errstate(all="ignore"):
        return np.asarray(values * (1 + 4 * UNIT[dtype] * rng.choice([-1.0, 1.0], values.shape)), values.dtype)


def _disturb(rng: np.random.Generator) -> Callable[[Tensor, Sequence[np.ndarray], np.ndarray], np.ndarray]:
    """What rounding could also have made of an operation's result."""

    def change(node: Tensor, inputs: Sequence[np.ndarray], result: np.ndarray) -> np.ndarray:
        if not node.op.rounds or not dtypes.is_float(node.dtype):
            return result
        result = _rounded_otherwise(result, node.dtype, rng)
        if not node.op.underflows:
            return result
        tiny = _tiny(node.dtype)
        lost = np.abs(result) < tiny
        if node.op.kind == "elementwise":
            lost &= np.all([each != 0 for each in inputs], axis=0)  # 0 times anything is 0
        return np.where(lost, result + tiny * rng.choice([-1.0, 1.0], result.shape), result).astype(result.dtype)

    return change
