"""MobileNet (Howard et al. 2017), table 1 at width 1."""

from __future__ import annotations

from torch import nn

PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Filters and stride of each depthwise convolution and the 1x1 convolution after it."""


def conv(channels: int, filters: int, window: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without bias, its BatchNorm and relu."""
    layer = nn.Conv2d(channels, filters, window, stride, padding=window // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(filters), nn.ReLU()]


def mobilenet(classes: int = 1000) -> nn.Module:
    """MobileNet, the network of the paper."""
    layers = conv(3, 32, 3, 2)
    channels = 32
    for filters, stride in PAIRS:
        layers += [*conv(channels, channels, 3, stride, groups=channels), *conv(channels, filters, 1)]
        channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
