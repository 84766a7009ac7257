"""Convolutions in a row, then dense layers: AlexNet and VGG-16."""

from __future__ import annotations

from torch import nn


def alexnet() -> nn.Module:
    """AlexNet (Krizhevsky, Sutskever, Hinton 2012), the two processors of the paper as groups of 2; images of
    227 pixels.

    The response norms' alpha is 5 times the paper's, since PyTorch divides it by the size.
    """
    norm = [nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0), nn.MaxPool2d(3, 2)]
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, stride=4),
        nn.ReLU(),
        *norm,
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.ReLU(),
        *norm,
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        *_dense(256 * 6 * 6),
    )


def vgg16() -> nn.Module:
    """VGG-16 (Simonyan and Zisserman 2015, configuration D)."""
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), *_dense(512 * 7 * 7))


def _dense(features: int) -> list[nn.Module]:
    """The three dense layers that both end in; dropout is where the papers have it."""
    return [
        nn.Linear(features, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 1000),
    ]
