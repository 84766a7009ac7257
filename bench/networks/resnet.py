"""Residual networks (He, Zhang, Ren, Sun 2016): of 18 and 50 layers for ImageNet, of 110 for CIFAR-10."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """relu(body(x) + shortcut(x))."""

    def __init__(self, body: Sequence[nn.Module], shortcut: nn.Module | None = None):
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


class Widened(nn.Module):
    """The shortcut without parameters (section 3.3, option A): every second pixel, new channels zero at both ends."""

    def __init__(self, more: int):
        super().__init__()
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        whole = slice(None, None, None)
        half = slice(None, None, 2)
        return functional.pad(x[whole, whole, half, half], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))


def conv(channels: int, filters: int, window: int, stride: int = 1) -> list[nn.Module]:
    """A convolution without bias that keeps the size at stride 1, and its BatchNorm."""
    return [
        nn.Conv2d(channels, filters, window, stride, padding=window // 2, bias=False),
        nn.BatchNorm2d(filters),
    ]


def _projected(body: list[nn.Module], channels: int, width: int, stride: int) -> Residual:
    """A block whose shortcut is a 1x1 convolution where shapes change (option B)."""
    fits = stride == 1 and channels == width
    return Residual(body, None if fits else nn.Sequential(*conv(channels, width, 1, stride)))


def _basic(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [*conv(channels, width, 3, stride), nn.ReLU(), *conv(width, width, 3)]


def _bottleneck(channels: int, width: int, stride: int) -> list[nn.Module]:
    """1x1, 3x3 and 1x1 to four times as many filters; the 3x3 has the stride."""
    inner = [*conv(channels, width, 1), nn.ReLU(), *conv(width, width, 3, stride), nn.ReLU()]
    return [*inner, *conv(width, 4 * width, 1)]


def _imagenet(depths: Sequence[int], deep: bool) -> nn.Module:
    layers: list[nn.Module] = [*conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
    channels = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        filters = 4 * width if deep else width
        for i in range(depth):
            stride = 2 if stage and i == 0 else 1
            body = (_bottleneck if deep else _basic)(channels, width, stride)
            layers.append(_projected(body, channels, filters, stride))
            channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def resnet18() -> nn.Module:
    """ResNet-18 (table 1)."""
    return _imagenet((2, 2, 2, 2), deep=False)


def resnet50() -> nn.Module:
    """ResNet-50 (table 1), the stride in the 3x3 convolutions as is usual since."""
    return _imagenet((3, 4, 6, 3), deep=True)


def resnet110() -> nn.Module:
    """ResNet-110 for CIFAR-10 (section 4.2): three stages of 18 blocks of 16, 32 and 64 filters."""
    layers: list[nn.Module] = [*conv(3, 16, 3), nn.ReLU()]
    channels = 16
    for stage in range(3):
        width = 16 * 2**stage
        for i in range(18):
            new = stage > 0 and i == 0
            shortcut = Widened(width - channels) if new else None
            layers.append(Residual(_basic(channels, width, 2 if new else 1), shortcut))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
