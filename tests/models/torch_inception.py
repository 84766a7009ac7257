"""The Inception networks after GoogLeNet once more, in PyTorch and from the papers, to compare ours with.

A convolution is written as (filters, window, stride, padding); windows are (height, width). Parameters come in the
same order as ours. No dropout.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class C(nn.Module):
    """Convolution, batch norm, relu. `size`: an int or (height, width); the padding keeps the size unless `valid`."""

    def __init__(self, cin, cout, size, stride=1, valid=False):
        super().__init__()
        h, w = (size, size) if isinstance(size, int) else size
        self.conv = nn.Conv2d(cin, cout, (h, w), stride, 0 if valid else (h // 2, w // 2), bias=False)
        self.norm = nn.BatchNorm2d(cout, eps=0.001)

    def forward(self, x):
        return self.norm(self.conv(x)).relu()


def chain(cin, *steps):
    """C after C, each step its arguments after the input channels."""
    layers = []
    for step in steps:
        layers.append(C(cin, *step))
        cin = step[0]
    return nn.Sequential(*layers)


class Cat(nn.Module):
    """Branches side by side."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([b(x) for b in self.branches], 1)


def mean_then(cin, cout):
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), C(cin, cout, 1))


def split(cin, cout):
    return Cat(C(cin, cout, (1, 3)), C(cin, cout, (3, 1)))


class Tail(nn.Module):
    """Parts, the mean over the image, logits; in training also those of a head after part number `after`."""

    def __init__(self, parts, features, classes, after=None, head=None):
        super().__init__()
        before = len(parts) if after is None else after
        self.first = nn.Sequential(*parts[:before])
        self.head = head
        self.second = nn.Sequential(*parts[before:])
        self.fc = nn.Linear(features, classes)

    def forward(self, x):
        middle = self.first(x)
        logits = self.fc(self.second(middle).mean((2, 3)))
        return (logits, [self.head(middle)]) if self.training and self.head is not None else logits


# ------------------------------------------------------------------ Ioffe and Szegedy 2015, figure 5
BN_TABLE = [  # 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pooling and its 1x1; None: stride 2
    (64, 64, 64, 64, 96, "avg", 32),
    (64, 64, 96, 64, 96, "avg", 64),
    (None, 128, 160, 64, 96, "max", None),
    (224, 64, 96, 96, 128, "avg", 128),
    (192, 96, 128, 96, 128, "avg", 128),
    (160, 128, 160, 128, 160, "avg", 128),
    (96, 128, 192, 160, 192, "avg", 128),
    (None, 128, 192, 192, 256, "max", None),
    (352, 192, 320, 160, 224, "avg", 128),
    (352, 192, 320, 192, 224, "max", 128),
]


def bn_inception(classes, separable=True):
    if separable:
        seven = [nn.Conv2d(3, 24, 7, 2, 3, groups=3, bias=False), nn.Conv2d(24, 64, 1, bias=False)]
        parts = [*seven, nn.BatchNorm2d(64, eps=0.001), nn.ReLU()]
    else:
        parts = [C(3, 64, 7, 2)]
    parts += [nn.MaxPool2d(3, 2, 1), C(64, 64, 1), C(64, 192, 3), nn.MaxPool2d(3, 2, 1)]
    c = 192
    for one, r3, n3, r33, n33, kind, after in BN_TABLE:
        stride = 1 if one else 2
        pool = nn.AvgPool2d(3, 1, 1) if kind == "avg" else nn.MaxPool2d(3, stride, 1)
        branches = [C(c, one, 1)] if one else []
        branches += [chain(c, (r3, 1), (n3, 3, stride)), chain(c, (r33, 1), (n33, 3), (n33, 3, stride))]
        branches += [nn.Sequential(pool, C(c, after, 1)) if after else pool]
        parts.append(Cat(*branches))
        c = (one or 0) + n3 + n33 + (after or c)
    return Tail(parts, c, classes)


# ------------------------------------------------------------------ Szegedy et al. 2015, Inception v3
def v3_stem():
    first = chain(3, (32, 3, 2, True), (32, 3, 1, True), (64, 3))
    return [first, nn.MaxPool2d(3, 2), C(64, 80, 1), C(80, 192, 3, 1, True), nn.MaxPool2d(3, 2)]


def v3_head(classes):
    pool = nn.Sequential(nn.AvgPool2d(5, 3), C(768, 128, 1), C(128, 768, 5, 1, True))
    return nn.Sequential(pool, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(768, classes))


def v3_17(n):
    return Cat(
        C(768, 192, 1),
        chain(768, (n, 1), (n, (1, 7)), (192, (7, 1))),
        chain(768, (n, 1), (n, (7, 1)), (n, (1, 7)), (n, (7, 1)), (192, (1, 7))),
        mean_then(768, 192),
    )


def v3_8(c):
    three = nn.Sequential(C(c, 384, 1), split(384, 384))
    double = nn.Sequential(C(c, 448, 1), C(448, 384, 3), split(384, 384))
    return Cat(C(c, 320, 1), three, double, mean_then(c, 192))


def inception_v3(classes, heads=True):
    parts = v3_stem()
    for c, pool in ((192, 32), (256, 64), (288, 64)):
        double = chain(c, (64, 1), (96, 3), (96, 3))
        parts.append(Cat(C(c, 64, 1), chain(c, (48, 1), (64, 5)), double, mean_then(c, pool)))
    double = chain(288, (64, 1), (96, 3), (96, 3, 2, True))
    parts.append(Cat(C(288, 384, 3, 2, True), double, nn.MaxPool2d(3, 2)))
    parts += [v3_17(n) for n in (128, 160, 160, 192)]
    after = len(parts)
    seven = chain(768, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, True))
    parts.append(Cat(chain(768, (192, 1), (320, 3, 2, True)), seven, nn.MaxPool2d(3, 2)))
    parts += [v3_8(1280), v3_8(2048)]
    return Tail(parts, 2048, classes, after, v3_head(classes) if heads else None)


# ------------------------------------------------------------------ Szegedy et al. 2016, Inception v4
def v4_stem():
    long = chain(160, (64, 1), (64, (7, 1)), (64, (1, 7)), (96, 3, 1, True))
    return [
        chain(3, (32, 3, 2, True), (32, 3, 1, True), (64, 3)),
        Cat(nn.MaxPool2d(3, 2), C(64, 96, 3, 2, True)),
        Cat(chain(160, (64, 1), (96, 3, 1, True)), long),
        Cat(C(192, 192, 3, 2, True), nn.MaxPool2d(3, 2)),
    ]


def reduction_a(c, k, l, m, n):  # noqa: E741
    return Cat(nn.MaxPool2d(3, 2), C(c, n, 3, 2, True), chain(c, (k, 1), (l, 3), (m, 3, 2, True)))


def inception_v4(classes):
    parts = v4_stem()
    for _ in range(4):
        double = chain(384, (64, 1), (96, 3), (96, 3))
        parts.append(Cat(mean_then(384, 96), C(384, 96, 1), chain(384, (64, 1), (96, 3)), double))
    parts.append(reduction_a(384, 192, 224, 256, 384))
    for _ in range(7):
        seven = chain(1024, (192, 1), (224, (1, 7)), (256, (7, 1)))
        twice = chain(1024, (192, 1), (192, (1, 7)), (224, (7, 1)), (224, (1, 7)), (256, (7, 1)))
        parts.append(Cat(mean_then(1024, 128), C(1024, 384, 1), seven, twice))
    three = chain(1024, (192, 1), (192, 3, 2, True))
    seven = chain(1024, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2, True))
    parts.append(Cat(nn.MaxPool2d(3, 2), three, seven))
    for _ in range(3):
        wide = nn.Sequential(C(1536, 384, 1), split(384, 256))
        ends = Cat(C(512, 256, (3, 1)), C(512, 256, (1, 3)))
        long = nn.Sequential(chain(1536, (384, 1), (448, (1, 3)), (512, (3, 1))), ends)
        parts.append(Cat(mean_then(1536, 256), C(1536, 256, 1), wide, long))
    return Tail(parts, 1536, classes)


# ------------------------------------------------------------------ Szegedy et al. 2016, Inception-ResNet
class Residual(nn.Module):
    def __init__(self, channels, joined, scale, last, *branches):
        super().__init__()
        self.branches, self.linear = Cat(*branches), nn.Conv2d(joined, channels, 1)
        self.scale, self.last = scale, last

    def forward(self, x):
        y = x + self.scale * self.linear(self.branches(x))
        return y if self.last else F.relu(y)


def block_a(c, widths, scale):
    first, second = widths
    double = chain(c, (32, 1), (first, 3), (second, 3))
    return Residual(c, 64 + second, scale, False, C(c, 32, 1), chain(c, (32, 1), (32, 3)), double)


def block_b(c, one, widths, scale):
    first, second, third = widths
    seven = chain(c, (first, 1), (second, (1, 7)), (third, (7, 1)))
    return Residual(c, one + third, scale, False, C(c, one, 1), seven)


def block_c(c, widths, scale, last=False):
    first, second = widths
    return Residual(c, 192 + second, scale, last, C(c, 192, 1), chain(c, (192, 1), (first, (1, 3)), (second, (3, 1))))


def reduction_b(c, single, double):
    first, second = double
    long = chain(c, (256, 1), (first, 3), (second, 3, 2, True))
    short = [chain(c, (256, 1), (n, 3, 2, True)) for n in (384, single)]
    return Cat(nn.MaxPool2d(3, 2), *short, long)


def inception_resnet_v1(classes, scales=(0.17, 0.1, 0.2)):
    stem = [*v3_stem()[:-1], C(192, 256, 3, 2, True)]
    parts = [*stem, *(block_a(256, (32, 32), scales[0]) for _ in range(5)), reduction_a(256, 192, 192, 256, 384)]
    parts += [block_b(896, 128, (128, 128, 128), scales[1]) for _ in range(10)]
    parts += [reduction_b(896, 256, (256, 256)), *(block_c(1792, (192, 192), scales[2]) for _ in range(5))]
    return Tail(parts, 1792, classes)


def inception_resnet_v2(classes, released=False, scales=(0.17, 0.1, 0.2)):
    if released:
        double = chain(192, (64, 1), (96, 3), (96, 3))
        mixed = Cat(C(192, 96, 1), chain(192, (48, 1), (64, 5)), double, mean_then(192, 64))
        parts, (a, b, c), depths = [*v3_stem(), mixed], (320, 1088, 2080), (10, 20, 9)
    else:
        parts, (a, b, c), depths = v4_stem(), (384, 1152, 2144), (5, 10, 5)
    parts += [block_a(a, (48, 64), scales[0]) for _ in range(depths[0])]
    parts += [reduction_a(a, 256, 256, 384, 384)]
    parts += [block_b(b, 192, (128, 160, 192), scales[1]) for _ in range(depths[1])]
    parts += [reduction_b(b, 288, (288, 320))]
    parts += [block_c(c, (224, 256), scales[2]) for _ in range(depths[2])]
    if released:
        return Tail([*parts, block_c(c, (224, 256), 1.0, last=True), C(c, 1536, 1)], 1536, classes)
    return Tail(parts, c, classes)
