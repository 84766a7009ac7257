"""DenseNet-121 (Huang et al. 2017), table 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def conv(channels: int, filters: int, window: int) -> list[nn.Module]:
    """Norm, relu and a convolution without bias."""
    layer = nn.Conv2d(channels, filters, window, padding=window // 2, bias=False)
    return [nn.BatchNorm2d(channels), nn.ReLU(), layer]


class Joined(nn.Module):
    """What it is given, and what `body` makes of it, side by side."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], 1)


def densenet(depths: Sequence[int], classes: int) -> nn.Module:
    """Blocks of so many layers that each add 32 channels, between them half of the channels and of the pixels."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, padding=1))
    channels = 64
    for block, depth in enumerate(depths):
        if block:
            layers += [*conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
        for _ in range(depth):
            layers.append(Joined(nn.Sequential(*conv(channels, 128, 1), *conv(128, 32, 3))))
            channels += 32
    end = [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *end)


def densenet121(classes: int = 1000) -> nn.Module:
    """DenseNet-121."""
    return densenet((6, 12, 24, 16), classes)
