"""Networks in PyTorch whose layers have torchvision's names, written from its documented structure.

Small images are flattened as they are: the adaptive poolings of torchvision leave images of the usual size unchanged.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class VGG(nn.Module):
    """`plan`: widths of convolutions, "M" for a pooling; `pixels`: what five halvings leave."""

    def __init__(self, plan, classes, pixels):
        super().__init__()
        features, c = [], 3
        for width in plan:
            if width == "M":
                features.append(nn.MaxPool2d(2))
            else:
                features += [nn.Conv2d(c, width, 3, padding=1), nn.ReLU()]
                c = width
        self.features = nn.Sequential(*features)
        dense = [nn.Linear(512 * pixels, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()]
        self.classifier = nn.Sequential(*dense, nn.Linear(4096, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Block(nn.Module):
    """Two 3x3 convolutions, or with `wide` 1x1, 3x3 and 1x1 to four times the width; the 3x3 has the stride."""

    def __init__(self, cin, width, stride, wide):
        super().__init__()
        cout = 4 * width if wide else width
        shapes = [(width, 1, 1), (width, 3, stride), (cout, 1, 1)] if wide else [(width, 3, stride), (width, 3, 1)]
        self.count, c = len(shapes), cin
        for k, (n, size, step) in enumerate(shapes, 1):
            setattr(self, f"conv{k}", nn.Conv2d(c, n, size, step, size // 2, bias=False))
            setattr(self, f"bn{k}", nn.BatchNorm2d(n))
            c = n
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = x
        for k in range(1, self.count + 1):
            y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
            y = y.relu() if k < self.count else y
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    def __init__(self, depths, classes, wide=False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        c = 64
        for stage, depth in enumerate(depths, 1):
            width, blocks = 32 * 2**stage, []
            for i in range(depth):
                blocks.append(Block(c, width, 2 if i == 0 and stage > 1 else 1, wide))
                c = 4 * width if wide else width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = F.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


class Convolution(nn.Module):
    """Convolution, norm, relu; `size`: an int, or (height, width). The size is kept where `pad` is None."""

    def __init__(self, cin, cout, size, stride=1, pad=None):
        super().__init__()
        h, w = (size, size) if isinstance(size, int) else size
        pads = (h // 2, w // 2) if pad is None else (pad, pad)
        self.conv = nn.Conv2d(cin, cout, (h, w), stride, pads, bias=False)
        self.bn = nn.BatchNorm2d(cout, eps=0.001)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Module(nn.Module):
    """Branches of steps, side by side: (name, filters, size, stride, pad), AVG, SHRINK, or two steps in parallel."""

    def __init__(self, cin, *branches):
        super().__init__()
        self.branches = branches
        for branch in branches:
            c = cin
            for step in branch:
                for name, filters, *rest in [step] if isinstance(step[0], str) else step:
                    if filters:
                        setattr(self, name, Convolution(c, filters, *rest))
                c = filters or c

    def forward(self, x):
        done = []
        for branch in self.branches:
            y = x
            for step in branch:
                if not isinstance(step[0], str):
                    y = torch.cat([getattr(self, name)(y) for name, *_ in step], 1)
                elif step[1]:
                    y = getattr(self, step[0])(y)
                else:
                    y = F.avg_pool2d(y, 3, 1, 1) if step[0] == "avg" else F.max_pool2d(y, 3, 2)
            done.append(y)
        return torch.cat(done, 1)


AVG, SHRINK = ("avg", 0), ("shrink", 0)


def mixed_5(cin, pool):
    return Module(
        cin,
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
        [AVG, ("branch_pool", pool, 1)],
    )


def mixed_6(n):
    double = [("branch7x7dbl_1", n, 1), ("branch7x7dbl_2", n, (7, 1)), ("branch7x7dbl_3", n, (1, 7))]
    return Module(
        768,
        [("branch1x1", 192, 1)],
        [("branch7x7_1", n, 1), ("branch7x7_2", n, (1, 7)), ("branch7x7_3", 192, (7, 1))],
        [*double, ("branch7x7dbl_4", n, (7, 1)), ("branch7x7dbl_5", 192, (1, 7))],
        [AVG, ("branch_pool", 192, 1)],
    )


def mixed_7(cin):
    single = (("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1)))
    double = (("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1)))
    return Module(
        cin,
        [("branch1x1", 320, 1)],
        [("branch3x3_1", 384, 1), single],
        [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3), double],
        [AVG, ("branch_pool", 192, 1)],
    )


class AuxLogits(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv0, self.conv1 = Convolution(768, 128, 1), Convolution(128, 768, 5, 1, 0)
        self.fc = nn.Linear(768, classes)


class InceptionV3(nn.Module):
    """In inference: the auxiliary classifier is there and not computed."""

    def __init__(self, classes):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Convolution(3, 32, 3, 2, 0), Convolution(32, 32, 3, 1, 0)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = Convolution(32, 64, 3), Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, 1, 0)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = mixed_5(192, 32), mixed_5(256, 64), mixed_5(288, 64)
        double = [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2, 0)]
        self.Mixed_6a = Module(288, [("branch3x3", 384, 3, 2, 0)], double, [SHRINK])
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (mixed_6(n) for n in (128, 160, 160, 192))
        self.AuxLogits = AuxLogits(classes)
        seven = [("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1))]
        self.Mixed_7a = Module(
            768,
            [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2, 0)],
            [*seven, ("branch7x7x3_4", 192, 3, 2, 0)],
            [SHRINK],
        )
        self.Mixed_7b, self.Mixed_7c = mixed_7(1280), mixed_7(2048)
        self.fc = nn.Linear(2048, classes)

    def forward(self, x):
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.fc(self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3)))


class AlexNet(nn.Module):
    def __init__(self, classes, pixels):
        super().__init__()
        features = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        features += [nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        for cin, cout in ((192, 384), (384, 256), (256, 256)):
            features += [nn.Conv2d(cin, cout, 3, 1, 1), nn.ReLU()]
        self.features = nn.Sequential(*features, nn.MaxPool2d(3, 2))
        first = [nn.Dropout(), nn.Linear(256 * pixels, 4096), nn.ReLU()]
        self.classifier = nn.Sequential(
            *first, nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes)
        )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Inception(nn.Module):
    def __init__(self, cin, one, three_in, three, double_in, double, pool):
        super().__init__()
        self.branch1 = Convolution(cin, one, 1)
        self.branch2 = nn.Sequential(Convolution(cin, three_in, 1), Convolution(three_in, three, 3))
        self.branch3 = nn.Sequential(Convolution(cin, double_in, 1), Convolution(double_in, double, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), Convolution(cin, pool, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


GOOGLENET = {
    "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64), "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64), "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64), "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128), "5b": (832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip


class GoogLeNet(nn.Module):
    """In inference: of an auxiliary classifier there is one value, which is not used."""

    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Convolution(3, 64, 7, 2), Convolution(64, 64, 1), Convolution(64, 192, 3)
        for name, sizes in GOOGLENET.items():
            setattr(self, f"inception{name}", Inception(*sizes))
        self.aux1 = nn.Sequential()
        self.aux1.fc2, self.fc = nn.Linear(1, classes), nn.Linear(1024, classes)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        for name in GOOGLENET:
            x = getattr(self, f"inception{name}")(x)
            if name in ("3b", "4e"):
                x = F.max_pool2d(x, *((3, 2) if name == "3b" else (2, 2)), ceil_mode=True)
        return self.fc(x.mean((2, 3)))
