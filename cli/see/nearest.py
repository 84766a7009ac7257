"""`kernelwright see nearest`: the images of a data set nearest to others, by pixels and by a layer's values."""

from __future__ import annotations

from typing import Annotated

import typer

from ..judging import Weights
from ..options import Json, Threads
from .asked import Among, Folder, Images, LayerOption, NetworkOption, Out, images_of, opened, test_images, told, working


def nearest(
    images: Images,
    data: Annotated[str, typer.Option(help="The data set among whose test images the nearest are looked for.")],
    network: NetworkOption,
    weights: Weights,
    layer: LayerOption,
    count: Annotated[int, typer.Option(min=1, help="How many of the nearest.")] = 5,
    among: Among = 1000,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """What a layer takes to be alike: each image's nearest by pixels, and below them by the layer's values.

    An image that is among those looked at is its own nearest.
    """
    from ...models import vision

    model = opened(network, weights, None, json_file, out)
    pixels, _ = images_of(images, model, folder)
    others, labels = test_images(data, model, folder, among)
    with working(f"distances to {len(others)} images"):
        found = vision.neighbours(model, others, pixels, layer, min(count, len(others)), threads=threads)
    lines, rows = [], []
    for name, image, by_pixels, by_features in zip(images, pixels, found.by_pixels, found.by_features, strict=True):
        lines.append({"image": name, "by_pixels": by_pixels.tolist(), "by_features": by_features.tolist()})
        rows += [[image, *others[by_pixels]], [image, *others[by_features]]]
    told("nearest", model, lines, json_file, out, rows, layer=layer, data=data, labels=labels.tolist())
