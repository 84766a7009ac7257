"""The networks once more, in PyTorch and from the papers, to compare ours with.

Parameters come in the same order as ours (body before shortcut, branches from left to right, auxiliary classifiers
where they branch off), so that weights can be copied one by one. No dropout: it is compared elsewhere.
"""

from __future__ import annotations

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
