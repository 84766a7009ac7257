"""Affine warps of batches of images: any chain of them is one matrix per image and one bilinear resampling.

Images are (batch, channels, height, width); a point is (x, y) = (column, row) in pixels, whole numbers at the centres
of pixels. An `Affine` maps a point of the result to the point of the source that is sampled there. Its six entries are
numbers or tensors (batch,), so that gradients flow to whatever they are computed from. Composed of the DSL's own ops:
a pixel picked for each of the four neighbours, summed as one short reduction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...compiler import dtypes
from ...compiler.errors import DTypeError, ShapeError
from ...compiler.graph.node import user_location
from ...compiler.graph.ops.elementwise import abs_, clip, cos, floor, sin, where
from ...compiler.graph.ops.sampling import pick
from ...compiler.graph.ops.slicing import stack
from ...compiler.graph.ops.source import iota
from ...compiler.graph.tensor import Tensor, as_tensor, broadcast_to, cast
from ...compiler.shapes import Dim, show
from ..checks import SettingError

Scalar = float | Tensor
Size = tuple[int, int]
EDGE: Literal["edge"] = "edge"
FAR = 1e5
"""Pixels farther away than any image reaches, and near enough for a point to be counted in int32."""


@dataclass(frozen=True, eq=False)
class Affine:
    """(x, y) -> (xx x + xy y + x0, yx x + yy y + y0): from the result's pixels to the source's.

    Entries are numbers, the same for every image, or float tensors of shape (batch,).
    """

    xx: Scalar = 1.0
    xy: Scalar = 0.0
    x0: Scalar = 0.0
    yx: Scalar = 0.0
    yy: Scalar = 1.0
    y0: Scalar = 0.0

    def __matmul__(self, other: Affine) -> Affine:
        """First `other`, then this one, both taken as maps of points (the product of their matrices)."""
        a, b = self, other
        return Affine(
            _dot(a.xx, b.xx, a.xy, b.yx),
            _dot(a.xx, b.xy, a.xy, b.yy),
            _plus(_dot(a.xx, b.x0, a.xy, b.y0), a.x0),
            _dot(a.yx, b.xx, a.yy, b.yx),
            _dot(a.yx, b.xy, a.yy, b.yy),
            _plus(_dot(a.yx, b.x0, a.yy, b.y0), a.y0),
        )

    def then(self, after: Affine) -> Affine:
        """This warp of the images and then `after` of the result, as one: the source is asked last."""
        return self @ after

    def about(self, x: float, y: float) -> Affine:
        """The same map with (x, y) in the place of the origin."""
        return Affine(x0=x, y0=y) @ self @ Affine(x0=-x, y0=-y)

    def entries(self) -> tuple[Scalar, ...]:
        """The two rows of the matrix: xx, xy, x0, yx, yy, y0."""
        return self.xx, self.xy, self.x0, self.yx, self.yy, self.y0

    def matrix(self, batch: Dim, dtype: str = dtypes.DEFAULT_FLOAT) -> Tensor:
        """The entries as (batch, 2, 3). An entry that is not finite, or beyond `FAR`, is FAR: the point lies outside.

        All six together are one kernel, whatever they are computed from: the choice between entry and FAR is an op over
        the stacked entries that is worth storing, so that what it reads is computed inside it.
        """
        spread = [
            broadcast_to(cast(as_tensor(e, None if isinstance(e, Tensor) else dtype), dtype), (batch,))
            for e in self.entries()
        ]
        stacked = stack(spread, 1).reshape(batch, 2, 3)
        return where(abs_(stacked) < FAR, stacked, FAR)


def _plus(a: Scalar, b: Scalar) -> Scalar:
    if not isinstance(a, Tensor) and a == 0:
        return b
    return a if not isinstance(b, Tensor) and b == 0 else a + b


def _times(a: Scalar, b: Scalar) -> Scalar:
    for one, other in ((a, b), (b, a)):
        if not isinstance(one, Tensor) and one in (0, 1):
            return 0.0 if one == 0 else other
    return a * b


def _dot(a: Scalar, b: Scalar, c: Scalar, d: Scalar) -> Scalar:
    return _plus(_times(a, b), _times(c, d))


# ---------------------------------------------------------------- warps, by what they do to the picture


def centre(size: Size) -> tuple[float, float]:
    """(x, y) of the middle of an image of (height, width) pixels."""
    return (size[1] - 1) / 2, (size[0] - 1) / 2


def translation(right: Scalar = 0.0, down: Scalar = 0.0) -> Affine:
    """Moves the picture by so many pixels."""
    return Affine(x0=_times(-1.0, right), y0=_times(-1.0, down))


def rotation(degrees: Scalar, size: Size) -> Affine:
    """Turns the picture counter-clockwise about its middle. size: (height, width)."""
    c: Scalar
    s: Scalar
    if isinstance(degrees, Tensor):
        radians = degrees * (np.pi / 180)
        c, s = cos(radians), sin(radians)
    else:
        c, s = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    return Affine(c, _times(-1.0, s), 0.0, s, c, 0.0).about(*centre(size))


def scaling(across: Scalar, size: Size, down: Scalar | None = None) -> Affine:
    """Makes the picture `across` times as wide and `down` times (by default the same) as high, about its middle."""
    down = across if down is None else down
    return Affine(xx=1.0 / across, yy=1.0 / down).about(*centre(size))


def shearing(degrees: Scalar, size: Size) -> Affine:
    """Slants the picture: a vertical line leans to the right by so many degrees. The middle row stays."""
    if isinstance(degrees, Tensor):
        radians = degrees * (np.pi / 180)
        slope: Scalar = sin(radians) / cos(radians)
    else:
        slope = float(np.tan(np.radians(degrees)))
    return Affine(xy=slope).about(*centre(size))


def flipping(size: Size, horizontal: Scalar = 1.0, vertical: Scalar = 0.0) -> Affine:
    """Mirrors the picture left to right where `horizontal` is 1, top to bottom where `vertical` is; 0 leaves it."""
    h, w = size
    return Affine(
        xx=_plus(1.0, _times(-2.0, horizontal)),
        x0=_times(w - 1.0, horizontal),
        yy=_plus(1.0, _times(-2.0, vertical)),
        y0=_times(h - 1.0, vertical),
    )


def cropping(left: Scalar, top: Scalar) -> Affine:
    """The part of the picture that begins at (left, top); its size is what `warp` is asked for."""
    return Affine(x0=left, y0=top)


def resizing(size: Size, to: Size) -> Affine:
    """A picture of `size` stretched to fill `to`, corner to corner of the outer pixels (no averaging: to shrink by
    much, blur first). Both are (height, width)."""
    down, across = size[0] / to[0], size[1] / to[1]
    return Affine(xx=across, x0=(across - 1) / 2, yy=down, y0=(down - 1) / 2)


# ---------------------------------------------------------------- the warp itself


def warp(images: Tensor, affine: Any, size: Size | None = None, fill: float | str = 0.0) -> Tensor:
    """The images sampled bilinearly where `affine` says, as one kernel.

    images: (batch, channels, height, width) floats, height and width known. affine: an `Affine`, or a matrix (2, 3) or
    tensor (batch, 2, 3) of its two rows. size: (height, width) of the result, by default the images'. fill: the value
    of every pixel outside (each of a point's four neighbours counts by itself), or "edge" for the nearest pixel.

    Differentiable in the images and in the entries (where a point falls on a pixel's centre, from the right). Raises
    ShapeError or DTypeError where images, matrix or size do not fit, ValueError for another `fill`.
    """
    source, result = _check(images, size, fill)
    batch, channels, dtype = images.shape[0], images.shape[1], images.dtype
    shape: tuple[Dim, ...] = (batch, channels, *result, 2, 2)  # the last two: the neighbours above/below, left/right
    xx, xy, x0, yx, yy, y0 = _entries(affine, images, shape)
    column, row = (broadcast_to(_along(result[a - 2], a, dtype), shape) for a in (3, 2))
    across, down = (
        broadcast_to(as_tensor(_plus(_dot(a, column, b, row), c), dtype), shape)
        for a, b, c in ((xx, xy, x0), (yx, yy, y0))
    )
    x, x_weight = _neighbour(across, _along(2, 5, dtype))
    y, y_weight = _neighbour(down, _along(2, 4, dtype))
    if fill == EDGE:
        x, y = clip(x, 0.0, source[1] - 1.0), clip(y, 0.0, source[0] - 1.0)
    value = pick(images, y.astype("int32"), x.astype("int32"), fill=0.0 if fill == EDGE else fill)  # type: ignore[arg-type]
    return (value * (x_weight * y_weight)).sum((-2, -1))


def _neighbour(point: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """(the coordinate of the pixel before (side 0) or after (side 1) a point, its share of the point's value)."""
    before = floor(point)
    share = point - before
    return before + side, where(side > 0.5, share, 1.0 - share)


def _along(size: int, axis: int, dtype: str) -> Tensor:
    """0, 1, ... along one of six axes."""
    return iota(size, dtype).reshape(*(size if a == axis else 1 for a in range(6)))


def _check(images: Tensor, size: Any, fill: Any) -> tuple[Size, Size]:
    """(height, width) of the source and of the result."""
    height, width = image_size("warp", images)
    if not dtypes.is_float(images.dtype):
        raise DTypeError(
            f"warp: images are floats, not {images.dtype}; .astype('float32') converts them (at {user_location()})"
        )
    if isinstance(fill, str) and fill != EDGE:
        raise SettingError(f'warp: fill is a number or "edge", not {fill!r}')
    if size is None:
        return (height, width), (height, width)
    given = tuple(size) if isinstance(size, Iterable) else (size,)
    if len(given) != 2 or any(not isinstance(n, (int, np.integer)) or n < 1 for n in given):
        raise ShapeError(f"warp: size is (height, width), both at least 1, not {size!r} (at {user_location()})")
    return (height, width), (int(given[0]), int(given[1]))


def image_size(op: str, images: Tensor) -> Size:
    """(height, width) of a batch. Raises ShapeError, naming `op`, where they are not known or there are other axes."""
    if images.rank != 4 or not all(isinstance(d, int) and d > 0 for d in images.shape[1:]):
        raise ShapeError(
            f"{op}: images are (batch, channels, height, width) with only the batch unknown, not "
            f"{show(images.shape)} (at {user_location()})"
        )
    return images.shape[2], images.shape[3]  # type: ignore[return-value]


def _entries(given: Any, images: Tensor, shape: tuple[Dim, ...]) -> list[Scalar]:
    """The six entries, numbers or spread to `shape`: computed at every place, so that the warp stays one kernel."""
    if not isinstance(given, (Affine, Tensor)):
        array = np.asarray(given, "float64")
        given = Affine(*array.ravel().tolist()) if array.shape == (2, 3) else as_tensor(array.astype(images.dtype))
    if isinstance(given, Affine):
        tensors = [e for e in given.entries() if isinstance(e, Tensor)]
        for entry in tensors:
            if entry.shape not in ((images.shape[0],), (1,), ()):
                raise ShapeError(
                    f"warp: images {show(images.shape)} need entries of shape {show(images.shape[:1])}, not "
                    f"{show(entry.shape)} (at {user_location()})"
                )
        if not tensors:
            return list(given.entries())
        given = given.matrix(images.shape[0], images.dtype)
    if given.shape not in ((images.shape[0], 2, 3), (1, 2, 3)):
        raise ShapeError(
            f"warp: images {show(images.shape)} need a matrix (2, 3), or one for each: "
            f"{show((images.shape[0], 2, 3))}, not {show(given.shape)} (at {user_location()})"
        )
    each = given.astype(images.dtype).reshape(-1, 1, 1, 1, 1, 6)
    return [broadcast_to(each[..., k : k + 1], shape) for k in range(6)]
