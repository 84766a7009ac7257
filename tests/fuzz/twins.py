"""Random programs written twice, here and in PyTorch, from one seed: graphs, networks, integers, extreme values.

A program is a pool of values that starts with its inputs; each step takes values from the pool and adds one. Choices
depend on the seed and on shapes alone, so that the program here is the same where PyTorch is not installed. Sizes 0 and
1 come often, the first axis may be symbolic, and programs of floats have first and second derivatives.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import kernelwright as kw
from kernelwright.compiler.graph.functions import batch_norm, moments

KINDS = ("graph64", "graph64", "graph32", "network", "integers", "extreme")
EXTREME = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    np.inf,
    -np.inf,
    np.nan,
    1e300,
    -1e300,
    1e-300,
    -1e-300,
    5e-324,
    1e150,
    710.0,
    -750.0,
)
INTEGERS = ("int32", "int64", "uint8")


@dataclass
class Value:
    """A tensor here, and the same in PyTorch (None where that is not there)."""

    ours: Any
    theirs: Any

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(self.ours.shape)

    @property
    def rank(self) -> int:
        return len(self.ours.shape)


@dataclass
class Twins:
    """A program under construction: its inputs and their arrays, and all values so far."""

    seed: int
    torch: Any
    rng: np.random.Generator = field(init=False)
    kind: str = field(init=False)
    batch: int = field(init=False)
    dtype: str = field(init=False)
    results: int = field(init=False)
    inputs: list[Value] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)
    pool: list[Value] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.kind = KINDS[self.seed % len(KINDS)]
        self.batch = int(self.pick((0, 1, 1, 2, 3, 5, 17, 33)))
        self.dtype = "float32" if self.kind == "graph32" else "float64"
        self.results = 1 if self.kind == "extreme" else 3  # 1 + 1e300 - 1e300 is 0 or 1

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def size(self) -> int:
        return int(self.pick((1, 1, 2, 3, 4, 5, 7, 8, 16, 19)))

    def input(self, shape: tuple[Any, ...], dtype: str = "", high: int = 0, scale: float = 1.0) -> Value:
        """A new input; None in its shape is the batch. high: integers below it."""
        dtype = dtype or self.dtype
        concrete = tuple(self.batch if d is None else d for d in shape)
        if high:
            array = self.rng.integers(0, high, concrete).astype(dtype)
        elif dtype in INTEGERS:
            info = np.iinfo(dtype)
            array = self.rng.integers(info.min, info.max, concrete, dtype=dtype, endpoint=True)
        elif self.kind == "extreme":
            array = self.rng.choice(EXTREME, concrete).astype(dtype)
        else:
            array = (self.rng.normal(size=concrete) * scale).astype(dtype)
        named = tuple(f"batch{self.seed}" if d is None else d for d in shape)  # programs of several seeds may be one
        ours = kw.input(f"x{self.seed}_{len(self.inputs)}", named, dtype)
        theirs = None
        if self.torch is not None:
            theirs = self.torch.tensor(array, requires_grad=dtype.startswith("float"))
        self.inputs.append(Value(ours, theirs))
        self.arrays.append(array)
        return self.inputs[-1]

    def step(self, name: str, ours: Callable[..., Any], theirs: Callable[..., Any], *operands: Value) -> Value:
        """The result of both functions on the operands, added to the pool."""
        made = Value(
            ours(*(v.ours for v in operands)),
            theirs(*(v.theirs for v in operands)) if self.torch is not None else None,
        )
        self.made.append(name)
        self.pool.append(made)
        return made


def twins(seed: int, torch: Any = None) -> Twins:
    """The program of a seed."""
    t = Twins(seed, torch)
    {"network": _network, "integers": _integers, "extreme": _extreme}.get(t.kind, _graph)(t)
    return t


def outputs(t: Twins) -> list[Any]:
    """What the program here gives: its last values, gradients, and the gradients of those along fixed directions."""
    last = [v.ours for v in t.pool[-t.results :]]
    if t.kind == "integers":
        return last
    wrt = [v.ours for v in t.inputs if v.ours.dtype.startswith("float")]
    loss = sum(((y * y).mean() if t.kind != "extreme" else y.sum()) for y in last)
    gradients = list(kw.grad(loss, wrt))
    if t.kind == "extreme":
        return [*last, *gradients]
    along = sum((g * g).sum() for g in gradients)
    return [*last, *gradients, *kw.grad(along, wrt)]


def their_outputs(t: Twins) -> list[np.ndarray]:
    """The same by PyTorch."""
    last = [v.theirs for v in t.pool[-t.results :]]
    if t.kind == "integers":
        return [y.numpy() for y in last]
    wrt = [v.theirs for v in t.inputs if v.theirs.requires_grad]
    loss = sum(((y * y).mean() if t.kind != "extreme" else y.sum()) for y in last)
    gradients = _derivatives(t.torch, loss, wrt)
    found = [*last, *gradients]
    if t.kind != "extreme":
        found += _derivatives(t.torch, sum((g * g).sum() for g in gradients), wrt)
    return [y.detach().numpy() for y in found]


def _derivatives(torch: Any, loss: Any, wrt: list[Any]) -> list[Any]:
    if not loss.requires_grad:
        return [torch.zeros_like(x) for x in wrt]
    found = torch.autograd.grad(loss, wrt, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, wrt)]


def projections(arrays: Sequence[np.ndarray]) -> Iterator[list[float]]:
    """Three numbers for each array, which tell it from others: its sum, and two sums with signs drawn by its shape."""
    for array in arrays:
        flat = np.asarray(array, np.float64).ravel()
        rng = np.random.default_rng(zlib.crc32(str(array.shape).encode()))
        yield [float(flat.sum()), *(float(flat @ rng.choice((-1.0, 1.0), flat.size)) for _ in range(2))]


# ---------------------------------------------------------------- graphs of floats


def _graph(t: Twins) -> None:
    lead = t.pick((None, None, t.size(), 0))
    t.pool.append(t.input((lead, t.size())))
    t.pool.append(t.input((lead, t.size(), t.size() + 2, t.size() + 2)))
    for _ in range(int(t.rng.integers(3, 9))):
        _float_step(t)


def _float_step(t: Twins) -> None:
    x = t.pick(t.pool)
    kind = t.pick(("unary", "unary", "binary", "reduce", "move", "move", "product", "window", "index"))
    {"binary": _binary, "reduce": _reduce, "move": _move, "product": _product, "window": _window, "index": _index}.get(
        kind, _unary
    )(t, x)


def _unary(t: Twins, x: Value) -> None:
    F = t.torch and t.torch.nn.functional
    axis = int(t.rng.integers(x.rank)) if x.rank else 0
    table: list[tuple[str, Any, Any]] = [
        ("tanh", kw.tanh, lambda v: v.tanh()),
        ("sigmoid", kw.sigmoid, lambda v: v.sigmoid()),
        ("relu", kw.relu, lambda v: v.relu()),
        ("exp", lambda v: kw.exp(-kw.abs(v)), lambda v: (-v.abs()).exp()),
        ("log1p", lambda v: kw.log1p(v * v), lambda v: (v * v).log1p()),
        ("expm1", lambda v: kw.expm1(kw.tanh(v)), lambda v: v.tanh().expm1()),
        ("sin", lambda v: kw.sin(v) + kw.cos(v * 0.5), lambda v: v.sin() + (v * 0.5).cos()),
        ("erf", kw.erf, lambda v: v.erf()),
        ("sqrt", lambda v: kw.sqrt(v * v + 0.3), lambda v: (v * v + 0.3).sqrt()),
        ("rsqrt", lambda v: kw.rsqrt(v * v + 0.3), lambda v: (v * v + 0.3).rsqrt()),
        ("clip", lambda v: kw.clip(v, -0.5, 0.7), lambda v: v.clamp(-0.5, 0.7)),
        ("pow", lambda v: v**3, lambda v: v**3),
        ("divide", lambda v: 1.5 / (v * v + 0.8), lambda v: 1.5 / (v * v + 0.8)),
        ("softplus", kw.softplus, lambda v: F.softplus(v)),
        ("gelu", kw.gelu, lambda v: F.gelu(v, approximate="none")),
        ("floor", lambda v: v - kw.floor(v * 1.7), lambda v: v - (v * 1.7).floor()),
        ("stop", lambda v: v * kw.stop_gradient(v), lambda v: v * v.detach()),
        ("scale", lambda v: v * 0.25 - 1.5, lambda v: v * 0.25 - 1.5),
    ]
    if x.rank and (x.shape[axis] if isinstance(x.shape[axis], int) else t.batch):  # of none, it is refused
        table += [
            ("softmax", lambda v: kw.softmax(v, axis), lambda v: v.softmax(axis)),
            ("log_softmax", lambda v: kw.log_softmax(v, axis), lambda v: v.log_softmax(axis)),
        ]
    name, ours, theirs = t.pick(table)
    t.step(name, ours, theirs, x)


def _binary(t: Twins, x: Value) -> None:
    same = [y for y in t.pool if y.shape == x.shape]
    y = t.pick(same)
    if x.rank and t.rng.random() < 0.3:  # a row that is broadcast
        y = t.input((x.shape[-1] if isinstance(x.shape[-1], int) else 1,))
    torch = t.torch
    table = [
        ("add", lambda a, b: a + b, lambda a, b: a + b),
        ("sub", lambda a, b: a - b, lambda a, b: a - b),
        ("mul", lambda a, b: a * b, lambda a, b: a * b),
        ("div", lambda a, b: a / (b * b + 0.5), lambda a, b: a / (b * b + 0.5)),
        ("maximum", kw.maximum, lambda a, b: torch.maximum(a, b)),
        ("minimum", kw.minimum, lambda a, b: torch.minimum(a, b)),
        ("where", lambda a, b: kw.where(a < b, a * b, b), lambda a, b: torch.where(a < b, a * b, b)),
        ("pow", lambda a, b: (kw.abs(a) + 0.3) ** kw.tanh(b), lambda a, b: (a.abs() + 0.3) ** b.tanh()),
    ]
    t.step(*t.pick(table), x, y)


def _reduce(t: Twins, x: Value) -> None:
    if not x.rank:
        return _unary(t, x)
    count = int(t.rng.integers(1, x.rank + 1))
    axes = tuple(sorted(int(a) for a in t.rng.choice(x.rank, count, replace=False)))
    keep = bool(t.rng.random() < 0.5)
    concrete = [t.batch if not isinstance(d, int) else d for d in x.shape]
    table = [
        ("sum", lambda v: kw.sum(v, axes, keep), lambda v: v.sum(axes, keepdim=keep)),
        ("deviation", lambda v: v - v.sum(axes, keepdims=True) * 0.1, lambda v: v - v.sum(axes, keepdim=True) * 0.1),
    ]
    if all(concrete[a] for a in axes) and all(isinstance(x.shape[a], int) for a in axes):
        table += [
            ("mean", lambda v: kw.mean(v, axes, keep), lambda v: v.mean(axes, keepdim=keep)),
            ("max", lambda v: kw.max(v, axes, keep), lambda v: v.amax(axes, keepdim=keep)),
            ("min", lambda v: kw.min(v, axes, keep), lambda v: v.amin(axes, keepdim=keep)),
            ("prod", lambda v: kw.prod(v, axes[0], keep), lambda v: v.prod(axes[0], keepdim=keep)),
        ]
    t.step(*t.pick(table), x)


def _move(t: Twins, x: Value) -> None:
    torch = t.torch
    if not x.rank:
        return _unary(t, x)
    axis = int(t.rng.integers(x.rank))
    order = tuple(int(a) for a in t.rng.permutation(x.rank))
    low, high = int(t.rng.integers(0, 3)), int(t.rng.integers(0, 3))
    widths = [(0, 0)] * axis + [(low, high)] + [(0, 0)] * (x.rank - axis - 1)
    flat = [w for pair in reversed(widths) for w in pair]
    size = x.shape[axis]
    table = [
        ("transpose", lambda v: kw.transpose(v, order), lambda v: v.permute(order)),
        ("flip", lambda v: kw.flip(v, axis), lambda v: v.flip(axis)),
        ("pad", lambda v: kw.pad(v, widths), lambda v: torch.nn.functional.pad(v, flat)),
        ("concat", lambda v: kw.concat([v, v * 2, v], axis), lambda v: torch.cat([v, v * 2, v], axis)),
        ("stack", lambda v: kw.stack([v, -v], axis), lambda v: torch.stack([v, -v], axis)),
        ("expand", lambda v: kw.expand_dims(v, axis), lambda v: v.unsqueeze(axis)),
    ]
    if x.rank > 2:
        table.append(("flatten", lambda v: kw.flatten(v), lambda v: v.flatten(1)))
    if isinstance(size, int) and size > 2:
        start, step = int(t.rng.integers(0, 2)), int(t.rng.integers(1, 3))
        cut = (slice(None),) * axis + (slice(start, size, step),)
        table.append(("slice", lambda v: v[cut], lambda v: v[cut]))
        one = (slice(None),) * axis + (int(t.rng.integers(size)),)
        table.append(("take", lambda v: v[one], lambda v: v[one]))
    if x.rank < 6:
        t.step(*t.pick(table), x)


def _product(t: Twins, x: Value) -> None:
    torch = t.torch
    if x.rank == 2 and isinstance(x.shape[1], int):
        t.step("matmul", lambda a, b: a @ b, lambda a, b: a @ b, x, t.input((x.shape[1], t.size()), scale=0.4))
    elif x.rank == 3 and all(isinstance(d, int) for d in x.shape):
        w = t.input((x.shape[0], x.shape[2], t.size()), scale=0.4)
        t.step("batched", lambda a, b: a @ b, lambda a, b: a @ b, x, w)
    elif x.rank == 4 and all(isinstance(d, int) for d in x.shape[1:]):
        c, h, w = x.shape[1:]
        groups = t.pick([g for g in (1, 1, 2, c) if c and c % g == 0] or [1])
        size, stride, pad = int(t.rng.integers(1, 4)), int(t.rng.integers(1, 3)), int(t.rng.integers(0, 2))
        dilation = int(t.rng.integers(1, 3))
        if not c or min(h, w) + 2 * pad < dilation * (size - 1) + 1:
            return _unary(t, x)
        kernel = t.input((groups * int(t.rng.integers(1, 4)), c // groups, size, size), scale=0.4)
        t.step(
            f"conv {size} {stride} {pad} {dilation} {groups}",
            lambda a, b: kw.conv(a, b, stride, pad, dilation, groups),
            lambda a, b: torch.nn.functional.conv2d(a, b, None, stride, pad, dilation, groups),
            x,
            kernel,
        )
    else:
        _unary(t, x)
    return None


def _window(t: Twins, x: Value) -> None:
    F = t.torch and t.torch.nn.functional
    if x.rank != 4 or not all(isinstance(d, int) and d >= 2 for d in x.shape[2:]) or not x.shape[1]:
        return _unary(t, x)
    stride = int(t.rng.integers(1, 3))
    table = [
        ("max_pool", lambda v: kw.max_pool(v, 2, stride), lambda v: F.max_pool2d(v, 2, stride)),
        ("avg_pool", lambda v: kw.avg_pool(v, 2, stride), lambda v: F.avg_pool2d(v, 2, stride)),
        ("max_pool 3 padded", lambda v: kw.max_pool(v, 3, stride, 1), lambda v: F.max_pool2d(v, 3, stride, 1)),
    ]
    return t.step(*t.pick(table), x) and None


def _index(t: Twins, x: Value) -> None:
    torch = t.torch
    if not x.rank or not isinstance(x.shape[0], int) or x.shape[0] == 0:
        return _unary(t, x)
    rows = x.shape[0]
    where = t.input((int(t.pick((0, 1, 4, 9))),), "int64", high=rows)
    if t.rng.random() < 0.5:
        t.step("gather", lambda v, i: kw.gather(v, i, 0), lambda v, i: v[i], x, where)
        return None
    to = t.input((rows,), "int64", high=5)
    t.step(
        "scatter_add",
        lambda v, i: kw.scatter_add(v, i, 5, 0),
        lambda v, i: torch.zeros((5, *v.shape[1:]), dtype=v.dtype).index_add(0, i, v),
        x,
        to,
    )
    return None


# ---------------------------------------------------------------- networks


def _network(t: Twins) -> None:
    """Convolutions with batch norm and pooling, then dense layers with a loss of labels; or dense with layer norm."""
    t.batch = max(t.batch, 2)
    F = t.torch and t.torch.nn.functional
    classes = int(t.rng.integers(2, 11))
    if t.rng.random() < 0.6:
        side = int(t.rng.integers(6, 12))
        x = t.input((None, int(t.pick((1, 3))), side, side))
        for _ in range(int(t.rng.integers(1, 3))):
            x = _block(t, x)
        x = t.step("mean", lambda v: v.mean((2, 3)), lambda v: v.mean((2, 3)), x)
    else:
        x = t.input((None, t.size() + 1))
        scale, shift = t.input((x.shape[1],)), t.input((x.shape[1],))
        x = t.step(
            "layer_norm",
            lambda v, a, b: kw.layer_norm(v, a, b),
            lambda v, a, b: F.layer_norm(v, v.shape[1:], a, b),
            x,
            scale,
            shift,
        )
    w, bias = t.input((x.shape[1], classes), scale=0.5), t.input((classes,))
    logits = t.step("dense", lambda v, a, b: v @ a + b, lambda v, a, b: v @ a + b, x, w, bias)
    labels = t.input((None,), "int64", high=classes)
    smooth = t.pick((0.0, 0.1))
    t.step(
        "cross_entropy",
        lambda v, i: kw.cross_entropy(v, i, smooth),
        lambda v, i: F.cross_entropy(v, i, label_smoothing=smooth),
        logits,
        labels,
    )


def _block(t: Twins, x: Value) -> Value:
    F = t.torch and t.torch.nn.functional
    channels = int(t.pick((2, 4, 8, 20)))
    w = t.input((channels, x.shape[1], 3, 3), scale=0.3)
    y = t.step("conv", lambda v, a: kw.conv(v, a, 1, 1), lambda v, a: F.conv2d(v, a, None, 1, 1), x, w)
    scale, shift = t.input((channels,)), t.input((channels,))

    def ours(v: Any, a: Any, b: Any) -> Any:
        return batch_norm(v, a, b, *moments(v, (0, 2, 3)))

    y = t.step("batch_norm", ours, lambda v, a, b: F.batch_norm(v, None, None, a, b, training=True), y, scale, shift)
    y = t.step("relu", kw.relu, lambda v: v.relu(), y)
    return t.step("max_pool", lambda v: kw.max_pool(v, 2), lambda v: F.max_pool2d(v, 2), y)


# ---------------------------------------------------------------- integers and extreme values


def _integers(t: Twins) -> None:
    dtype = t.pick(INTEGERS)
    torch = t.torch
    shape = t.pick(((None,), (None, 3), (5, 7), (0, 3), (1, 19)))
    t.pool += [t.input(shape, dtype), t.input(shape, dtype)]
    table: list[tuple[str, Any, Any]] = [
        ("add", lambda a, b: a + b, lambda a, b: a + b),
        ("sub", lambda a, b: a - b, lambda a, b: a - b),
        ("mul", lambda a, b: a * b, lambda a, b: a * b),
        ("neg", lambda a, b: -a, lambda a, b: -a),
        ("abs", lambda a, b: kw.abs(a - b), lambda a, b: (a - b).abs()),
        ("max", kw.maximum, lambda a, b: torch.maximum(a, b)),
        ("where", lambda a, b: kw.where(a < b, a, b * 3), lambda a, b: torch.where(a < b, a, b * 3)),
        ("equal", lambda a, b: (a == b).astype(dtype), lambda a, b: (a == b).to(a.dtype)),
        ("cast", lambda a, b: a.astype("int32").astype(dtype), lambda a, b: a.to(torch.int32).to(b.dtype)),
        (
            "float",
            lambda a, b: (a.astype("float64") * 0.0).astype(dtype) + b,
            lambda a, b: (a.double() * 0).to(b.dtype) + b,
        ),
    ]
    for _ in range(int(t.rng.integers(2, 7))):
        t.step(*t.pick(table), t.pick(t.pool), t.pick(t.pool))
    last = t.pool[-1]
    t.step("sum", lambda v: v.sum(0), lambda v: v.sum(0), last)
    t.step("total", lambda v: v.sum(), lambda v: v.sum(), last)


def _extreme(t: Twins) -> None:
    """One or two steps on the values where formulas break. No sums of many, whose overflow depends on their order."""
    torch = t.torch
    t.pool += [t.input((None, 4)), t.input((None, 4))]
    single: list[tuple[str, Any, Any]] = [
        ("tanh", kw.tanh, lambda v: v.tanh()),
        ("sigmoid", kw.sigmoid, lambda v: v.sigmoid()),
        ("relu", kw.relu, lambda v: v.relu()),
        ("exp", kw.exp, lambda v: v.exp()),
        ("log", kw.log, lambda v: v.log()),
        ("log1p", kw.log1p, lambda v: v.log1p()),
        ("sqrt", kw.sqrt, lambda v: v.sqrt()),
        ("abs", kw.abs, lambda v: v.abs()),
        ("clip", lambda v: kw.clip(v, -0.5, 0.7), lambda v: v.clamp(-0.5, 0.7)),
        ("scale", lambda v: v * 1e20, lambda v: v * 1e20),
        ("divide", lambda v: v / 1e20, lambda v: v / 1e20),
        ("reciprocal", lambda v: 1.0 / v, lambda v: 1.0 / v),
        ("square", lambda v: v * v, lambda v: v * v),
    ]
    double: list[tuple[str, Any, Any]] = [
        ("add", lambda a, b: a + b, lambda a, b: a + b),
        ("sub", lambda a, b: a - b, lambda a, b: a - b),
        ("mul", lambda a, b: a * b, lambda a, b: a * b),
        ("div", lambda a, b: a / b, lambda a, b: a / b),
        ("maximum", kw.maximum, lambda a, b: torch.maximum(a, b)),
        ("minimum", kw.minimum, lambda a, b: torch.minimum(a, b)),
        ("where", lambda a, b: kw.where(a < b, a, b), lambda a, b: torch.where(a < b, a, b)),
    ]
    for _ in range(int(t.rng.integers(1, 3))):
        if t.rng.random() < 0.5:
            t.step(*t.pick(single), t.pick(t.pool))
        else:
            t.step(*t.pick(double), t.pick(t.pool), t.pick(t.pool))
