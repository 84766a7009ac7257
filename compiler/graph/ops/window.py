"""Windows: max and sum over sliding windows, and the pick by position that their gradients are.

They share `contract`'s description of affine reads. `window_argmax` gives the position of the maximum in its
window; max pooling's gradient routes by it (`window_pick`), which is linear and has itself as its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np

from ....runtime.sizes import thin_images
from ... import dtypes
from ...errors import ShapeError
from ...loops import expressions as loops
from ...shapes import BATCH, Shape, as_index, product, show
from ..node import user_location
from ..synonyms import also_named
from ..tensor import Tensor, apply, full
from .contract import Access, Spec, _each, _pads, axis_access, extents_of, gather_operand, gradient_spec, read_operand
from .registry import Op, Sample, register


def _infer(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    return attrs.spec.out, inputs[0].dtype


def _spread(x: np.ndarray, accesses: Sequence[Access], spec: Spec, env: dict[str, int], fill: float) -> np.ndarray:
    """The operand over all axes of the spec, the summed ones flattened to the last."""
    extents = extents_of(spec, env)
    picked, used = gather_operand(x, accesses, extents, fill)
    shape = [extents[a] if a in used else 1 for a in range(len(extents))]
    full_array = np.broadcast_to(picked.reshape(shape), extents)
    n_out = len(spec.out)
    return full_array.reshape(*extents[:n_out], int(np.prod(extents[n_out:])))


def _place_dtype(spec: Spec) -> str:
    """Of a position in a window: a byte where that can hold it, since memory is what pooling waits for."""
    count = product(spec.red)
    return dtypes.UINT8 if isinstance(count, int) and count <= 256 else dtypes.INT32


def _lowest(dtype: str) -> float:
    return -float("inf") if dtypes.is_float(dtype) else int(np.iinfo(dtype).min)


def _lower(kind: str) -> Any:
    def lower(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
        spec: Spec = node.attrs.spec
        x = node.inputs[0]
        red = [axis(d) for d in spec.red]
        axes = list(index) + [loops.at(r) for r in red]
        conditions, value = read_operand(spec.operands[0], x.shape, axes, lambda i: read(0, i))
        outside = 0 if kind == "sum" else _lowest(x.dtype)
        body = loops.guard(conditions, value, loops.const(outside, x.dtype))
        result = loops.reduction(kind, red, body, dtypes.INT32 if kind == "argmax" else node.dtype)
        if kind != "argmax":
            return result
        return _cast(_inside(spec, index, result), node.dtype)

    return lower


def _cast(value: Any, dtype: str) -> Any:
    return value if value.dtype == dtype else loops.call("cast", [value], dtype)


def _inside(spec: Spec, index: Any, chosen: Any) -> Any:
    """The position chosen in the window at `index`; where that is 0, the first that is no padding: nothing exceeded the
    padding's value, as where all elements are -inf."""
    accesses = spec.operands[0]
    if all(access.offset >= 0 for access in accesses):
        return chosen

    def call(op: str, *values: Any) -> Any:
        return loops.call(op, list(values), dtypes.INT32)

    zero, first = loops.const(0, dtypes.INT32), None
    for a, extent in enumerate(spec.red, len(spec.out)):
        access = next(access for access in accesses if (a, 1) in access.terms)
        start = loops.Index(const=access.offset)
        for i, c in access.terms:
            start = start + index[i] * c if i != a else start
        before = call("maximum", loops.index_value(start * -1, dtypes.INT32), zero) if access.offset < 0 else zero
        first = (
            before if first is None else call("add", call("mul", first, loops.size_value(extent, dtypes.INT32)), before)
        )
    return call("where", loops.call("eq", [chosen, zero], dtypes.BOOL), first, chosen)


def _lower_pick(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    spec: Spec = node.attrs.spec
    red = [axis(d) for d in spec.red]
    axes = list(index) + [loops.at(r) for r in red]
    place = loops.Index()
    for r in red:
        place = place * r.extent + loops.at(r)
    conditions, value = read_operand(spec.operands[0], node.inputs[0].shape, axes, lambda i: read(0, i))
    more, chosen = read_operand(spec.operands[1], node.inputs[1].shape, axes, lambda i: read(1, i))
    hit = loops.call("eq", [_cast(chosen, dtypes.INT32), loops.index_value(place, dtypes.INT32)], dtypes.BOOL)
    zero = loops.const(0, node.dtype)
    body = loops.guard(conditions + more, loops.call("where", [hit, value, zero], node.dtype), zero)
    return loops.reduction("sum", red, body, node.dtype)


def _sum_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    spec: Spec = node.attrs.spec
    sums: np.ndarray = _spread(x, spec.operands[0], spec, env, 0).sum(-1)
    return sums.astype(dtypes.computed(node.dtype), copy=False)


def _max_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    spec: Spec = node.attrs.spec
    result: np.ndarray = _spread(x, spec.operands[0], spec, env, _lowest(node.dtype)).max(-1)
    return result


def _argmax_reference(node: Tensor, env: Any, x: np.ndarray) -> np.ndarray:
    spec: Spec = node.attrs.spec
    values = _spread(x, spec.operands[0], spec, env, _lowest(str(x.dtype)))
    inside = _spread(np.ones(x.shape, bool), spec.operands[0], spec, env, False)
    chosen = values.argmax(-1)[..., None]
    real = np.take_along_axis(inside, chosen, -1)  # nothing exceeds the padding: the first element that is none
    result: np.ndarray = np.where(real, chosen, inside.argmax(-1)[..., None])[..., 0].astype(node.dtype)
    return result


def _pick_reference(node: Tensor, env: Any, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    spec: Spec = node.attrs.spec
    values = _spread(x, spec.operands[0], spec, env, 0)
    hits = _spread(chosen.astype("int32"), spec.operands[1], spec, env, -1) == np.arange(values.shape[-1])
    result: np.ndarray = np.where(hits, values, 0).sum(-1).astype(dtypes.computed(node.dtype), copy=False)
    return result


def window_spec(x: Shape, window: Sequence[int], stride: Sequence[int], pads: Sequence[tuple[int, int]]) -> Spec:
    """Windows over the last axes of x; padding counts as absent."""
    d, lead = len(window), len(x) - len(window)
    sizes = []
    for i in range(d):
        room = x[lead + i] + sum(pads[i]) - window[i]
        sizes.append(room // stride[i] + 1)
    n_out = lead + d
    places = tuple(Access(((lead + i, stride[i]), (n_out + i, 1)), -pads[i][0]) for i in range(d))
    return Spec((*x[:lead], *sizes), tuple(window), (axis_access(*range(lead)) + places,))


def _max_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    (x,) = node.inputs
    spec: Spec = node.attrs.spec
    chosen = apply("window_argmax", (x,), spec=spec)
    two = Spec(spec.out, spec.red, (spec.operands[0], axis_access(*range(len(spec.out)))))
    return (apply("window_pick", (g, chosen), spec=gradient_spec(two, 0, x.shape, keep_reduced=True)),)


def _sum_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    spec = gradient_spec(node.attrs.spec, 0, node.inputs[0].shape, keep_reduced=True)
    return (apply("window_sum", (g,), spec=spec),)


def _pick_gradient(node: Tensor, g: Tensor) -> Sequence[Any]:
    x, chosen = node.inputs
    spec = gradient_spec(node.attrs.spec, 0, x.shape, keep_reduced=True)
    return (apply("window_pick", (g, chosen), spec=spec), None)


def _samples() -> tuple[Sample, ...]:
    def one(x: Shape, window: tuple[int, ...], stride: tuple[int, ...], p: int = 0) -> Sample:
        return Sample((x,), {"spec": window_spec(x, window, stride, [(p, p)] * len(window))})  # type: ignore[arg-type]

    return (
        one((2, 3, 6, 8), (2, 2), (2, 2)),
        one((1, 2, 5, 7), (3, 3), (2, 2), 1),
        one((2, 5, 5), (3, 2), (1, 2)),
        one((1, 1, 3, 3), (3, 3), (1, 1)),
        one((2, 9), (4,), (3,)),
    )


register(
    Op(
        "window_sum",
        "reduce",
        _infer,
        _sum_reference,
        _lower("sum"),
        vjp=_sum_gradient,
        samples=_samples(),
        repeats=True,
        rounds=True,
    )
)
register(
    Op(
        "window_max",
        "reduce",
        _infer,
        _max_reference,
        _lower("max"),
        vjp=_max_gradient,
        samples=_samples(),
        repeats=True,
    )
)
register(
    Op(
        "window_argmax",
        "reduce",
        lambda inputs, attrs: (attrs.spec.out, _place_dtype(attrs.spec)),
        _argmax_reference,
        _lower("argmax"),
        vjp=lambda n, g: (None,),
        zero_gradient=True,
        samples=_samples(),
        repeats=True,
    )
)
register(Op("window_pick", "reduce", _infer, _pick_reference, _lower_pick, vjp=_pick_gradient, repeats=True))


def _windows(name: str, x: Tensor, window: Any, stride: Any, pad: Any) -> Spec:
    d = len(window) if isinstance(window, Sized) and as_index(window) is None else 2
    if d == 0:
        raise ShapeError(f"{name}: the window needs at least one axis (at {user_location()})")
    if x.rank < d:
        raise ShapeError(f"{name}: {show(x.shape)} has fewer than {d} axes (at {user_location()})")
    if x.rank == d and x.shape[0] == BATCH:
        raise ShapeError(
            f"{name}: windows over {d} axes of {show(x.shape)} would run along the batch; they run along the last "
            f"axes, two or as many as window has numbers, (2,) for one (at {user_location()})"
        )
    sizes = _each(name, "window", window, d, 1)
    strides = sizes if stride is None else _each(name, "stride", stride, d, 1)
    pads = _pads(name, pad, d)
    if name == "max_pool" and any(max(p) >= n for p, n in zip(pads, sizes)):
        raise ShapeError(
            f"max_pool: padding {pad} must be smaller than the window {sizes}, or some windows hold nothing"
            f"\n  at {user_location()}"
        )
    spec = window_spec(x.shape, sizes, strides, pads)
    if any(isinstance(n, int) and n <= 0 for n in spec.out[-d:]):
        raise ShapeError(
            f"{name}: a window of {sizes} does not fit into {show(x.shape)} with padding {pad}{thin_images(x.shape)}"
            f"\n  at {user_location()}"
        )
    return spec


@also_named()
def max_pool(x: Tensor, window: Any, stride: Any = None, pad: Any = 0) -> Tensor:
    """The greatest element of each window over the last axes (two, or as many as `window` has); stride: the window."""
    return apply("window_max", (x,), spec=_windows("max_pool", x, window, stride, pad))


@also_named()
def sum_pool(x: Tensor, window: Any, stride: Any = None, pad: Any = 0) -> Tensor:
    """The sum of each window over the last axes."""
    return apply("window_sum", (x,), spec=_windows("sum_pool", x, window, stride, pad))


@also_named()
def avg_pool(x: Tensor, window: Any, stride: Any = None, pad: Any = 0) -> Tensor:
    """The mean of each window over the last axes; padding counts as zeros, as in PyTorch's default."""
    spec = _windows("avg_pool", x, window, stride, pad)
    return apply("window_sum", (x,), spec=spec) * full((), 1.0 / float(np.prod(spec.red)), x.dtype)  # type: ignore[arg-type]
