"""Space and channels of images exchanged: `unfold`, `pixel_shuffle` and back. Movement, which kernels do as index
arithmetic. Leans on the op families."""

from __future__ import annotations

import itertools
import math
from typing import Any

from ..errors import ShapeError
from ..shapes import Dim, as_index, divide, show
from .node import user_location
from .ops.movement import transpose
from .ops.slicing import pad as constant_pad
from .ops.slicing import stack
from .synonyms import also_named
from .tensor import Like, Tensor, as_tensor


@also_named()
def unfold(x: Like, window: Any, stride: Any = 1, pad: Any = 0, dilation: Any = 1) -> Tensor:
    """The windows of images side by side: (batch, c, *spatial) -> (batch, c * elements of a window, windows).

    What a convolution multiplies ("im2col"); the order is that of PyTorch's `unfold`, for any number of spatial axes of
    known sizes. Each argument is a number for all axes or one for each. Raises ShapeError.
    """
    x = as_tensor(x)
    spatial = [n for n in x.shape[2:] if isinstance(n, int)]
    if x.rank < 3 or len(spatial) < x.rank - 2:
        raise ShapeError(
            f"unfold: (batch, channels, *spatial) with spatial sizes known while compiling is needed, not "
            f"{show(x.shape)}; a convolution takes any size (at {user_location()})"
        )
    windows, strides, pads, dilations = (
        _for_each_axis("unfold", name, value, len(spatial), least)
        for name, value, least in (
            ("window", window, 1),
            ("stride", stride, 1),
            ("pad", pad, 0),
            ("dilation", dilation, 1),
        )
    )
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(spatial, pads, dilations, windows, strides)
    ]
    if min(counts) < 1:
        raise ShapeError(f"unfold: no window of {tuple(windows)} fits {show(x.shape)} (at {user_location()})")
    wide = constant_pad(x, [0, 0, *pads]) if any(pads) else x
    taps = []
    for tap in itertools.product(*map(range, windows)):
        starts = [t * d for t, d in zip(tap, dilations)]
        cut = (slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, counts, strides))
        taps.append(wide[(slice(None), slice(None), *cut)])
    batch, channels = x.shape[:2]
    return stack(taps, 2).reshape(batch, channels * len(taps), math.prod(counts))


@also_named()
def pixel_shuffle(x: Like, upscale_factor: int) -> Tensor:
    """Channels become space: (batch, c r r, h, w) -> (batch, c, h r, w r), r = upscale_factor (Shi et al. 2016,
    section 3.2). Raises ShapeError for what are no images with such channels."""
    x = as_tensor(x)
    (r,) = _for_each_axis("pixel_shuffle", "upscale_factor", upscale_factor, 1, 1)
    channels = divide(x.shape[1], r * r) if x.rank == 4 else None
    if channels is None:
        raise ShapeError(
            f"pixel_shuffle: (batch, channels, height, width) with channels that {r}x{r} divides is needed, not "
            f"{show(x.shape)} (at {user_location()})"
        )
    n, _, h, w = x.shape
    return transpose(x.reshape(n, channels, r, r, h, w), (0, 1, 4, 2, 5, 3)).reshape(n, channels, h * r, w * r)


@also_named()
def pixel_unshuffle(x: Like, downscale_factor: int) -> Tensor:
    """Space becomes channels, the inverse of `pixel_shuffle`: (batch, c, h r, w r) -> (batch, c r r, h, w).
    Raises ShapeError for what are no images with sides that the factor divides."""
    x = as_tensor(x)
    (r,) = _for_each_axis("pixel_unshuffle", "downscale_factor", downscale_factor, 1, 1)
    sides: list[Dim | None] = [divide(side, r) for side in x.shape[2:]] if x.rank == 4 else [None]
    if None in sides:
        raise ShapeError(
            f"pixel_unshuffle: (batch, channels, height, width) with sides that {r} divides is needed, not "
            f"{show(x.shape)} (at {user_location()})"
        )
    n, c, (h, w) = x.shape[0], x.shape[1], sides
    assert h is not None and w is not None
    return transpose(x.reshape(n, c, h, r, w, r), (0, 1, 3, 5, 2, 4)).reshape(n, c * r * r, h, w)


def _for_each_axis(op: str, name: str, value: Any, count: int, least: int) -> list[int]:
    """A whole number, or one for each of `count` axes, as so many of at least `least`. Raises ShapeError."""
    given = list(value) if isinstance(value, (tuple, list)) else [value] * count
    numbers = [as_index(n) for n in given]
    if len(numbers) != count or any(n is None or n < least for n in numbers):
        raise ShapeError(
            f"{op}: {name}={value!r} should be a whole number from {least} on"
            f"{f', or one for each of {count} axes' if count > 1 else ''} (at {user_location()})"
        )
    return [n for n in numbers if n is not None]
