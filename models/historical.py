"""Layers of networks before 2015: convolution by a connection table, trainable subsampling, radial units, maxout.

Leans on `layer`, and on the DSL's ops for what they compute. `kw.nn` has them beside the layers of today.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.graph.node import user_location
from ..compiler.graph.ops.contract import conv
from ..compiler.graph.ops.elementwise import tanh, where
from ..compiler.graph.ops.indexing import gather
from ..compiler.graph.ops.window import sum_pool
from ..compiler.graph.tensor import Tensor, as_tensor
from ..compiler.shapes import show
from . import initializers as init
from .arguments import explained
from .checks import choice, flag, function, pads, sizes, whole
from .layer import Layer, LayerError

BIASES = ("map", "unit", "none")


def scaled_tanh(x: Tensor) -> Tensor:
    """1.7159 tanh(2/3 x): 1 at 1 and -1 at -1, most curved there (LeCun et al. 1998, section II.B and appendix A)."""
    return tanh(x * (2.0 / 3.0)) * 1.7159


class TableConv(Layer):
    """Convolution in which each map sees only some of the maps before it (LeCun et al. 1998, table I).

    table: for each map of the result, the numbers of the maps that it sees, in ascending order. window, stride, pad:
    as in `Conv`. bias: "map" (one per map), "unit" (one per place of each map, as in LeCun et al. 1989), or "none".
    weight: (connections, *window), the connections of the first map first, those of a map in the order of the table;
    it holds no weights for maps that are not connected. First values are drawn map by map, so that a fan-in is that
    of its unit. Raises LayerError where the table does not fit the input.
    """

    kind = "conv"

    @explained(error=LayerError)
    def __init__(
        self,
        table: Sequence[Sequence[int]],
        window: Sequence[int],
        *,
        stride: Any = 1,
        pad: Any = 0,
        bias: str = "map",
        weight_init: init.Initializer = init.fan_in_uniform,
        bias_init: init.Initializer = init.zeros,
        name: str | None = None,
    ):
        super().__init__(name)
        self.table = tuple(tuple(whole("TableConv: a map", n, 0) for n in row) for row in table)
        if not self.table or not all(row and list(row) == sorted(set(row)) for row in self.table):
            raise LayerError(f"table_conv: each map sees at least one map, in ascending order, not {table!r}")
        self.bias_per = choice("TableConv: bias", bias, BIASES)
        self.window = tuple(whole("TableConv: each of the window", n) for n in window)
        self.stride, self.pad = sizes("TableConv: stride", stride), pads("TableConv: pad", pad)
        self.weight_init = function("TableConv: weight_init", weight_init)
        self.bias_init = function("TableConv: bias_init", bias_init)

    def build(self, x: Tensor) -> None:
        channels = x.shape[1] if x.rank == len(self.window) + 2 else None
        if not isinstance(channels, int):
            raise LayerError(f"table_conv: (batch, channels, {len(self.window)} axes) is needed, not {show(x.shape)}")
        seen = {channel for row in self.table for channel in row}
        if min(seen) < 0 or max(seen) >= channels:
            raise LayerError(f"table_conv: the table reads maps {min(seen)} to {max(seen)} of {show(x.shape)}")
        drawn = [init.draw(self.weight_init, (1, len(row), *self.window))[0] for row in self.table]
        self.weight = self.parameter("weight", np.concatenate(drawn))
        self.places, self.present = _dense_places(self.table, channels)
        self.bias = None
        if self.bias_per != "none":
            places: Any = self._convolved(x).shape[2:] if self.bias_per == "unit" else ()
            self.bias = self.parameter("bias", init.draw(self.bias_init, (len(self.table), *places)))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        y = self._convolved(x)
        if self.bias is None:
            return y
        return y + self.bias.reshape(*self.bias.shape, *(1,) * (y.rank - 1 - self.bias.rank))

    def _convolved(self, x: Tensor) -> Tensor:
        """The convolution with all maps, whose weights are zero where the table has no connection."""
        one = (1,) * len(self.window)
        weight = gather(self.weight, as_tensor(self.places))
        weight = where(as_tensor(self.present).reshape(*self.present.shape, *one), weight, 0.0)
        return conv(x, weight, self.stride, self.pad)


def _dense_places(table: Sequence[Sequence[int]], channels: int) -> tuple[np.ndarray, np.ndarray]:
    """For each pair of (map, channel) the number of its connection, 0 where it has none, and whether it has one."""
    places, present = np.zeros((len(table), channels), "int32"), np.zeros((len(table), channels), bool)
    count = 0
    for i, row in enumerate(table):
        places[i, list(row)] = count + np.arange(len(row))
        present[i, list(row)] = True
        count += len(row)
    return places, present


class Subsampling(Layer):
    """The sum of each window times a coefficient, plus a bias, both trained, one of each per map.

    LeCun et al. 1998, section II.B, layer S2; the squashing function comes after. Windows do not overlap.
    """

    kind = "subsampling"

    @explained(error=LayerError)
    def __init__(self, window: Any = 2, *, weight_init: init.Initializer | None = None, name: str | None = None):
        super().__init__(name)
        size = sizes("Subsampling: window", window)
        self.window = size if isinstance(size, tuple) else (size, size)
        if len(self.window) != 2:
            raise LayerError(f"Subsampling: the window is one number, or (height, width), not {window!r}")
        self.weight_init = None if weight_init is None else function("Subsampling: weight_init", weight_init)

    def build(self, x: Tensor) -> None:
        if x.rank != 4 or not isinstance(x.shape[1], int):
            raise LayerError(f"subsampling: (batch, channels, height, width) is needed, not {show(x.shape)}")
        # A unit has as many inputs as its window has places.
        draw = self.weight_init or init.constant(1.0 / (self.window[0] * self.window[1]))
        coefficients = init.draw(lambda s, rng: draw((s[0], 1, *self.window), rng)[:, 0, 0, 0], (x.shape[1],))
        self.coefficient = self.parameter("coefficient", coefficients)
        self.bias = self.parameter("bias", np.zeros(x.shape[1]))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        summed = sum_pool(x, self.window, self.window)
        return summed * self.coefficient.reshape(-1, 1, 1) + self.bias.reshape(-1, 1, 1)


class RadialBasis(Layer):
    """Minus the squared distance of the input to each of `centres`: (batch, features) -> (batch, units).

    LeCun et al. 1998, equation 7, with the sign turned, so that the nearest unit has the greatest value, as logits
    have. centres: (units, features). They are constants, as in the paper's first training, or parameters (`trained`).
    """

    kind = "rbf"

    @explained(error=LayerError)
    def __init__(self, centres: Any, *, trained: bool = False, name: str | None = None):
        super().__init__(name)
        self.values, self.trained = np.asarray(centres, "float32"), flag("RadialBasis: trained", trained)
        if self.values.ndim != 2:
            raise LayerError(f"rbf: centres are (units, features), not {self.values.shape}")

    def build(self, x: Tensor) -> None:
        if x.rank != 2 or x.shape[1] != self.values.shape[1]:
            raise LayerError(
                f"rbf: centres of {self.values.shape[1]} features take (batch, {self.values.shape[1]}), not "
                f"{show(x.shape)} (at {user_location()})"
            )
        self.centres = self.parameter("centres", self.values) if self.trained else None

    def forward(self, x: Tensor, training: bool) -> Tensor:
        centres = as_tensor(self.values.astype(x.dtype)) if self.centres is None else self.centres
        d = x.reshape(x.shape[0], 1, x.shape[1]) - centres
        return -(d * d).sum(-1)


class Maxout(Layer):
    """The greatest of each `pieces` neighbouring channels: (batch, units * pieces, ...) -> (batch, units, ...).

    After `Dense(units * pieces)` or `Conv(units * pieces, ...)` it makes the maxout unit of Goodfellow et al. 2013
    (section 3), max over j of x . W[:, i, j] + b[i, j]. Raises LayerError where `pieces` does not divide the channels.
    """

    kind = "maxout"

    @explained(error=LayerError)
    def __init__(self, pieces: int, *, name: str | None = None):
        super().__init__(name)
        self.pieces = whole("Maxout: pieces", pieces)

    def forward(self, x: Tensor, training: bool) -> Tensor:
        channels = x.shape[1] if x.rank >= 2 else None
        if not isinstance(channels, int) or channels % self.pieces:
            raise LayerError(
                f"maxout: {self.pieces} pieces must divide the channels (axis 1) of {show(x.shape)} "
                f"(at {user_location()})"
            )
        return x.reshape(x.shape[0], channels // self.pieces, self.pieces, *x.shape[2:]).max(2)
