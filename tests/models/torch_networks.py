"""The networks once more, in PyTorch and from the papers, to compare ours with.

Parameters come in the same order as ours (body before shortcut, branches from left to right, auxiliary classifiers
where they branch off), so that weights can be copied one by one. No dropout: it is compared elsewhere.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


# ------------------------------------------------------------------ He et al. 2016, ImageNet
class Block(nn.Module):
    """Basic (two convolutions) where `narrow` is None, else a bottleneck; the relu comes after the sum."""

    def __init__(self, cin, cout, stride, narrow=None, stride_first=False, shortcut="B"):
        super().__init__()
        if narrow is None:
            shapes = [(cin, cout, 3, stride), (cout, cout, 3, 1)]
        else:
            strides = (stride, 1) if stride_first else (1, stride)
            shapes = [(cin, narrow, 1, strides[0]), (narrow, narrow, 3, strides[1]), (narrow, cout, 1, 1)]
        parts = []
        for a, b, k, s in shapes:
            parts += [nn.Conv2d(a, b, k, s, k // 2, bias=False), nn.BatchNorm2d(b)]
        self.parts = nn.ModuleList(parts)
        self.project = None
        self.stride, self.extra = stride, cout - cin
        if (cin != cout or stride != 1) and shortcut == "B":
            self.project = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = x
        for i, part in enumerate(self.parts):
            y = part(y)
            if i % 2 and i + 1 < len(self.parts):
                y = y.relu()
        if self.project is not None:
            x = self.project(x)
        elif self.extra:
            half = self.extra // 2
            x = F.pad(F.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, half, self.extra - half))
        return (y + x).relu()


class ResNet(nn.Module):
    def __init__(self, depths, classes, bottleneck=False, stride_first=False):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        blocks, c = [], 64
        for stage, depth in enumerate(depths):
            width = 64 * 2**stage
            out = 4 * width if bottleneck else width
            for i in range(depth):
                stride = 2 if i == 0 and stage > 0 else 1
                blocks.append(Block(c, out, stride, width if bottleneck else None, stride_first))
                c = out
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(c, classes)

    def forward(self, x):
        x = F.max_pool2d(self.norm(self.conv(x)).relu(), 3, 2, 1)
        return self.fc(self.blocks(x).mean((2, 3)))


# ------------------------------------------------------------------ He et al. 2016, CIFAR
class CifarResNet(nn.Module):
    def __init__(self, depth, classes, shortcut="A"):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        blocks, c = [], 16
        for width in (16, 32, 64):
            for i in range((depth - 2) // 6):
                blocks.append(Block(c, width, 2 if i == 0 and width > 16 else 1, shortcut=shortcut))
                c = width
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(64, classes)

    def forward(self, x):
        return self.fc(self.blocks(self.norm(self.conv(x)).relu()).mean((2, 3)))


# ------------------------------------------------------------------ He et al. 2016b
class PreactivatedBlock(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        n = cout // 4
        self.norm1, self.conv1 = nn.BatchNorm2d(cin), nn.Conv2d(cin, n, 1, stride, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(n), nn.Conv2d(n, n, 3, 1, 1, bias=False)
        self.norm3, self.conv3 = nn.BatchNorm2d(n), nn.Conv2d(n, cout, 1, bias=False)
        self.project = nn.Conv2d(cin, cout, 1, stride, bias=False) if cin != cout else None

    def forward(self, x):
        a = self.norm1(x).relu()
        y = self.conv3(self.norm3(self.conv2(self.norm2(self.conv1(a)).relu())).relu())
        return y + (x if self.project is None else self.project(a))


class PreactivatedResNet(nn.Module):
    def __init__(self, depth, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        blocks, c = [], 16
        for width in (64, 128, 256):
            for i in range((depth - 2) // 9):
                blocks.append(PreactivatedBlock(c, width, 2 if i == 0 and width > 64 else 1))
                c = width
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.fc = nn.BatchNorm2d(256), nn.Linear(256, classes)

    def forward(self, x):
        return self.fc(self.norm(self.blocks(self.conv(x))).relu().mean((2, 3)))


# ------------------------------------------------------------------ Simonyan and Zisserman 2014
class VGG(nn.Module):
    """`plan`: widths of convolutions, "M" for a pooling, as in table 1; `pixels`: what five halvings leave."""

    def __init__(self, plan, classes, pixels):
        super().__init__()
        layers, c = [], 3
        for width in plan:
            if width == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(c, width, 3, padding=1), nn.ReLU()]
                c = width
        dense = [nn.Linear(512 * pixels, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten(), *dense, nn.Linear(4096, classes))

    def forward(self, x):
        return self.layers(x)


# ------------------------------------------------------------------ Krizhevsky et al. 2012, Zeiler and Fergus 2013
def response_norm(x, alpha, k=2.0, beta=0.75, n=5):
    """b = a / (k + alpha * sum over the n neighbouring channels of a^2)^beta, section 3.3; alpha is not divided."""
    squares = F.pad(x * x, (0, 0, 0, 0, n // 2, n // 2))
    total = sum(squares[:, i : i + x.shape[1]] for i in range(n))
    return x / (k + alpha * total) ** beta


def classifier(features, classes):
    return nn.Sequential(
        nn.Linear(features, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes)
    )


class AlexNet(nn.Module):
    def __init__(self, classes, pixels, groups=2):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, 4)
        self.conv2 = nn.Conv2d(96, 256, 5, 1, 2, groups=groups)
        self.conv3 = nn.Conv2d(256, 384, 3, 1, 1)
        self.conv4 = nn.Conv2d(384, 384, 3, 1, 1, groups=groups)
        self.conv5 = nn.Conv2d(384, 256, 3, 1, 1, groups=groups)
        self.classifier = classifier(256 * pixels, classes)

    def forward(self, x):
        x = F.max_pool2d(response_norm(self.conv1(x).relu(), 1e-4), 3, 2)
        x = F.max_pool2d(response_norm(self.conv2(x).relu(), 1e-4), 3, 2)
        x = self.conv5(self.conv4(self.conv3(x).relu()).relu()).relu()
        return self.classifier(F.max_pool2d(x, 3, 2).flatten(1))


class ZFNet(nn.Module):
    def __init__(self, classes, pixels):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 96, 7, 2, 1), nn.Conv2d(96, 256, 5, 2)
        self.conv3, self.conv4 = nn.Conv2d(256, 384, 3, 1, 1), nn.Conv2d(384, 384, 3, 1, 1)
        self.conv5 = nn.Conv2d(384, 256, 3, 1, 1)
        self.classifier = classifier(256 * pixels, classes)

    def forward(self, x):
        x = response_norm(F.max_pool2d(self.conv1(x).relu(), 3, 2, ceil_mode=True), 1e-4)
        x = response_norm(F.max_pool2d(self.conv2(x).relu(), 3, 2, ceil_mode=True), 1e-4)
        x = self.conv5(self.conv4(self.conv3(x).relu()).relu()).relu()
        return self.classifier(F.max_pool2d(x, 3, 2).flatten(1))


# ------------------------------------------------------------------ Szegedy et al. 2014
class Inception(nn.Module):
    def __init__(self, cin, n1, n3r, n3, n5r, n5, pool):
        super().__init__()
        self.one = nn.Conv2d(cin, n1, 1)
        self.three_reduce, self.three = nn.Conv2d(cin, n3r, 1), nn.Conv2d(n3r, n3, 3, padding=1)
        self.five_reduce, self.five = nn.Conv2d(cin, n5r, 1), nn.Conv2d(n5r, n5, 5, padding=2)
        self.pool = nn.Conv2d(cin, pool, 1)

    def forward(self, x):
        three = self.three(self.three_reduce(x).relu()).relu()
        five = self.five(self.five_reduce(x).relu()).relu()
        pooled = self.pool(F.max_pool2d(x, 3, 1, 1)).relu()
        return torch.cat([self.one(x).relu(), three, five, pooled], 1)


class Head(nn.Module):
    def __init__(self, cin, classes, pixels):
        super().__init__()
        self.conv, self.hidden = nn.Conv2d(cin, 128, 1), nn.Linear(128 * pixels, 1024)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x):
        x = self.conv(F.avg_pool2d(x, 5, 3)).relu().flatten(1)
        return self.fc(self.hidden(x).relu())


class GoogLeNet(nn.Module):
    """Logits, and in training the two heads' too. `pixels`: what the heads' pooling leaves, 16 of 224x224 images."""

    def __init__(self, classes, pixels=16):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 64, 7, 2, 3), nn.Conv2d(64, 64, 1)
        self.conv3 = nn.Conv2d(64, 192, 3, padding=1)
        self.m3a, self.m3b = Inception(192, 64, 96, 128, 16, 32, 32), Inception(256, 128, 128, 192, 32, 96, 64)
        self.m4a, self.head1 = Inception(480, 192, 96, 208, 16, 48, 64), Head(512, classes, pixels)
        self.m4b, self.m4c = Inception(512, 160, 112, 224, 24, 64, 64), Inception(512, 128, 128, 256, 24, 64, 64)
        self.m4d, self.head2 = Inception(512, 112, 144, 288, 32, 64, 64), Head(528, classes, pixels)
        self.m4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.m5a, self.m5b = Inception(832, 256, 160, 320, 32, 128, 128), Inception(832, 384, 192, 384, 48, 128, 128)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x):
        def pool(y):
            return F.max_pool2d(y, 3, 2, ceil_mode=True)

        x = response_norm(pool(self.conv1(x).relu()), 1e-4 / 5, k=1.0)
        x = pool(response_norm(self.conv3(self.conv2(x).relu()).relu(), 1e-4 / 5, k=1.0))
        a = self.m4a(pool(self.m3b(self.m3a(x))))
        d = self.m4d(self.m4c(self.m4b(a)))
        y = self.fc(self.m5b(self.m5a(pool(self.m4e(d)))).mean((2, 3)))
        return (y, [self.head1(a), self.head2(d)]) if self.training else y
