"""`kernelwright see filters`, `exciting` and `deconv`: what the channels of a layer respond to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..judging import Weights
from ..options import Json, Threads
from .asked import (
    Among,
    Channel,
    DataSet,
    Folder,
    Images,
    LayerOption,
    NetworkOption,
    Out,
    images_of,
    opened,
    test_images,
    told,
    working,
)


def filters(
    network: NetworkOption,
    weights: Weights,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A PNG file.")],
    layer: Annotated[str | None, typer.Option(help="Default: the first with weights.")] = None,
) -> None:
    """A layer's weights as pictures: `kernelwright see filters --network lenet5 --weights F --out P`."""
    from ...models import vision
    from ...models.vision.filters import weights_of

    model = opened(network, weights, None, None, out)
    rows = vision.filters(model, layer)
    name, values = weights_of(model, layer)
    vision.save_sheet(out, rows)
    print(f"{name}: {len(values)} filters of {'x'.join(map(str, values.shape[1:]))} weights")


def exciting(
    data: DataSet,
    network: NetworkOption,
    weights: Weights,
    layer: LayerOption,
    channel: Channel,
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 9,
    among: Among = 1000,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """The images that excite a channel most, cut to what it sees of them: `kernelwright see exciting mnist ...`."""
    from ...models import vision
    from ...models.vision.filters import in_rows

    model = opened(network, weights, None, json_file, out)
    pixels, _ = test_images(data, model, folder, among)
    with working(f"channel {channel} of {layer} in {len(pixels)} images"):
        found = vision.exciting(model, pixels, layer, channel, count, threads=threads)
    lines = [
        {"image": f"{data}:{index}", "value": float(value), "rows": _ends(rows), "columns": _ends(columns)}
        for index, value, (rows, columns) in zip(found.indices, found.values, found.fields, strict=True)
    ]
    told("exciting", model, lines, json_file, out, in_rows(list(found.crops)), layer=layer, channel=channel)


def deconv(
    images: Images,
    network: NetworkOption,
    weights: Weights,
    layer: LayerOption,
    channel: Channel,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """A channel's greatest activation in each image, projected down to pixels by a deconvolutional network."""
    from ...models import vision

    model = opened(network, weights, None, json_file, out)
    pixels, _ = images_of(images, model, folder)
    with working(f"channel {channel} of {layer} in {len(pixels)} images"):
        found = vision.project(model, pixels, layer, channel, threads=threads)
    lines = [
        {"image": name, "value": float(value), "position": [int(n) for n in position]}
        for name, value, position in zip(images, found.values, found.positions, strict=True)
    ]
    rows = [[image, vision.heat_map(each)] for image, each in zip(pixels, found.maps, strict=True)]
    told("deconv", model, lines, json_file, out, rows, layer=layer, channel=channel)


def _ends(part: slice) -> list[int]:
    """[first, one after the last]."""
    return [part.start, part.stop]
