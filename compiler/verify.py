"""Checks between passes: what a pass gives must be legal, and (at the deep level) mean what it was given.

KERNELWRIGHT_VERIFY says how much: 0 nothing, 1 the structure of the graph (default), 2 values too, by running
the reference on random inputs before and after (equal up to what nudging those inputs does). Printed kernels are
checked too: one without a store to each of its results is refused before it is compiled or cached. A failure is the
compiler's fault and names the pass or the kernel. Leans on the op rows and the reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from . import config, dtypes
from .codegen import reference
from .graph import toposort
from .kernels import Buffer, Kernel
from .ops.registry import OPS
from .shapes import Size, show, value
from .tensor import Tensor

TOLERANCE = {dtypes.BFLOAT16: 2e-2, dtypes.FLOAT32: 1e-4, dtypes.FLOAT64: 1e-9}


class VerifyError(AssertionError):
    """A pass made something that is not legal, or not equal."""


def verify(name: str, before: Sequence[Tensor], after: Sequence[Tensor]) -> None:
    """Check that `after`, which the pass `name` made of `before`, may stand for it."""
    level = config.verify_level()
    if level >= 1:
        for old, new in zip(before, after, strict=True):
            if (old.shape, old.dtype) != (new.shape, new.dtype):
                raise VerifyError(f"{name} turned {old.brief()} into {new.brief()}")
        for node in toposort(after):
            _legal(name, node)
    if level >= 2:
        _equal(name, before, after)


def verify_source(kernel: Kernel, text: str, names: Mapping[Buffer, str]) -> None:
    """Check that a kernel's printed source stores to every buffer that the kernel is to fill.

    A kernel that leaves a result as it was compiles and runs without an error, and the cache would give it to every
    later process. Raises VerifyError at any level but 0.
    """
    if config.verify_level() < 1:
        return
    stored = set(re.findall(r"^ *(\w+)\[.*\] = ", text, re.MULTILINE))
    missing = [b.name for b in kernel.writes() if names.get(b) not in stored]
    if missing:
        raise VerifyError(f"the printed kernel {kernel.name} never stores to {', '.join(missing)}:\n{text}")


def _legal(name: str, node: Tensor) -> None:
    if OPS.get(node.op.name) is not node.op:
        raise VerifyError(f"{name} made {node.brief()}, whose op is not in the table")
    shape, dtype = node.op.infer(node.inputs, node.attrs)
    if (tuple(shape), dtype) != (node.shape, node.dtype):
        raise VerifyError(f"{name} made {node.brief()}, but its op infers {show(shape)} {dtype}")


def _equal(name: str, before: Sequence[Tensor], after: Sequence[Tensor]) -> None:
    rng = np.random.default_rng(0)
    nodes = toposort([*before, *after])
    symbols = {s for n in nodes for d in n.shape if isinstance(d, Size) for m, _ in d.terms for s in m}
    env = dict.fromkeys(sorted(symbols), 3)
    feed = {}
    for node in nodes:
        if node.op.name == "input":
            shape = tuple(value(d, env) for d in node.shape)
            feed[node] = rng.random(shape) if dtypes.is_float(node.dtype) else rng.integers(0, 2, shape)
    old, new = reference.evaluate(before, feed, env), reference.evaluate(after, feed, env)
    nudged = reference.evaluate(before, {x: _nudge(rng, v, x.dtype) for x, v in feed.items()}, env)
    for y, a, b, c in zip(before, old, new, nudged, strict=True):
        finite = np.isfinite(a) if dtypes.is_float(y.dtype) else np.ones(a.shape, bool)
        near = TOLERANCE.get(y.dtype, 0.0)
        wrong = ~np.isclose(a[finite], b[finite], rtol=near, atol=near + _noise(a, c, y.dtype))
        if wrong.any():
            was, now = a[finite][wrong][0], b[finite][wrong][0]
            raise VerifyError(f"{name} changed {wrong.sum()} element(s) of {y!r}, such as {was} to {now}")


def _nudge(rng: np.random.Generator, values: np.ndarray, dtype: str) -> np.ndarray:
    """Floats moved by a few units in the last place."""
    if not dtypes.is_float(dtype):
        return values
    return values * (1 + 4 * float(np.finfo(dtypes.computed(dtype)).eps) * rng.choice([-1.0, 1.0], values.shape))


def _noise(a: np.ndarray, nudged: np.ndarray, dtype: str) -> float:
    """What rounding alone does to an output: a step along a gradient that is zero but for rounding may be anything."""
    if not dtypes.is_float(dtype):
        return 0.0
    change = np.abs(a.astype(np.float64) - nudged)
    return 4 * float(change[np.isfinite(change)].max(initial=0.0))
