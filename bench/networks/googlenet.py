"""GoogLeNet (Szegedy et al. 2015): nine inception modules, and in training two auxiliary classifiers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

INCEPTIONS = (
    (192, 64, 96, 128, 16, 32, 32),
    (256, 128, 128, 192, 32, 96, 64),
    (480, 192, 96, 208, 16, 48, 64),
    (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64),
    (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128),
    (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
)
"""Table 1, from 3a to 5b: channels in; filters of the 1x1; of the 3x3 and of the 1x1 before it; of the 5x5 and of the
1x1 before it; of the 1x1 after the pool."""


def conv(channels: int, filters: int, window: int, stride: int = 1) -> nn.Sequential:
    """A convolution with relu; padding keeps the size at stride 1."""
    return nn.Sequential(nn.Conv2d(channels, filters, window, stride, padding=window // 2), nn.ReLU())


class Inception(nn.Module):
    """Four branches side by side (figure 2b)."""

    def __init__(self, channels: int, ones: int, before3: int, threes: int, before5: int, fives: int, pooled: int):
        super().__init__()
        self.ones = conv(channels, ones, 1)
        self.threes = nn.Sequential(conv(channels, before3, 1), conv(before3, threes, 3))
        self.fives = nn.Sequential(conv(channels, before5, 1), conv(before5, fives, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv(channels, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.ones(x), self.threes(x), self.fives(x), self.pooled(x)], 1)


def auxiliary(channels: int) -> nn.Sequential:
    """A classifier from the middle of the network (section 5)."""
    return nn.Sequential(
        nn.AvgPool2d(5, 3),
        conv(channels, 128, 1),
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, 1024),
        nn.ReLU(),
        nn.Dropout(0.7),
        nn.Linear(1024, 1000),
    )


class GoogLeNet(nn.Module):
    """Logits; in training (logits, those after 4a, those after 4d)."""

    def __init__(self) -> None:
        super().__init__()
        modules = [Inception(*sizes) for sizes in INCEPTIONS]
        self.stem = nn.Sequential(
            conv(3, 64, 7, 2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            conv(64, 64, 1),
            conv(64, 192, 3),
            nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        self.first = nn.Sequential(*modules[:2], nn.MaxPool2d(3, 2, ceil_mode=True), modules[2])
        self.second = nn.Sequential(*modules[3:6])
        self.third = nn.Sequential(modules[6], nn.MaxPool2d(3, 2, ceil_mode=True), *modules[7:])
        self.out = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(1024, 1000))
        self.heads = nn.ModuleList([auxiliary(512), auxiliary(528)])

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        early = self.first(self.stem(x))
        late = self.second(early)
        logits = self.out(self.third(late))
        return (logits, self.heads[0](early), self.heads[1](late)) if self.training else logits


def googlenet() -> nn.Module:
    """GoogLeNet, the network of the paper."""
    return GoogLeNet()
