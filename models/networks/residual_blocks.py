"""What residual networks are made of: blocks of two or three convolutions around a shortcut.

The blocks of `resnet` and `resnet_cifar`, in the order of He et al. 2016 (convolution, norm, relu, with the last relu
after the sum) and in that of their second paper (norm and relu first). Leans on `layers`.
"""

from __future__ import annotations

from ...compiler.graph.ops.elementwise import relu
from ...compiler.graph.ops.slicing import pad
from ...compiler.graph.tensor import Tensor
from .. import initializers as init
from ..layer import Layer
from ..layers import BatchNorm, Conv, Function, Residual, Sequential


def convolution(filters: int, window: int, stride: int = 1) -> Conv:
    """A convolution before a norm: no bias, He's initialisation, padded to keep the size at stride 1."""
    return Conv(filters, window, stride=stride, pad=window // 2, bias=False, weight_init=init.he_normal)


class Subsample(Layer):
    """The shortcut without parameters ("option A"): every `stride`-th pixel, and zeros in channels that are new.

    The zeros are divided between the two ends, as in the authors' code; which end makes no difference to what the
    network can learn.
    """

    kind = "subsample"

    def __init__(self, channels: int, stride: int, name: str | None = None):
        super().__init__(name)
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor, training: bool) -> Tensor:
        assert isinstance(x.shape[1], int)
        new = self.channels - x.shape[1]
        return pad(x[:, :, :: self.stride, :: self.stride], [0, (new // 2, new - new // 2), 0, 0])


def projection(filters: int, stride: int) -> Sequential:
    """The shortcut with a 1x1 convolution and a norm ("option B")."""
    return Sequential(convolution(filters, 1, stride), BatchNorm())


def block_name(stage: int, i: int) -> str:
    """The scope of a block, in the names of its variables and kernels: both counted from 1."""
    return f"stage{stage + 1}_block{i + 1}"


def basic(filters: int, stride: int, shortcut: Layer | None, name: str) -> Sequential:
    """Two 3x3 convolutions (He et al. 2016, figure 5 left)."""
    body = Sequential(convolution(filters, 3, stride), BatchNorm(), relu, convolution(filters, 3), BatchNorm())
    return Sequential(Residual(body, shortcut), relu, name=name)


def bottleneck(filters: int, stride: int, shortcut: Layer | None, stride_first: bool, name: str) -> Sequential:
    """1x1 to a quarter of `filters`, 3x3, 1x1 to `filters` (figure 5 right). `stride_first`: see `resnet`."""
    narrow, first, second = filters // 4, stride if stride_first else 1, 1 if stride_first else stride
    body = Sequential(
        convolution(narrow, 1, first),
        BatchNorm(),
        relu,
        convolution(narrow, 3, second),
        BatchNorm(),
        relu,
        convolution(filters, 1),
        BatchNorm(),
    )
    return Sequential(Residual(body, shortcut), relu, name=name)


def preactivated(filters: int, stride: int, project: bool, name: str) -> Sequential:
    """The bottleneck with norm and relu before each convolution (He et al. 2016b, figure 4e).

    Where the shape changes (`project`) the shortcut is a 1x1 convolution of the activated input, as in the authors'
    code; elsewhere it is the input itself, which so passes through a whole stage unchanged.
    """
    narrow = filters // 4
    activation: list[Layer | Function] = [BatchNorm(), relu]
    body: list[Layer | Function] = [
        convolution(narrow, 1, stride),
        BatchNorm(),
        relu,
        convolution(narrow, 3),
        BatchNorm(),
        relu,
        convolution(filters, 1),
    ]
    if project:
        return Sequential(*activation, Residual(Sequential(*body), convolution(filters, 1, stride)), name=name)
    return Sequential(Residual(Sequential(*activation, *body)), name=name)
