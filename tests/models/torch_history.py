"""Historical networks once more, in PyTorch and from the papers: connections, subsampling and maxout written out.

Parameters come in the same order as ours.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

TABLE_I = {
    0: (0, 1, 2),
    1: (1, 2, 3),
    2: (2, 3, 4),
    3: (3, 4, 5),
    4: (0, 4, 5),
    5: (0, 1, 5),
    6: (0, 1, 2, 3),
    7: (1, 2, 3, 4),
    8: (2, 3, 4, 5),
    9: (0, 3, 4, 5),
    10: (0, 1, 4, 5),
    11: (0, 1, 2, 5),
    12: (0, 1, 3, 4),
    13: (1, 2, 4, 5),
    14: (0, 2, 3, 5),
    15: (0, 1, 2, 3, 4, 5),
}


class Weights(nn.Module):
    """Bare parameters of these shapes, in their place among the other layers."""

    def __init__(self, *shapes):
        super().__init__()
        self.items = nn.ParameterList([torch.empty(shape) for shape in shapes])


def squash(x):
    return 1.7159 * torch.tanh(2 * x / 3)


def by_table(x, weight, table, stride=1):
    """One small convolution for each map of the result, over the maps that it sees."""
    maps, start = [], 0
    for seen in table:
        kernels = weight[start : start + len(seen)]
        maps.append(F.conv2d(x[:, list(seen)], kernels[None], stride=stride))
        start += len(seen)
    return torch.cat(maps, 1)


class ZipCodes(nn.Module):
    """LeCun et al. 1989; `sees`: for each map of H2 its eight maps of H1."""

    def __init__(self, sees):
        super().__init__()
        self.sees = sees
        self.h1, self.h2 = Weights((12, 5, 5), (12, 8, 8)), Weights((96, 5, 5), (12, 4, 4))
        self.h3, self.out = nn.Linear(192, 30), nn.Linear(30, 10)

    def forward(self, x):
        x = 2 * x - 1
        for (weight, bias), table in ((self.h1.items, [(0,)] * 12), (self.h2.items, self.sees)):
            x = squash(by_table(F.pad(x, (2, 1, 2, 1), value=-1), weight, table, 2) + bias)
        return squash(self.out(squash(self.h3(x.flatten(1)))))


class LeNet5(nn.Module):
    """LeCun et al. 1998, section II.B, with the negative of equation 7; `codes` (classes, 84)."""

    def __init__(self, codes, trained=False):
        super().__init__()
        self.c1, self.s2 = nn.Conv2d(1, 6, 5), Weights((6,), (6,))
        self.c3, self.s4 = Weights((60, 5, 5), (16,)), Weights((16,), (16,))
        self.c5, self.f6 = nn.Conv2d(16, 120, 5), nn.Linear(120, 84)
        self.codes = Weights(codes.shape) if trained else None
        self.fixed = torch.tensor(codes).double()

    def forward(self, x):
        def subsample(y, weights):
            a, b = weights.items
            return squash(4 * F.avg_pool2d(y, 2) * a[:, None, None] + b[:, None, None])

        edge = (32 - x.shape[-1]) // 2, 32 - x.shape[-1] - (32 - x.shape[-1]) // 2
        x = F.pad(1.275 * x - 0.1, (*edge, *edge), value=-0.1)
        x = subsample(squash(self.c1(x)), self.s2)
        weight, bias = self.c3.items
        x = squash(by_table(x, weight, TABLE_I.values()) + bias[:, None, None])
        x = squash(self.c5(subsample(x, self.s4))).flatten(1)
        codes = self.fixed if self.codes is None else self.codes.items[0]
        return -((squash(self.f6(x))[:, None] - codes) ** 2).sum(2)


def maxout(x, pieces):
    """Unit i has the pieces i * pieces to (i + 1) * pieces - 1."""
    return torch.stack([x[:, j::pieces] for j in range(pieces)]).amax(0)


class MaxoutMLP(nn.Module):
    def __init__(self, features, units, pieces):
        super().__init__()
        self.pieces = pieces
        self.a, self.b = nn.Linear(features, units * pieces), nn.Linear(units, units * pieces)
        self.out = nn.Linear(units, 10)

    def forward(self, x):
        x = maxout(self.a(x.flatten(1)), self.pieces)
        return self.out(maxout(self.b(x), self.pieces))


class MaxoutConv(nn.Module):
    """`stages`: (maps, pieces, window, padding, pooling); `dense`: units and pieces of a layer before the last."""

    def __init__(self, channels, stages, features, dense=None):
        super().__init__()
        self.convolutions, self.stages = nn.ModuleList(), stages
        for maps, pieces, window, padding, _ in stages:
            self.convolutions.append(nn.Conv2d(channels, maps * pieces, window, padding=padding))
            channels = maps
        self.hidden = nn.Linear(features, dense[0] * dense[1]) if dense else None
        self.dense, self.out = dense, nn.Linear(dense[0] if dense else features, 10)

    def forward(self, x):
        for conv, (_, pieces, _, _, pool) in zip(self.convolutions, self.stages, strict=True):
            x = F.max_pool2d(maxout(conv(x), pieces), pool, 2, ceil_mode=True)
        x = x.flatten(1)
        return self.out(x if self.dense is None else maxout(self.hidden(x), self.dense[1]))
