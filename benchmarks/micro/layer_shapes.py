"""The shapes of contractions in well-known networks, as data.

LeNet-5: LeCun et al. 1998, figure 2. AlexNet: Krizhevsky et al. 2012, section 3.5, without its groups. VGG-16: Simonyan
and Zisserman 2015, table 1 D. GoogLeNet: Szegedy et al. 2015, table 1. ResNet: He et al. 2016, table 1.
"""

from __future__ import annotations

from typing import NamedTuple

SMALL, LARGE = 128, 4
"""Batch sizes: of networks for small pictures, and of those for 224 x 224."""


class Convolution(NamedTuple):
    """A convolution of square pictures with square windows."""

    network: str
    layer: str
    batch: int
    channels: int
    filters: int
    size: int
    window: int
    stride: int = 1
    pad: int = 0

    @property
    def out(self) -> int:
        return (self.size + 2 * self.pad - self.window) // self.stride + 1

    @property
    def flops(self) -> int:
        """Multiplications and additions of the forward pass; each gradient takes as many."""
        return 2 * self.batch * self.filters * self.out**2 * self.channels * self.window**2


class Dense(NamedTuple):
    """A dense layer: (batch, inputs) times (inputs, outputs)."""

    network: str
    layer: str
    batch: int
    inputs: int
    outputs: int

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.inputs * self.outputs


CONVOLUTIONS = (
    Convolution("lenet5", "conv1", SMALL, 1, 6, 28, 5, pad=2),
    Convolution("lenet5", "conv2", SMALL, 6, 16, 14, 5),
    Convolution("alexnet", "conv1", LARGE, 3, 96, 227, 11, stride=4),
    Convolution("alexnet", "conv2", LARGE, 96, 256, 27, 5, pad=2),
    Convolution("alexnet", "conv3", LARGE, 256, 384, 13, 3, pad=1),
    Convolution("alexnet", "conv4", LARGE, 384, 384, 13, 3, pad=1),
    Convolution("vgg16", "conv1_1", LARGE, 3, 64, 224, 3, pad=1),
    Convolution("vgg16", "conv1_2", LARGE, 64, 64, 224, 3, pad=1),
    Convolution("vgg16", "conv2_2", LARGE, 128, 128, 112, 3, pad=1),
    Convolution("vgg16", "conv3_2", LARGE, 256, 256, 56, 3, pad=1),
    Convolution("vgg16", "conv4_2", LARGE, 512, 512, 28, 3, pad=1),
    Convolution("vgg16", "conv5_2", LARGE, 512, 512, 14, 3, pad=1),
    Convolution("googlenet", "conv1", LARGE, 3, 64, 224, 7, stride=2, pad=3),
    Convolution("googlenet", "3a_1x1", LARGE, 192, 64, 28, 1),
    Convolution("googlenet", "3a_3x3", LARGE, 96, 128, 28, 3, pad=1),
    Convolution("googlenet", "3a_5x5", LARGE, 16, 32, 28, 5, pad=2),
    Convolution("googlenet", "4c_3x3", LARGE, 128, 256, 14, 3, pad=1),
    Convolution("googlenet", "5b_5x5", LARGE, 48, 128, 7, 5, pad=2),
    Convolution("resnet18", "conv1", LARGE, 3, 64, 224, 7, stride=2, pad=3),
    Convolution("resnet18", "conv2_x", LARGE, 64, 64, 56, 3, pad=1),
    Convolution("resnet18", "conv3_1", LARGE, 64, 128, 56, 3, stride=2, pad=1),
    Convolution("resnet18", "conv3_shortcut", LARGE, 64, 128, 56, 1, stride=2),
    Convolution("resnet18", "conv4_x", LARGE, 256, 256, 14, 3, pad=1),
    Convolution("resnet18", "conv5_x", LARGE, 512, 512, 7, 3, pad=1),
    Convolution("resnet50", "conv2_reduce", LARGE, 256, 64, 56, 1),
    Convolution("resnet50", "conv2_expand", LARGE, 64, 256, 56, 1),
    Convolution("resnet50", "conv3_shortcut", LARGE, 256, 512, 56, 1, stride=2),
    Convolution("resnet50", "conv4_reduce", LARGE, 1024, 256, 14, 1),
    Convolution("resnet50", "conv5_expand", LARGE, 512, 2048, 7, 1),
)

DENSE = (
    Dense("lenet5", "dense1", SMALL, 400, 120),
    Dense("lenet5", "dense2", SMALL, 120, 84),
    Dense("lenet5", "dense3", SMALL, 84, 10),
    Dense("mlp", "dense1", SMALL, 784, 512),
    Dense("mlp", "dense2", SMALL, 512, 512),
    Dense("mlp", "dense3", SMALL, 512, 10),
    Dense("alexnet", "dense1", LARGE, 9216, 4096),
    Dense("alexnet", "dense2", LARGE, 4096, 4096),
    Dense("vgg16", "dense1", LARGE, 25088, 4096),
    Dense("googlenet", "dense", LARGE, 1024, 1000),
    Dense("resnet18", "dense", LARGE, 512, 1000),
    Dense("resnet50", "dense", LARGE, 2048, 1000),
)
