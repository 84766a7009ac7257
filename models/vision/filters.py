"""A layer's weights as pictures: what the first convolution, or the first dense layer, multiplies images by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.graph.variable import get_value
from ..checks import SettingError, nearest
from .pictures import SIGNED, coloured

if TYPE_CHECKING:
    from ..layer import Layer
    from ..model import Model


def filters(
    network: Model | Layer, layer: str | None = None, shape: Sequence[int] | None = None
) -> list[list[np.ndarray]]:
    """Rows of pictures (1 or 3, height, width) in [0, 1] for `save_sheet`: the weights of a convolution or dense layer.

    network: a model, or a layer that has been called. layer: such as "conv2", by default the first with weights. Each
    filter's weights are divided by the greatest magnitude among them. Those that see one channel go from blue through
    white (0) to red, those of three channels are colours around grey (0), in rows of about as many as there are rows;
    a filter of any other number of channels is a row of its own, with a picture for each.

    shape: (channels, height, width) of what a dense layer's weights are multiplied by, by default the images of a
    model. Raises SettingError where there is no such layer, and where a dense layer's weights are no images.
    """
    name, weights = weights_of(network, layer)
    if weights.ndim == 2:
        given = shape if shape is not None else getattr(network, "input_shape", None)
        if given is None or int(np.prod(given)) != weights.shape[1] or len(given) != 3:
            raise SettingError(
                f"filters: each unit of {name} has {weights.shape[1]} weights, which are no image of {given}: shape= "
                "says what they are, such as shape=(1, 28, 28)"
            )
        weights = weights.reshape(len(weights), *given)
    scaled = weights / np.maximum(np.abs(weights).max((1, 2, 3), keepdims=True), np.finfo(weights.dtype).tiny)
    if weights.shape[1] == 3:
        return in_rows(list(scaled / 2 + 0.5))
    pictures = [[coloured(channel / 2 + 0.5, SIGNED) for channel in each] for each in scaled]
    return in_rows([only for (only,) in pictures]) if weights.shape[1] == 1 else pictures


def in_rows(pictures: Sequence[Any], columns: int | None = None) -> list[list[Any]]:
    """The pictures in rows of `columns`, by default as many as make about a square."""
    wide = columns or int(np.ceil(np.sqrt(len(pictures))))
    return [list(pictures[start : start + wide]) for start in range(0, len(pictures), wide)]


def weights_of(network: Model | Layer, layer: str | None) -> tuple[str, np.ndarray]:
    """(name, weights) of the layer, or of the first that has any. Raises SettingError where there is none."""
    known = {v.attrs.name.removesuffix(".weight"): v for v in network.parameters() if v.rank in (2, 4)}
    if not known:
        raise SettingError("filters: the network has no weights of convolutions or dense layers yet: call it on images")
    if layer is None:
        name = next(iter(known))
    elif layer in known:
        name = layer
    else:
        hint = nearest(str(layer), list(known))
        raise SettingError(f"filters: {layer!r} has no weights of a convolution or dense layer; {hint}")
    return name, np.asarray(get_value(known[name]))
