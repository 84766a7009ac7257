"""What a layer takes to be alike: distances between its values against distances between pixels, and maps of them.

Leans on `responses` for layers' values; t-SNE comes from scikit-learn, an extra.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.errors import InputError
from ..checks import SettingError, choice, number, whole
from ..checks import seed as checked_seed
from .explain import checked_images
from .features import Network
from .responses import responses

MISSING = 't-SNE needs scikit-learn: pip install "kernelwright[vision]" (or pip install scikit-learn)'


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Of each query the `count` nearest images, the nearest first: by_pixels and by_features (queries, count) are their
    indices; pixel_distances and feature_distances (queries, n) are the Euclidean distances to all images."""

    by_pixels: np.ndarray
    by_features: np.ndarray
    pixel_distances: np.ndarray
    feature_distances: np.ndarray


def neighbours(
    network: Network,
    images: Any,
    queries: Any,
    layer: str,
    count: int = 5,
    batch: int = 128,
    device: str = "cpu",
    threads: int | None = None,
) -> Neighbours:
    """The images nearest to each query, in the space of pixels and in that of a layer's values (as in Krizhevsky et al.
    2012, figure 4).

    images: float array (n, channels, height, width); queries: the same of other images, (queries, ...). A query that is
    among the images is its own nearest. layer: as in `features`. Of equal distances the first image's counts. Raises
    InputError for other images, SettingError for a layer that there is not.
    """
    pixels, asked = checked_images("neighbours", images), checked_images("neighbours: queries", queries)
    if pixels.shape[1:] != asked.shape[1:] or pixels.dtype != asked.dtype:
        raise InputError(
            f"neighbours: images are {pixels.dtype} {pixels.shape} and queries {asked.dtype} {asked.shape}: they may "
            "differ in their number only"
        )
    wanted = whole("neighbours: count", count, 1, len(pixels))
    values, about = (responses(network, each, layer, batch, device, threads) for each in (pixels, asked))
    by_pixels, by_features = distances(asked, pixels), distances(about, values)
    first, second = (np.argsort(far, 1, kind="stable")[:, :wanted] for far in (by_pixels, by_features))
    return Neighbours(first, second, by_pixels, by_features)


def distances(queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(queries, n) float64: the Euclidean distances between arrays along the first axis."""
    flat = others.reshape(len(others), -1).astype("float64")
    rows = queries.reshape(len(queries), -1).astype("float64")
    return np.stack([np.sqrt(((flat - row) ** 2).sum(1)) for row in rows])


def pca(values: Any, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """(coordinates (n, count), shares of the variance (count,)) of the rows of `values` (n, ...) along the directions
    in which they vary most (Pearson 1901), by a singular value decomposition in float64.

    Each direction is turned so that its largest entry is above 0. Raises InputError for values that are not two finite
    rows or more, SettingError for more directions than there are.
    """
    flat = np.asarray(values, "float64").reshape(len(values), -1)
    if len(flat) < 2 or not np.isfinite(flat).all():
        raise InputError(f"pca: at least two rows of finite numbers are needed, not an array of {np.shape(values)}")
    most = whole("pca: count", count, 1, min(flat.shape))
    left, lengths, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    largest = np.abs(directions).argmax(1)
    signs = np.where(directions[np.arange(len(directions)), largest] < 0, -1.0, 1.0)
    variance = lengths**2
    return (left * lengths * signs)[:, :most], variance[:most] / max(variance.sum(), np.finfo("float64").tiny)


def spread_out(values: Any, method: str = "pca", seed: int = 0, perplexity: float = 30.0) -> np.ndarray:
    """(n, 2): places on a plane for the rows of `values` (n, ...), so that near rows lie near each other.

    method: "pca" by `pca`, "tsne" by scikit-learn's t-SNE (van der Maaten and Hinton 2008) from there; perplexity: of
    t-SNE, about how many neighbours count, at most a third of the rows. Raises ImportError where scikit-learn is
    missing, and what `pca` raises.
    """
    if choice("spread_out: method", method, ("pca", "tsne")) == "pca":
        return pca(values)[0]
    flat = np.asarray(values, "float64").reshape(len(values), -1)
    if len(flat) < 4:
        raise SettingError(f"spread_out: t-SNE takes at least 4 rows, not {len(flat)}")
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ImportError(MISSING) from None
    reach = min(number("spread_out: perplexity", perplexity), (len(flat) - 1) / 3)
    made = TSNE(2, perplexity=reach, init="pca", random_state=checked_seed("spread_out: seed", seed) % 2**32)
    places: np.ndarray = made.fit_transform(flat)
    return places
