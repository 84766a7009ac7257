"""Transposed convolution as a layer, of any rank: what `Conv` is the gradient of, with stride, groups and dilation.

Leans on `layers` for what it shares with `Conv`, and on the compiler's gradients: the layer's value is the gradient of
a convolution by its input, and is one contraction as that is.
"""

from __future__ import annotations

from typing import Any

from ..compiler.graph.autodiff import vjp
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.contract import conv
from ..compiler.graph.tensor import Tensor, input
from ..compiler.shapes import show
from . import initializers as init
from .arguments import explained
from .checks import flag, function, sizes, whole
from .layer import Layer, LayerError
from .layers import CHANNELS, LEARNT, PARAMETERS, WINDOWS, each


class ConvTranspose(Layer):
    """Transposed convolution over the axes after channels, as in PyTorch's ConvTranspose1d, 2d and 3d.

    weight: (channels, filters / groups, *window). (batch, channels, *spatial) -> (batch, filters, *out) with
    out = (n - 1) stride - 2 pad + dilation (window - 1) + 1 + output_padding, which lies below the stride.
    window, stride, pad, output_padding, dilation: an int, or one per spatial axis. Raises LayerError where they do not
    fit the input.
    """

    kind = "convtranspose"

    @explained(
        {"in_channels": CHANNELS, "out_channels": "here it is filters"}
        | WINDOWS
        | {"dilation_rate": "here it is dilation"}
        | PARAMETERS,
        f"{LEARNT}, so that PyTorch's ConvTranspose2d(3, 16, 3) is ConvTranspose(16, 3); the rest goes by name",
        LayerError,
    )
    def __init__(
        self,
        filters: int,
        window: Any,
        *,
        stride: Any = 1,
        pad: Any = 0,
        output_padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        weight_init: init.Initializer = init.fan_in_uniform,
        bias_init: init.Initializer = init.zeros,
        name: str | None = None,
    ):
        super().__init__(name)
        kind = "ConvTranspose"
        self.filters, self.window = whole(f"{kind}: filters", filters), sizes(f"{kind}: window", window)
        self.stride, self.dilation = sizes(f"{kind}: stride", stride), sizes(f"{kind}: dilation", dilation)
        self.pad, self.output_padding = (
            sizes(f"{kind}: pad", pad, 0),
            sizes(f"{kind}: output_padding", output_padding, 0),
        )
        self.groups, self.use_bias = whole(f"{kind}: groups", groups), flag(f"{kind}: bias", bias)
        self.weight_init = function(f"{kind}: weight_init", weight_init)
        self.bias_init = function(f"{kind}: bias_init", bias_init)

    def build(self, x: Tensor) -> None:
        d = x.rank - 2
        channels = x.shape[1] if d >= 1 else None
        if not isinstance(channels, int):
            raise LayerError(
                f"convtranspose: (batch, channels, *spatial) with known channels is needed, not {show(x.shape)}"
            )
        if channels % self.groups or self.filters % self.groups:
            raise LayerError(
                f"convtranspose: {self.groups} groups must divide {channels} channels and {self.filters} filters"
            )
        if any(extra >= s for extra, s in zip(each(self.output_padding, d), each(self.stride, d), strict=True)):
            raise LayerError(
                f"convtranspose: output_padding {self.output_padding} has to lie below the stride {self.stride}: it "
                "chooses among the sizes that a convolution of this stride takes to the input's"
            )
        shape = (channels, self.filters // self.groups, *each(self.window, d))
        self.weight = self.parameter("weight", init.draw_later(self.weight_init, shape))
        self.bias = self.parameter("bias", init.draw_later(self.bias_init, (self.filters,))) if self.use_bias else None

    def forward(self, x: Tensor, training: bool) -> Tensor:
        d = x.rank - 2
        if d < 1 or x.shape[1] != self.weight.shape[0]:
            raise LayerError(
                f"convtranspose: takes {self.weight.shape[0]} channels, not {show(x.shape)} (at {user_location()})"
            )
        stride, pad, dilation = each(self.stride, d), each(self.pad, d), each(self.dilation, d)
        settings = zip(
            x.shape[2:], self.weight.shape[2:], stride, pad, dilation, each(self.output_padding, d), strict=True
        )
        out = [(n - 1) * s - 2 * p + k * (w - 1) + 1 + extra for n, w, s, p, k, extra in settings]
        if any(isinstance(n, int) and n < 1 for n in out):
            raise LayerError(
                f"convtranspose: a pad of {self.pad} takes all there is of {show(x.shape)} (at {user_location()})"
            )
        big = input("big", (x.shape[0], self.filters, *out), x.dtype)  # its gradient does not depend on it
        y: Tensor = vjp(conv(big, self.weight, stride, pad, dilation, self.groups), big, x)
        return y if self.bias is None else y + self.bias.reshape(self.filters, *(1,) * d)


__all__ = ["ConvTranspose"]
