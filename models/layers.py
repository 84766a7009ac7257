"""The layers most used: dense, convolution, pooling, activations, and the containers that join them.

Images are (batch, channels, height, width). Leans on `layer` for what a layer is, on the DSL's ops for what it
computes; norms and dropout are in `normalization`, layers of older networks in `historical`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..compiler.graph.node import user_location
from ..compiler.graph.ops.contract import conv
from ..compiler.graph.ops.movement import flatten
from ..compiler.graph.ops.slicing import concat
from ..compiler.graph.ops.window import avg_pool, max_pool
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from . import initializers as init
from .arguments import explained
from .checks import choice, flag, function, pads, sizes, whole
from .historical import Maxout, RadialBasis, Subsampling, TableConv, scaled_tanh
from .layer import Layer, LayerError, traced
from .normalization import BatchNorm, Dropout, LayerNorm, LocalResponseNorm

Function = Callable[[Tensor], Tensor]

LEARNT = "the input's size is learnt from the first call"
ACTIVATION = "an activation is a layer of its own, as in Sequential(..., kw.relu)"
PARAMETERS = {
    "activation": ACTIVATION,
    "use_bias": "here it is bias",
    "kernel_initializer": "here it is weight_init",
    "bias_initializer": "here it is bias_init",
    "dtype": "`with kw.init.precision(...)` chooses the dtype of parameters",
    "device": "a device is chosen where a program is compiled: kw.compile(..., device=...)",
    "input_shape": LEARNT,
}
WINDOWS = {
    "pool_size": "here it is window",
    "strides": "here it is stride",
}
CHANNELS = f"here it is left out: {LEARNT}"


class Dense(Layer):
    """y = x @ weight.T + bias over the last axis: (..., in) -> (..., units). weight: (units, in)."""

    kind = "dense"

    @explained(
        {"in_features": CHANNELS, "out_features": "here it is units", **PARAMETERS},
        f"{LEARNT}, so that PyTorch's Linear(784, 10) is Dense(10); {ACTIVATION}",
        LayerError,
    )
    def __init__(
        self,
        units: int,
        *,
        bias: bool = True,
        weight_init: init.Initializer = init.fan_in_uniform,
        bias_init: init.Initializer = init.zeros,
        name: str | None = None,
    ):
        super().__init__(name)
        self.units, self.use_bias = whole("Dense: units", units), flag("Dense: bias", bias)
        self.weight_init = function("Dense: weight_init", weight_init)
        self.bias_init = function("Dense: bias_init", bias_init)

    def build(self, x: Tensor) -> None:
        if x.rank < 2 or not isinstance(x.shape[-1], int):
            raise LayerError(
                f"dense: (..., features) with a known number of features is needed, not {show(x.shape)}; of images of "
                "any size, AdaptiveAvgPool(7) before Flatten() leaves 7x7 places, and GlobalAvgPool() one "
                f"(at {user_location()})"
            )
        self.weight = self.parameter("weight", init.draw_later(self.weight_init, (self.units, x.shape[-1])))
        self.bias = self.parameter("bias", init.draw_later(self.bias_init, (self.units,))) if self.use_bias else None

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if x.rank < 1 or x.shape[-1] != self.weight.shape[1]:
            raise LayerError(
                f"{self.weight.attrs.name}: takes {self.weight.shape[1]} features, not {show(x.shape)}; "
                f"kw.nn.Flatten() turns images into vectors (at {user_location()})"
            )
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class Conv(Layer):
    """Convolution over the axes after channels. weight: (filters, channels / groups, *window), as in PyTorch.

    window, stride, dilation: an int, or one per spatial axis. pad: an int, one per axis, (before, after) per axis,
    "valid", or "same" (output size ceil(input / stride), the odd zero at the end, as in TensorFlow).
    """

    kind = "conv"

    @explained(
        {
            "in_channels": CHANNELS,
            "out_channels": "here it is filters",
            **WINDOWS,
            "dilation_rate": "here it is dilation",
        }
        | PARAMETERS,
        f"{LEARNT}, so that PyTorch's Conv2d(3, 16, 3) is Conv(16, 3); the rest goes by name: Conv(16, 3, stride=2)",
        LayerError,
    )
    def __init__(
        self,
        filters: int,
        window: Any,
        *,
        stride: Any = 1,
        pad: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        weight_init: init.Initializer = init.fan_in_uniform,
        bias_init: init.Initializer = init.zeros,
        name: str | None = None,
    ):
        super().__init__(name)
        self.filters, self.window = whole("Conv: filters", filters), sizes("Conv: window", window)
        self.stride, self.dilation = sizes("Conv: stride", stride), sizes("Conv: dilation", dilation)
        is_word = isinstance(pad, str)
        self.pad = choice("Conv: pad, as a word,", pad, ("same", "valid")) if is_word else pads("Conv: pad", pad)
        self.groups, self.use_bias = whole("Conv: groups", groups), flag("Conv: bias", bias)
        self.weight_init = function("Conv: weight_init", weight_init)
        self.bias_init = function("Conv: bias_init", bias_init)

    def build(self, x: Tensor) -> None:
        d = x.rank - 2
        channels = x.shape[1] if d >= 1 else None
        if not isinstance(channels, int):
            raise LayerError(f"conv: (batch, channels, *spatial) with known channels is needed, not {show(x.shape)}")
        if channels % self.groups or self.filters % self.groups:
            raise LayerError(f"conv: {self.groups} groups must divide {channels} channels and {self.filters} filters")
        shape = (self.filters, channels // self.groups, *each(self.window, d))
        self.weight = self.parameter("weight", init.draw_later(self.weight_init, shape))
        self.bias = self.parameter("bias", init.draw_later(self.bias_init, (self.filters,))) if self.use_bias else None

    def forward(self, x: Tensor, training: bool) -> Tensor:
        d = x.rank - 2
        window, stride, dilation = self.weight.shape[2:], each(self.stride, d), each(self.dilation, d)
        pad = self.pad if not isinstance(self.pad, str) else 0
        if self.pad == "same":
            pad = [_same(n, w, s, k) for n, w, s, k in zip(x.shape[2:], window, stride, dilation, strict=True)]
        y = conv(x, self.weight, stride, pad, dilation, self.groups)
        return y if self.bias is None else y + self.bias.reshape(self.filters, *(1,) * d)


def each(what: Any, d: int) -> tuple[int, ...]:
    """A number for each of `d` axes, from one for all or from as many. Raises LayerError for another count."""
    values = (what,) * d if isinstance(what, int) else tuple(what)
    if len(values) != d:
        raise LayerError(f"{what} must be one number, or one for each of {d} axes")
    return values


def _same(size: Any, window: Any, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after an axis so that its output has ceil(size / stride) places."""
    total = (-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size
    if not isinstance(total, int):
        raise LayerError(
            f'conv: pad="same" with stride {stride} depends on the size {size}, which only a run knows; give pad as '
            f"a number, such as {(window - 1) * dilation // 2} (at {user_location()})"
        )
    total = max(total, 0)
    return total // 2, total - total // 2


class _Pool(Layer):
    """Windows over the spatial axes, those after (batch, channels): an int for all of them, or one for each.

    (batch, channels, length) is pooled along its length, (batch, channels, height, width) in both. stride: the window.
    Raises LayerError for an input of other axes.
    """

    @explained(WINDOWS, error=LayerError)
    def __init__(self, window: Any, stride: Any = None, pad: Any = 0, *, name: str | None = None):
        super().__init__(name)
        kind = type(self).__name__
        self.window, self.pad = sizes(f"{kind}: window", window), pads(f"{kind}: pad", pad)
        self.stride = None if stride is None else sizes(f"{kind}: stride", stride)

    def _over(self, x: Tensor) -> tuple[tuple[int, ...], Any, Any]:
        """(window, stride, pad) with a number for each spatial axis of `x`."""
        d = x.rank - 2
        if d < 1 or (isinstance(self.window, tuple) and len(self.window) != d):
            raise LayerError(
                f"{self.kind}: a window of {self.window} pools (batch, channels, *spatial) with as many spatial axes, "
                f"not {show(x.shape)} (at {user_location()})"
            )
        window = each(self.window, d)
        pad = (self.pad,) * d if isinstance(self.pad, int) else self.pad
        return window, window if self.stride is None else each(self.stride, d), pad


class MaxPool(_Pool):
    """The greatest element of each window."""

    kind = "maxpool"

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return max_pool(x, *self._over(x))


class AvgPool(_Pool):
    """The mean of each window; padding counts as zeros, as in PyTorch's default."""

    kind = "avgpool"

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return avg_pool(x, *self._over(x))


class GlobalAvgPool(Layer):
    """The mean over all spatial axes: (batch, channels, *spatial) -> (batch, channels)."""

    kind = "globalavgpool"

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return x.mean(tuple(range(2, x.rank)))


class Flatten(Layer):
    """All axes after the batch as one: (batch, ...) -> (batch, features)."""

    kind = "flatten"

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return flatten(x)


class Activation(Layer):
    """A function of a tensor as a layer; containers wrap plain functions in it."""

    def __init__(self, function: Function, name: str | None = None):
        super().__init__(name)
        if isinstance(function, (type, Layer)) or not callable(function):
            raise LayerError(f"Activation: a function of a tensor such as kw.relu is needed, not {function!r}")
        self.function = function
        self.kind = getattr(function, "__name__", "function").strip("_<>")

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return self.function(x)


def as_layer(what: Layer | Function) -> Layer:
    """A layer from a layer or a plain function. Raises LayerError for anything else."""
    if isinstance(what, Layer):
        return what
    if isinstance(what, type) or not callable(what):
        raise LayerError(
            f"a layer or a function of a tensor such as kw.relu is needed, not {what!r}"
            + (" (a class: make one of it first)" if isinstance(what, type) else "")
        )
    return Activation(what)


class Sequential(Layer):
    """Layers and functions, each applied to the value of the one before. Named by kind: conv1, tanh1, conv2.

    They are given one by one, or as one list.
    """

    def __init__(self, *layers: Layer | Function | Sequence[Layer | Function], name: str | None = None):
        super().__init__(name)
        if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            layers = tuple(layers[0])
        self.layers = [as_layer(layer) for layer in layers]  # type: ignore[arg-type]
        given = [layer.name for layer in self.layers]
        self.keys = [n if n is not None and given.count(n) == 1 else str(i) for i, n in enumerate(given)]
        counts: dict[str, int] = {}
        for layer in self.layers:
            label = layer.kind or type(layer).__name__.lower()
            counts[label] = counts.get(label, 0) + 1
            if layer.name is None:
                layer.name = f"{label}{counts[label]}"

    def forward(self, x: Tensor, training: bool) -> Tensor:
        for layer in self.layers:
            x = layer(x, training)
        return x

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """(name, layer): the name a layer was given, else its place."""
        yield from zip(self.keys, self.layers, strict=True)

    def __getitem__(self, i: int) -> Layer:
        return self.layers[i]

    def __len__(self) -> int:
        return len(self.layers)


class Parallel(Layer):
    """The branches' values for one input, joined along the channels (axis 1). Named branch1, branch2, ..."""

    kind = "parallel"

    def __init__(self, *branches: Layer | Function, name: str | None = None):
        super().__init__(name)
        self.branch = [as_layer(branch) for branch in branches]
        for i, branch in enumerate(self.branch):
            branch.name = branch.name or f"branch{i + 1}"

    def forward(self, x: Tensor, training: bool) -> Tensor:
        parts = [branch(x, training) for branch in self.branch]
        for i, y in enumerate(parts):
            if (y.shape[0], *y.shape[2:]) != (parts[0].shape[0], *parts[0].shape[2:]):
                raise LayerError(
                    f"parallel: branch 1 gives {show(parts[0].shape)}, branch {i + 1} {show(y.shape)}; all but the "
                    f"channels (axis 1) must agree (at {user_location()})"
                )
        return concat(parts, 1)


class Residual(Layer):
    """body(x) + shortcut(x); the shortcut is x itself where none is given (He et al. 2016)."""

    def __init__(self, body: Layer | Function, shortcut: Layer | Function | None = None, name: str | None = None):
        super().__init__(name)
        self.body = as_layer(body)
        self.shortcut = None if shortcut is None else as_layer(shortcut)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        y = self.body(x, training)
        other = x if self.shortcut is None else self.shortcut(x, training)
        if y.shape != other.shape:
            raise LayerError(
                f"residual: the body gives {show(y.shape)}, the shortcut {show(other.shape)}; a 1x1 Conv with the "
                f"body's stride as shortcut makes them fit (at {user_location()})"
            )
        return y + other


__all__ = [
    "Activation",
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Layer",
    "LayerError",
    "LayerNorm",
    "LocalResponseNorm",
    "MaxPool",
    "Maxout",
    "Parallel",
    "RadialBasis",
    "Residual",
    "Sequential",
    "Subsampling",
    "TableConv",
    "as_layer",
    "scaled_tanh",
    "traced",
]
