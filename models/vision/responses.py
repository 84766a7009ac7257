"""What a network computes for many images: any tensors of its graph as arrays, a batch at a time.

Leans on `features` for layers by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...compiler.graph.tensor import Tensor, input
from ...compiler.pipeline import compile
from ..checks import SettingError, whole
from .explain import checked_images
from .features import Network, features


def responses(
    network: Network,
    images: Any,
    layer: str,
    batch: int = 128,
    device: str = "cpu",
    threads: int | None = None,
) -> np.ndarray:
    """The values of a layer for each image: (n, channels, height, width), or (n, units) of a dense one.

    images: float array (n, channels, height, width), of which `batch` are computed at a time. layer: as in `features`.
    Raises InputError for other images, SettingError where there is no such layer.
    """
    pixels = checked_images("responses", images)
    (found,) = computed(lambda x: [features(network, x, layer)], pixels, batch, device, threads)
    return found


def computed(
    make: Callable[[Tensor], Sequence[Tensor]],
    pixels: np.ndarray,
    batch: int = 128,
    device: str = "cpu",
    threads: int | None = None,
) -> list[np.ndarray]:
    """The arrays of the tensors that `make` makes of images, each with an image's values at the image's place."""
    count = min(whole("batch", batch), len(pixels))
    x = input("images", (None, *pixels.shape[1:]), pixels.dtype)
    outputs = list(make(x))
    program = compile([x], outputs, device=device, threads=threads, typical={"batch": count})
    parts = [program(pixels[start : start + count]) for start in range(0, len(pixels), count)]
    by_output = [parts] if len(outputs) == 1 else zip(*parts, strict=True)
    return [np.concatenate(each) for each in by_output]


def channel_of(who: str, value: Tensor, layer: str, channel: Any) -> Tensor:
    """One channel of a layer's value, (batch, height, width), or one unit of a dense layer's, (batch,). Raises
    SettingError where the layer has no such channel, or its value is neither of these."""
    if value.rank not in (2, 4) or not isinstance(value.shape[1], int):
        raise SettingError(
            f"{who}: {layer} is {value.brief()}, not (batch, channels, height, width) or (batch, units): choose "
            "another layer"
        )
    place = whole(f"{who}: channel of {layer}", channel, 0, value.shape[1] - 1)
    return value[:, place]
