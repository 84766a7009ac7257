"""`contract`: one sum of products over affine indices, and its gradients, which are contractions again.

It is the matrix product, the batched product, convolution with stride, padding, dilation and groups,
transposed convolution, and every gradient of these; usually of two operands, and of three where small constant
matrices are applied from both sides (`winograd.py`). The same `Spec` describes windows (`window.py`). An
operand's dimension d is read at `(sum of coefficient * axis + offset) / div`; where that is not whole or lies
outside the operand, the term is zero. Leans on `loops`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from ....runtime.sizes import channels_last, thin_images
from ... import dtypes
from ...errors import DTypeError, GradientError, ShapeError
from ...loops import expressions as loops
from ...shapes import Dim, Shape, as_index, broadcast, show, value
from ..node import user_location
from ..synonyms import also_named
from ..tensor import Like, Tensor, apply, as_tensor, broadcast_to
from .registry import Bad, Op, Sample, register


@dataclass(frozen=True)
class Access:
    """Where one dimension of an operand is read: `(sum(c * axis) + offset) / div`."""

    terms: tuple[tuple[int, int], ...]
    offset: int = 0
    div: int = 1

    @property
    def plain(self) -> int | None:
        """The axis, where the access is that axis alone."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and self.offset == 0 and self.div == 1:
            return self.terms[0][0]
        return None


def axis_access(*axes: int) -> tuple[Access, ...]:
    """One plain access per axis."""
    return tuple(Access(((a, 1),)) for a in axes)


@dataclass(frozen=True)
class Spec:
    """Axes are numbered: first the result's (`out`), then the summed ones (`red`). One access list per operand."""

    out: Shape
    red: Shape
    operands: tuple[tuple[Access, ...], ...]

    @property
    def extents(self) -> Shape:
        return self.out + self.red


def gradient_spec(spec: Spec, k: int, shape: Shape, keep_reduced: bool = False) -> Spec:
    """The contraction that gives the gradient of operand k, of the given shape.

    Its operands are the gradient of the result (in place of operand k) and the other operands. Each
    dimension of operand k is solved for one axis, the largest (with `keep_reduced` always an axis of the
    result), which disappears from the sum.
    """
    n_out = len(spec.out)
    solved: dict[int, tuple[dict[int, int], int, int]] = {}
    new_axis = {d: -(d + 1) for d in range(len(shape))}
    for d, access in sorted(enumerate(spec.operands[k]), key=lambda item: len(item[1].terms)):
        free = [t for t in access.terms if t[0] not in solved]
        if not free:
            raise GradientError("contract: this use of an operand has no contraction as its gradient")
        if keep_reduced:
            free = [t for t in free if t[0] < n_out] or free
        axis, c = max(free, key=lambda t: _weight(spec.extents[t[0]]))
        terms = {new_axis[d]: access.div}
        for a, ca in access.terms:
            if a != axis:
                terms[a] = terms.get(a, 0) - ca
        sign = 1 if c > 0 else -1
        solved[axis] = ({a: sign * v for a, v in terms.items()}, -sign * access.offset, abs(c))
    rest = [a for a in range(len(spec.extents)) if a not in solved]
    number = {new_axis[d]: d for d in range(len(shape))}
    number.update({a: len(shape) + i for i, a in enumerate(rest)})

    def rewrite(access: Access) -> Access:
        terms: dict[int, int] = {}
        offset, div = access.offset, access.div
        for a, c in access.terms:
            if a not in solved:
                terms[a] = terms.get(a, 0) + c
                continue
            inner, inner_offset, by = solved[a]
            if by != 1:
                if len(access.terms) != 1 or c != 1 or offset:
                    raise GradientError("contract: the gradient of this strided use is not a contraction")
                div *= by
            for b, cb in inner.items():
                terms[b] = terms.get(b, 0) + c * cb
            offset += c * inner_offset
        return Access(tuple(sorted((number[a], c) for a, c in terms.items() if c)), offset, div)

    result = tuple(rewrite(a) for a in axis_access(*range(n_out)))
    operands = tuple(result if i == k else tuple(rewrite(a) for a in access) for i, access in enumerate(spec.operands))
    return Spec(shape, tuple(spec.extents[a] for a in rest), operands)


def _weight(size: Dim) -> float:
    return size if isinstance(size, int) else float("inf")


def windows(spec: Spec) -> list[tuple[int, Dim]]:
    """(axis of the result, window along it) for every axis along which windows of the first operand are read."""
    found: list[tuple[int, Dim]] = []
    for access in spec.operands[0]:
        places = [a for a, _ in access.terms if a < len(spec.out)]
        taps = [spec.extents[a] for a, _ in access.terms if a >= len(spec.out)]
        if len(places) == len(taps) == 1:
            found.append((places[0], taps[0]))
    return found


def read_operand(
    accesses: Sequence[Access], shape: Shape, axes: Sequence[loops.Index], read: Any
) -> tuple[list[loops.Condition], Any]:
    """(conditions under which the operand has a value, that value)."""
    conditions: list[loops.Condition] = []
    index: list[loops.Index] = []
    for access, dim in zip(accesses, shape):
        place = loops.Index(const=access.offset)
        for a, c in access.terms:
            place = place + axes[a] * c
        conditions.append(loops.Within(place, dim * access.div - (access.div - 1) if dim != 0 else 0))
        if access.div > 1:
            conditions.append(loops.Divides(place, access.div))
        index.append(place // access.div)
    return conditions, read(tuple(index))


def gather_operand(
    x: np.ndarray, accesses: Sequence[Access], extents: Sequence[int], fill: float = 0
) -> tuple[np.ndarray, list[int]]:
    """NumPy: the operand spread over the axes it depends on, `fill` where it has no value, and those axes."""
    used = sorted({a for access in accesses for a, _ in access.terms})
    grids = {a: np.arange(extents[a]).reshape([-1 if b == a else 1 for b in used]) for a in used}
    valid: Any = np.ones([extents[a] for a in used], bool)
    index = []
    for access, dim in zip(accesses, x.shape):
        place = sum((grids[a] * c for a, c in access.terms), np.zeros((1,) * len(used), int)) + access.offset
        valid = valid & (place % access.div == 0) & (place >= 0) & (place // access.div < dim)
        index.append(np.clip(place // access.div, 0, max(dim - 1, 0)))
    if 0 in x.shape:
        return np.full(valid.shape, fill, x.dtype), used
    picked = np.broadcast_to(x[tuple(index)], valid.shape)
    return np.where(valid, picked, np.asarray(fill, x.dtype)), used


def extents_of(spec: Spec, env: dict[str, int]) -> list[int]:
    return [value(d, env) for d in spec.extents]


def _reference(node: Tensor, env: dict[str, int], *arrays: np.ndarray) -> np.ndarray:
    return summed(node.attrs.spec, node.dtype, env, arrays)


def summed(spec: Spec, dtype: str, env: dict[str, int], arrays: Sequence[np.ndarray]) -> np.ndarray:
    """NumPy: the contraction of the arrays."""
    extents = extents_of(spec, env)
    operands: list[Any] = []
    for x, accesses in zip(arrays, spec.operands):
        operands += list(gather_operand(x, accesses, extents))
    n_out = len(spec.out)
    for axis in range(len(extents)):
        if not any(axis in used for used in operands[1::2]):
            operands += [np.ones(extents[axis], dtypes.computed(dtype)), [axis]]
    total = np.einsum(*operands, list(range(n_out)), optimize="greedy")
    return np.asarray(total).astype(dtypes.computed(dtype), copy=False)


def infer(inputs: Sequence[Tensor], attrs: Any) -> tuple[Any, str]:
    dtype = inputs[0].dtype
    if any(x.dtype != dtype for x in inputs):
        raise DTypeError("operands must have the same dtype")
    if not dtypes.is_float(dtype) and dtype not in (dtypes.INT32, dtypes.INT64):
        raise DTypeError(f"needs floats or signed integers, not {dtype}")
    return attrs.spec.out, dtype


def _lower(node: Tensor, index: Any, read: Any, axis: Any) -> Any:
    return lowered(node.attrs.spec, node.inputs, node.dtype, index, read, axis)


def lowered(spec: Spec, inputs: Sequence[Tensor], dtype: str, index: Any, read: Any, axis: Any) -> loops.Expr:
    """The sum at an index, where `read(k, place)` is an element of the k-th input."""
    red = [axis(d) for d in spec.red]
    axes = list(index) + [loops.at(r) for r in red]
    conditions: list[loops.Condition] = []
    values = []
    for k, x in enumerate(inputs):
        more, v = read_operand(spec.operands[k], x.shape, axes, lambda i, k=k: read(k, i))
        conditions += more
        values.append(v)
    product = reduce(lambda a, b: loops.call("mul", [a, b], dtype), values)
    product = loops.guard(conditions, product, loops.const(0, dtype))
    return loops.reduction("sum", red, product, dtype)


def _vjp(node: Tensor, g: Tensor) -> Sequence[Any]:
    spec: Spec = node.attrs.spec
    return [
        apply(
            "contract",
            tuple(g if i == k else other for i, other in enumerate(node.inputs)),
            spec=gradient_spec(spec, k, x.shape),
        )
        for k, x in enumerate(node.inputs)
    ]


def convolution_spec(
    x: Shape, w: Shape, stride: Sequence[int], pads: Sequence[tuple[int, int]], dilation: Sequence[int]
) -> Spec:
    """x (n, g, c, *spatial), w (g, k, c, *window) -> (n, g, k, *spatial)."""
    d = len(stride)
    sizes = []
    for i in range(d):
        reach = (w[3 + i] - 1) * dilation[i] + 1
        room = x[3 + i] + sum(pads[i]) - reach
        sizes.append(0 if isinstance(room, int) and room < 0 else room // stride[i] + 1)
    n, g, k = 0, 1, 2
    out = tuple(range(3, 3 + d))
    c, *window = range(3 + d, 4 + 2 * d)
    places = tuple(
        Access(tuple(sorted(((out[i], stride[i]), (window[i], dilation[i])))), -pads[i][0]) for i in range(d)
    )
    return Spec(
        (x[0], x[1], w[1], *sizes),
        (x[2], *w[3:]),
        (axis_access(n, g, c) + places, axis_access(g, k, c, *window)),
    )


def matmul_spec(batch: Shape, m: Dim, n: Dim, k: Dim) -> Spec:
    """(*batch, m, k) x (*batch, k, n) -> (*batch, m, n)."""
    r = len(batch)
    lead = axis_access(*range(r))
    return Spec((*batch, m, n), (k,), (lead + axis_access(r, r + 2), lead + axis_access(r + 2, r + 1)))


def _samples() -> tuple[Sample, ...]:
    def conv(x: Shape, w: Shape, stride: int = 1, padding: int = 0, dilation: int = 1) -> Sample:
        d = len(x) - 3
        spec = convolution_spec(x, w, (stride,) * d, ((padding, padding),) * d, (dilation,) * d)
        return Sample((x, w), {"spec": spec}, domain=(-1.0, 1.0))  # type: ignore[arg-type]

    def product(batch: Shape, m: int, n: int, k: int) -> Sample:
        return Sample(((*batch, m, k), (*batch, k, n)), {"spec": matmul_spec(batch, m, n, k)}, domain=(-1.0, 1.0))  # type: ignore[arg-type]

    return (
        product((), 3, 5, 7),
        product((), 1, 1, 1),
        product((2,), 3, 4, 5),
        product((), 17, 33, 19),
        product((), 3, 4, 0),
        conv((2, 1, 3, 5, 6), (1, 4, 3, 3, 2)),
        conv((2, 1, 2, 5, 7), (1, 3, 2, 3, 3), stride=2, padding=1),
        conv((1, 2, 2, 6, 5), (2, 2, 2, 2, 3), padding=2, dilation=2),
        conv((1, 1, 1, 7, 7), (1, 1, 1, 3, 3), stride=3, padding=1),
        conv((2, 1, 2, 9), (1, 3, 2, 4), stride=2),
    )


register(
    Op(
        "contract",
        "contract",
        infer,
        _reference,
        _lower,
        vjp=_vjp,
        samples=_samples(),
        flops=2,
        bad=(Bad(((2, 3), (3, 4)), {"spec": matmul_spec((), 2, 4, 3)}, dtypes=("float32", "int32"), says=("dtype",)),),
        repeats=True,
        rounds=True,
        underflows=True,
    )
)


# ---------------------------------------------------------------- what users call


def matmul(a: Like, b: Like) -> Tensor:
    """`a @ b` as in NumPy: vectors, matrices, and stacks of matrices with broadcasting.

    Raises ShapeError where the summed sizes differ, DTypeError where the dtypes do.
    """
    a, b = as_tensor(a), as_tensor(b)
    if a.rank == 0 or b.rank == 0:
        raise ShapeError(f"matmul: scalars have no matrix product; use * (at {user_location()})")
    _same_dtype("matmul", a, b)
    if a.rank == 1:
        return matmul(a.reshape(1, *a.shape), b).reshape(*b.shape[:-2], *b.shape[-1:] if b.rank > 1 else ())
    if b.rank == 1:
        return matmul(a, b.reshape(*b.shape, 1)).reshape(*a.shape[:-1])
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"matmul: {a.name or 'left'} {show(a.shape)} @ {b.name or 'right'} {show(b.shape)}: "
            f"the last size of the left ({a.shape[-1]}) must equal the next-to-last of the right ({b.shape[-2]})\n"
            f"  at {user_location()}"
        )
    if b.rank == 2:
        lead = a.shape[:-1]
        r = len(lead)
        spec = Spec((*lead, b.shape[1]), (a.shape[-1],), (axis_access(*range(r), r + 1), axis_access(r + 1, r)))
        return apply("contract", (a, b), spec=spec)
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    if batch is None:
        raise ShapeError(
            f"matmul: {show(a.shape)} @ {show(b.shape)}: leading sizes do not broadcast (at {user_location()})"
        )
    a, b = broadcast_to(a, batch + a.shape[-2:]), broadcast_to(b, batch + b.shape[-2:])
    return apply("contract", (a, b), spec=matmul_spec(batch, a.shape[-2], b.shape[-1], a.shape[-1]))


def _each(op: str, what: str, given: Any, d: int, least: int = 0) -> tuple[int, ...]:
    """One number of at least `least` per spatial axis, from one for all or a sequence of d."""
    items = tuple(given) if isinstance(given, Iterable) and as_index(given) is None else (given,) * d
    numbers = tuple(n for n in map(as_index, items) if n is not None and n >= least)
    if not len(items) == len(numbers) == d:
        raise ShapeError(
            f"{op}: {what} must be an integer of at least {least}, or {d} of them, not {given!r}"
            f"\n  at {user_location()}"
        )
    return numbers


def _pads(op: str, given: Any, d: int) -> tuple[tuple[int, int], ...]:
    """(before, after) per spatial axis, from one number, d numbers or d pairs."""
    items = tuple(given) if isinstance(given, Iterable) and as_index(given) is None else (given,) * d
    if len(items) != d:
        raise ShapeError(f"{op}: pad must be one number, or {d}, or {d} pairs, not {given!r}\n  at {user_location()}")
    pairs = [_each(op, "pad", p, 2) for p in items]
    return tuple((before, after) for before, after in pairs)


def _same_dtype(op: str, a: Tensor, b: Tensor) -> None:
    if a.dtype != b.dtype:
        raise DTypeError(
            f"{op}: {a.name or 'left'} {show(a.shape)} is {a.dtype} and {b.name or 'right'} {show(b.shape)} is "
            f"{b.dtype}; convert one with .astype\n  at {user_location()}"
        )


@also_named()
def conv(x: Like, w: Like, stride: Any = 1, pad: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:
    """Convolution (cross-correlation, as in PyTorch) over any number of spatial axes.

    x: (batch, channels, *spatial); w: (filters, channels / groups, *window); result (batch, filters, *spatial).
    `pad` is an int, one per axis, or (before, after) per axis. Raises ShapeError where the sizes do not fit.
    """
    x, w = as_tensor(x), as_tensor(w)
    d = x.rank - 2
    if d < 1 or w.rank != x.rank:
        raise ShapeError(
            f"conv: x {show(x.shape)} and w {show(w.shape)} must be (n, c, *spatial) and "
            f"(k, c, *window)\n  at {user_location()}"
        )
    _same_dtype("conv", x, w)
    (groups,) = _each("conv", "groups", groups, 1, 1)
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:  # type: ignore[operator]
        raise ShapeError(
            f"conv: x {show(x.shape)} has {x.shape[1]} channels, w {show(w.shape)} with {groups} group(s) takes "
            f"{w.shape[1] * groups}{channels_last(x.shape, (None, w.shape[1] * groups, None, None))}"
            f"\n  at {user_location()}"
        )
    pads = _pads("conv", pad, d)
    strides, dilations = _each("conv", "stride", stride, d, 1), _each("conv", "dilation", dilation, d, 1)
    channels, filters = w.shape[1], w.shape[0]
    gx = x.reshape(x.shape[0], groups, channels, *x.shape[2:])
    gw = w.reshape(groups, filters // groups, channels, *w.shape[2:])
    spec = convolution_spec(gx.shape, gw.shape, strides, pads, dilations)
    if 0 in spec.out[3:]:
        raise ShapeError(
            f"conv: the window of w {show(w.shape)} is larger than x {show(x.shape)} with padding {pad}"
            f"{thin_images(x.shape)}"
            f"\n  at {user_location()}"
        )
    y = apply("contract", (gx, gw), spec=spec)
    return y.reshape(x.shape[0], filters, *y.shape[3:])


@also_named()
def conv_transpose(x: Like, w: Like, stride: Any = 1, pad: Any = 0, output_pad: Any = 0) -> Tensor:
    """Transposed convolution: the gradient of `conv` with respect to its input, as a layer.

    x: (batch, channels, *spatial); w: (channels, filters, *window); result (batch, filters, *spatial) with
    spatial = (in - 1) * stride - 2 * pad + window + output_pad.
    """
    x, w = as_tensor(x), as_tensor(w)
    d = x.rank - 2
    if d < 1 or w.rank != x.rank:
        raise ShapeError(
            f"conv_transpose: x {show(x.shape)} and w {show(w.shape)} must be (n, c, *spatial) and "
            f"(c, k, *window)\n  at {user_location()}"
        )
    strides, pads = _each("conv_transpose", "stride", stride, d, 1), _each("conv_transpose", "pad", pad, d)
    extra = _each("conv_transpose", "output_pad", output_pad, d)
    _same_dtype("conv_transpose", x, w)
    if x.shape[1] != w.shape[0]:
        raise ShapeError(
            f"conv_transpose: x {show(x.shape)} has {x.shape[1]} channels, w {show(w.shape)} takes "
            f"{w.shape[0]}\n  at {user_location()}"
        )
    sizes = tuple((x.shape[2 + i] - 1) * strides[i] - 2 * pads[i] + w.shape[2 + i] + extra[i] for i in range(d))
    if any(isinstance(n, int) and n < 1 for n in sizes):
        raise ShapeError(
            f"conv_transpose: padding {pad} takes all there is of x {show(x.shape)} with the window of w "
            f"{show(w.shape)}: the result would have sizes {show(sizes)}\n  at {user_location()}"
        )
    big = (x.shape[0], 1, w.shape[1], *sizes)
    forward = convolution_spec(big, (1, *w.shape), strides, [(p, p) for p in pads], (1,) * d)
    if forward.out[3:] != x.shape[2:]:
        forward = Spec((*forward.out[:3], *x.shape[2:]), forward.red, forward.operands)
    gx = x.reshape(x.shape[0], 1, *x.shape[1:])
    y = apply("contract", (gx, w.reshape(1, *w.shape)), spec=gradient_spec(forward, 0, big))
    return y.reshape(x.shape[0], w.shape[1], *sizes)
