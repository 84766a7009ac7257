"""A trained network fitted to images of another domain, without labels: batch normalisation's statistics measured anew.

AdaBN (Li, Wang, Shi, Liu, Hou 2016, "Revisiting batch normalization for practical domain adaptation", algorithm 1):
under covariate shift (other light, another camera) the moments kept from training no longer describe the activations;
those of the new images do. The same after the parameters were averaged. Leans on `programs.substitute`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.graph.functions import moments
from ..compiler.graph.ops.source import size_of
from ..compiler.graph.tensor import Tensor, dim_of
from ..compiler.graph.variable import set_value
from ..compiler.pipeline import compile
from . import batches
from .checks import SettingError, whole
from .layer import traced
from .model import Model
from .normalization import BatchNorm
from .programs import substitute


def recompute_statistics(
    model: Model, images: Any, batch: int = 256, device: str = "cpu", threads: int | None = None
) -> int:
    """Replace the running mean and variance of every BatchNorm by those over `images`; returns how many layers.

    images: (n, *input_shape) float32, as for prediction, without labels. They are cut into parts of nearly equal size,
    at most `batch`. Within a part each layer sees inputs normalised by the part's own moments; the layer's statistics
    are the moments over all parts together, with the unbiased variance. Dropout rests. Nothing else of the model
    changes. Raises InputError for images that do not fit, ValueError for a network without BatchNorm or one image.
    """
    whole("recompute_statistics: batch", batch)
    checked = batches.check_images(images, model.input_shape)
    x = model.images()
    layers = list(dict.fromkeys(layer for _, layer, _ in traced(model.net, x) if isinstance(layer, BatchNorm)))
    if not layers:
        raise SettingError(f"recompute_statistics: {model.name!r} has no BatchNorm layer: nothing to measure")
    if len(checked) < 2 or batch < 2:
        raise SettingError(f"recompute_statistics: a variance needs 2 images, not {min(len(checked), batch)}")
    measure = compile([x], _measured(layers), device=device, threads=threads, typical={"batch": batch})
    found = [measure.run([part]) for part in np.array_split(checked, -(-len(checked) // batch))]
    for i, layer in enumerate(layers):
        mean, var = _pooled([out[3 * i : 3 * i + 3] for out in found])
        set_value(layer.mean, mean.astype(layer.mean.dtype))
        set_value(layer.var, var.astype(layer.var.dtype))
    return len(layers)


def _measured(layers: Sequence[BatchNorm]) -> list[Tensor]:
    """(mean, biased variance, count) of each layer's input, where the layers before use the batch's own moments."""
    out: list[Tensor] = []
    known: dict[Tensor, Tensor] = {}
    for layer in layers:
        (y,) = substitute([layer.last_input], known)
        axes = (0, *range(2, y.rank))
        mean, var = moments(y, axes)
        known |= {layer.mean: mean, layer.var: var}
        out += [mean, var, size_of(dim_of(y, axes), "float32")]
    return out


def _pooled(parts: Sequence[Sequence[np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased variance of parts together, float64, from the (mean, biased variance, count) of each."""
    means = np.array([p[0] for p in parts], "float64")
    variances = np.array([p[1] for p in parts], "float64")
    counts = np.array([float(p[2]) for p in parts])
    total = counts.sum()
    weights = (counts / total)[:, None]
    mean = (weights * means).sum(0)
    var = (weights * (variances + (means - mean) ** 2)).sum(0)
    return mean, var * total / max(total - 1, 1.0)
