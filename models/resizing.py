"""Layers that change the size of images or the shape of tensors, and learn nothing. Leans on `layer` and the DSL."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.errors import ShapeError
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.elementwise import where
from ..compiler.graph.ops.movement import expand_dims, transpose
from ..compiler.graph.ops.slicing import concat, stack
from ..compiler.graph.ops.source import iota
from ..compiler.graph.tensor import Tensor, as_tensor, broadcast_to
from ..compiler.shapes import Dim, divide, show
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
        for axis, times in enumerate(each(self.scale_factor, x.rank - 2), 2):
            x = _repeated(x, axis, times) if self.mode == "nearest" else _interpolated(x, axis, times)
        return x


def _repeated(x: Tensor, axis: int, times: int) -> Tensor:
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    wide = broadcast_to(expand_dims(x, axis + 1), (*before, times, *after))
    return wide.reshape(*before[:-1], before[-1] * times, *after)


def _interpolated(x: Tensor, axis: int, times: int) -> Tensor:
    """The `times` places that each element gives are weighted means of it and of the neighbour on their side."""
    here = (slice(None),) * axis
    lower = concat([x[(*here, slice(0, 1))], x[(*here, slice(0, -1))]], axis)
    upper = concat([x[(*here, slice(1, None))], x[(*here, slice(-1, None))]], axis)
    places = []
    for k in range(times):
        offset = (k + 0.5) / times - 0.5
        neighbour = lower if offset < 0 else upper
        places.append(x * (1 - abs(offset)) + neighbour * abs(offset) if offset else x)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    return stack(places, axis + 1).reshape(*before, x.shape[axis] * times, *after)


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
        r = self.upscale_factor
        channels = x.shape[1] if x.rank == 4 else None
        if not isinstance(channels, int) or channels % (r * r):
            raise LayerError(
                f"pixelshuffle: (batch, channels, height, width) with channels that {r}x{r} divides is needed, not "
                f"{show(x.shape)} (at {user_location()})"
            )
        n, _, h, w = x.shape
        split = x.reshape(n, channels // (r * r), r, r, h, w)
        return transpose(split, (0, 1, 4, 2, 5, 3)).reshape(n, channels // (r * r), h * r, w * r)


class AdaptiveAvgPool(Layer):
    """Means over windows that give `output_size` places on each spatial axis: an int for all, or one for each.

    Place i is the mean from floor(i n / size) up to ceil((i + 1) n / size) of an axis of n, as in PyTorch: windows
    overlap where size does not divide n. (batch, channels, *spatial), of which spatial sizes may be those of a run;
    LayerError for anything else.
    """

    kind = "adaptiveavgpool"

    @explained(error=LayerError)
    def __init__(self, output_size: Any, *, name: str | None = None):
        super().__init__(name)
        self.output_size = sizes("AdaptiveAvgPool: output_size", output_size)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        if x.rank < 3 or 0 in x.shape[2:]:
            raise LayerError(f"adaptiveavgpool: (batch, channels, *spatial) is needed, not {show(x.shape)}")
        for axis, places in enumerate(each(self.output_size, x.rank - 2), 2):
            x = _means(x, axis, places)
        return x


def _means(x: Tensor, axis: int, places: int) -> Tensor:
    n = x.shape[axis]
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    length = divide(n, places)
    if length is not None:
        return x.reshape(*before, places, length, *after).mean(axis + 1)
    order = [k for k in range(x.rank) if k != axis] + [axis]
    return transpose(transpose(x, order) @ _shares(n, places, x.dtype), [order.index(k) for k in range(x.rank)])


def _shares(n: Dim, places: int, dtype: str) -> Tensor:
    """(n, places): what each element counts in the mean of each place."""
    if isinstance(n, int):
        weights = np.zeros((n, places), dtype)
        for i in range(places):
            first, end = i * n // places, -(-(i + 1) * n // places)
            weights[first:end, i] = 1 / (end - first)
        return as_tensor(weights)
    bounds = [(i * n // places, -(-((i + 1) * n) // places)) for i in range(places)]
    element = iota(n, "int32")
    columns = [where((element >= a) & (element < b), 1.0 / as_tensor(b - a).astype(dtype), 0.0) for a, b in bounds]
    return stack(columns, 1)


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


__all__ = ["AdaptiveAvgPool", "GlobalMaxPool", "PixelShuffle", "Reshape", "Upsample"]
