"""Layers that normalise each example by itself: over groups of channels, over space, over the last axis by its square.

None keeps statistics, and training and inference are the same. Leans on `layer`, and on the compiler's `moments`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..compiler.graph.functions import moments
from ..compiler.graph.node import user_location
from ..compiler.graph.ops.elementwise import rsqrt
from ..compiler.graph.tensor import Tensor
from ..compiler.shapes import show
from .arguments import explained
from .checks import NOT_NEGATIVE, flag, number, whole
from .layer import Layer, LayerError

LEARNT = "here it is left out: the channels are learnt from the first call"
NAMES = {
    "num_groups": "here it is groups",
    "num_channels": LEARNT,
    "num_features": LEARNT,
    "normalized_shape": LEARNT,
    "epsilon": "here it is eps",
    "elementwise_affine": "here it is affine",
    "momentum": "each example is normalised by its own statistics, and none are kept",
    "track_running_stats": "each example is normalised by its own statistics, and none are kept",
}


class GroupNorm(Layer):
    """Over each group of channels (axis 1) and space, for each example (Wu and He 2018): (batch, channels, *spatial).

    groups must divide the channels; 1 takes all of them together. weight and bias: (channels,), left out with
    affine=False. Raises LayerError for other inputs.
    """

    kind = "groupnorm"
    state_names: ClassVar = {"scale": "weight", "shift": "bias"}

    @explained(NAMES, "PyTorch's GroupNorm(8, 64) is GroupNorm(8): the channels are learnt", LayerError)
    def __init__(self, groups: int, *, eps: float = 1e-5, affine: bool = True, name: str | None = None):
        super().__init__(name)
        self.groups = whole("GroupNorm: groups", groups)
        self.eps, self.affine = number("GroupNorm: eps", eps, NOT_NEGATIVE), flag("GroupNorm: affine", affine)

    def build(self, x: Tensor) -> None:
        channels = _channels(self.kind, x)
        if channels % self.groups:
            raise LayerError(
                f"groupnorm: {self.groups} groups must divide the {channels} channels of {show(x.shape)} (at "
                f"{user_location()})"
            )
        if self.affine:
            self.scale = self.parameter("scale", np.ones(channels))
            self.shift = self.parameter("shift", np.zeros(channels))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        parts = x.reshape(x.shape[0], self.groups, -1, *x.shape[2:])
        mean, var = moments(parts, tuple(range(2, parts.rank)), keepdims=True)
        y = ((parts - mean) * rsqrt(var + self.eps)).reshape(*x.shape)
        if not self.affine:
            return y
        wide = (-1, *(1,) * (x.rank - 2))
        return y * self.scale.reshape(wide) + self.shift.reshape(wide)


class InstanceNorm(Layer):
    """Over the space of each channel of each example (Ulyanov, Vedaldi, Lempitsky 2016): (batch, channels, *spatial).

    affine=True adds a weight and a bias (channels,), which PyTorch's leaves out by default as well. Raises LayerError
    for inputs without space.
    """

    kind = "instancenorm"
    state_names: ClassVar = {"scale": "weight", "shift": "bias"}

    @explained(NAMES, "PyTorch's InstanceNorm2d(64) is InstanceNorm(): the channels are learnt", LayerError)
    def __init__(self, *, eps: float = 1e-5, affine: bool = False, name: str | None = None):
        super().__init__(name)
        self.eps, self.affine = number("InstanceNorm: eps", eps, NOT_NEGATIVE), flag("InstanceNorm: affine", affine)

    def build(self, x: Tensor) -> None:
        channels = _channels(self.kind, x)
        if x.rank < 3:
            raise LayerError(f"instancenorm: (batch, channels, *spatial) is needed, not {show(x.shape)}")
        if self.affine:
            self.scale = self.parameter("scale", np.ones(channels))
            self.shift = self.parameter("shift", np.zeros(channels))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        mean, var = moments(x, tuple(range(2, x.rank)), keepdims=True)
        y = (x - mean) * rsqrt(var + self.eps)
        if not self.affine:
            return y
        wide = (-1, *(1,) * (x.rank - 2))
        return y * self.scale.reshape(wide) + self.shift.reshape(wide)


class RMSNorm(Layer):
    """x over the root of the mean square of its last axis, times a weight (features,) (Zhang and Sennrich 2019).

    eps: added to the mean square; None is the spacing of x's dtype at 1, as in PyTorch. affine=False leaves the weight
    out. Raises LayerError for an unknown number of features.
    """

    kind = "rmsnorm"
    state_names: ClassVar = {"scale": "weight"}

    @explained(NAMES, "PyTorch's RMSNorm(64) is RMSNorm(): the features are learnt", LayerError)
    def __init__(self, *, eps: float | None = None, affine: bool = True, name: str | None = None):
        super().__init__(name)
        self.eps = None if eps is None else number("RMSNorm: eps", eps, NOT_NEGATIVE)
        self.affine = flag("RMSNorm: affine", affine)

    def build(self, x: Tensor) -> None:
        if x.rank < 2 or not isinstance(x.shape[-1], int):
            raise LayerError(f"rmsnorm: (..., features) with known features is needed, not {show(x.shape)}")
        if self.affine:
            self.scale = self.parameter("scale", np.ones(x.shape[-1]))

    def forward(self, x: Tensor, training: bool) -> Tensor:
        eps = float(np.finfo(x.dtype).eps) if self.eps is None else self.eps
        y = x * rsqrt((x * x).mean(-1, keepdims=True) + eps)
        return y * self.scale if self.affine else y


def _channels(kind: str, x: Tensor) -> int:
    if x.rank < 2 or not isinstance(x.shape[1], int):
        raise LayerError(f"{kind}: (batch, channels, ...) with known channels is needed, not {show(x.shape)}")
    return x.shape[1]


__all__ = ["GroupNorm", "InstanceNorm", "RMSNorm"]
