"""The small networks: a playground's multilayer perceptron, one for digits, and LeNet-5."""

from __future__ import annotations

from torch import nn


def playground() -> nn.Module:
    """2-8-8-2 with tanh, of the size of TensorFlow Playground's networks (Smilkov et al. 2017)."""
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))


def mlp() -> nn.Module:
    """784-512-512-10 with relu."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def lenet5() -> nn.Module:
    """LeNet-5 (LeCun et al. 1998) on 28x28 images, as taught today."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )
