"""A network with one of everything that training keeps: parameters, running statistics, a generator."""

from __future__ import annotations

import kernelwright as kw


def small(dropout: float = 0.25) -> kw.models.Model:
    net = kw.nn.Sequential(
        kw.nn.Conv(4, 3, pad="same"),
        kw.nn.BatchNorm(),
        kw.relu,
        kw.nn.MaxPool(2),
        kw.nn.Flatten(),
        kw.nn.Dropout(dropout),
        kw.nn.Dense(4),
    )
    return kw.models.Model("small", net, (1, 8, 8), 4)
