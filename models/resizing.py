"""Layers that change the size of images or the shape of tensors, and learn nothing. Leans on `layer` and the DSL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..compiler.errors import ShapeError
from ..compiler.graph.patches import pixel_shuffle
from ..compiler.graph.resizing import adaptive_avg_pool, adaptive_max_pool, resize
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from .arguments import explained
from .checks import choice, sizes, whole
from .layer import Layer, LayerError
from .layers import each


class Upsample(Layer):
    """Each spatial axis `scale_factor` times as long: (batch, channels, *spatial), an int for all axes or one for each.

    mode: "nearest" repeats elements; "linear" (for images the same as "bilinear") interpolates between their centres,
    as PyTorch does with align_corners=False. Raises LayerError for an input without space.
    """

    kind = "upsample"

    @explained(
        {
            "size": "here it is scale_factor, whole numbers",
            "interpolation": "here it is mode",
            "align_corners": "it is left out: centres of elements are kept in place, as with False",
        },
        error=LayerError,
    )
    def __init__(self, scale_factor: Any, mode: str = "nearest", *, name: str | None = None):
        super().__init__(name)
        self.scale_factor = sizes("Upsample: scale_factor", scale_factor)
        self.mode = choice("Upsample: mode", mode, ("nearest", "linear", "bilinear", "trilinear"))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if x.rank < 3:
            raise LayerError(f"upsample: (batch, channels, *spatial) is needed, not {show(x.shape)}")
        factors = each(self.scale_factor, x.rank - 2)
        return resize(x, tuple(n * k for n, k in zip(x.shape[2:], factors)), self.mode)


class PixelShuffle(Layer):
    """Channels become space: (batch, c r r, h, w) -> (batch, c, h r, w r) with r = upscale_factor (Shi et al. 2016).

    Raises LayerError for inputs that are no images with such channels.
    """

    kind = "pixelshuffle"

    @explained({"block_size": "here it is upscale_factor"}, error=LayerError)
    def __init__(self, upscale_factor: int, *, name: str | None = None):
        super().__init__(name)
        self.upscale_factor = whole("PixelShuffle: upscale_factor", upscale_factor)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return _as_layer(lambda: pixel_shuffle(x, self.upscale_factor))


class AdaptiveAvgPool(Layer):
    """`kw.adaptive_avg_pool`: means over windows that give `output_size` places on each spatial axis: an int for all,
    or one for each. (batch, channels, *spatial), of which spatial sizes may be those of a run; LayerError for anything
    else.
    """

    kind = "adaptiveavgpool"

    @explained(error=LayerError)
    def __init__(self, output_size: Any, *, name: str | None = None):
        super().__init__(name)
        self.output_size = sizes("AdaptiveAvgPool: output_size", output_size)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return _as_layer(lambda: adaptive_avg_pool(x, self.output_size))


class AdaptiveMaxPool(Layer):
    """`kw.adaptive_max_pool`: the greatest in each of those windows. LayerError where they are none."""

    kind = "adaptivemaxpool"

    @explained(error=LayerError)
    def __init__(self, output_size: Any, *, name: str | None = None):
        super().__init__(name)
        self.output_size = sizes("AdaptiveMaxPool: output_size", output_size)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        return _as_layer(lambda: adaptive_max_pool(x, self.output_size))


def _as_layer(value: Callable[[], Tensor]) -> Tensor:
    """A function's value; its ShapeError is the layer's."""
    try:
        return value()
    except ShapeError as error:
        raise LayerError(str(error)) from None


class GlobalMaxPool(Layer):
    """The greatest over all spatial axes: (batch, channels, *spatial) -> (batch, channels)."""

    kind = "globalmaxpool"

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if x.rank < 3:
            raise LayerError(f"globalmaxpool: (batch, channels, *spatial) is needed, not {show(x.shape)}")
        return x.max(tuple(range(2, x.rank)))


class Reshape(Layer):
    """The axes after the batch in another shape: (batch, ...) -> (batch, *shape).

    Takes the sizes one by one or as a tuple; one of them may be -1, for what is left. Raises LayerError
    for a shape that does not fit.
    """

    kind = "reshape"

    @explained({"target_shape": "the sizes stand without a name, as in Reshape(8, 7, 7)"}, error=LayerError)
    def __init__(self, *shape: Any, name: str | None = None):
        super().__init__(name)
        given = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        self.shape = tuple(whole("Reshape: each size", n, -1) for n in given)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        try:
            return x.reshape(x.shape[0], *self.shape)
        except ShapeError as error:
            raise LayerError(f"reshape: {error}") from None


__all__ = ["AdaptiveAvgPool", "AdaptiveMaxPool", "GlobalMaxPool", "PixelShuffle", "Reshape", "Upsample"]
