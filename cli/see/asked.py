"""What the subcommands of `kernelwright see` share: options with their help, images by name, what is printed and kept.

Leans on typer; everything that takes time to import is imported by the function that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import numpy as np
import typer

from ..options import check_name, network_of, write_json

if TYPE_CHECKING:
    from ...models.model import Model

Images = Annotated[
    list[str], typer.Argument(metavar="IMAGE...", help="JPEG or PNG files, or places in a test set: mnist:17.")
]
NetworkOption = Annotated[str, typer.Option("--network", help="A network; `kernelwright models` lists them.")]
AnyWeights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="As of `evaluate` (default: a network that was never trained)."),
]
Class = Annotated[int | None, typer.Option("--class", min=0, help="The class explained, or the attack's target.")]
Seed = Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")]
Folder = Annotated[Path | None, typer.Option(help="The data set's files (default: $KERNELWRIGHT_DATA/<data>).")]
DataSet = Annotated[str, typer.Argument(metavar="DATA", help="A data set, such as mnist: its test images.")]
Among = Annotated[int, typer.Option(min=1, help="How many of the data set's test images are looked at.")]
LayerOption = Annotated[str, typer.Option("--layer", help="A layer, such as conv1.")]
Channel = Annotated[int, typer.Option(min=0, help="One of the layer's channels, or units.")]
Plot = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The curve, as .png, .svg or .pdf.")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="A PNG file: each image beside what is seen in it.")]


def opened(network: str, weights: Path | None, wanted: int | None, json_file: Path | None, out: Path | None) -> Model:
    """The trained network, or without weights a new one, after a look at all else: its name, the class, whether files
    can be written."""
    from ...models.evaluation import trained
    from ..training import try_outputs

    check_name(network)
    try_outputs(("the outcome", json_file), ("the picture", out))
    model = network_of(network, 0) if weights is None else trained(network, weights)
    if wanted is not None and wanted >= model.classes:
        refuse(f"--class {wanted}: {model.name} has classes 0 to {model.classes - 1}")
    return model


def images_of(names: Sequence[str], model: Model, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """(images for the model, their labels, -1 where unknown) from files and places in test sets."""
    from ...models.data import load
    from ...models.vision import load_image

    sets: dict[str, Any] = {}
    pixels, labels = [], []
    for name in names:
        source, colon, place = name.rpartition(":")
        if Path(name).exists() or not colon:
            pixels.append(load_image(name, model.input_shape))
            labels.append(-1)
            continue
        if source not in sets:
            sets[source] = load(source, folder, model.input_shape)
        part = sets[source].test
        if not place.isdecimal() or int(place) >= len(part):
            refuse(f"{name}: the test set of {source} has images 0 to {len(part) - 1}")
        pixels.append(_image(part, int(place), name, model))
        labels.append(int(part.labels[int(place)]) if part.labels.ndim == 1 else -1)
    return np.stack(pixels).astype(model.dtype), np.array(labels)


def test_images(source: str, model: Model, folder: Path | None, among: int) -> tuple[np.ndarray, np.ndarray]:
    """(images for the model, labels) of the first `among` test images of a data set."""
    from ...models.data import load

    part: Any = load(source, folder, model.input_shape).test
    count = min(among, len(part))
    pixels = [_image(part, place, f"{source}:{place}", model) for place in range(count)]
    return np.stack(pixels).astype(model.dtype), np.asarray(part.labels[:count])


def _image(part: Any, place: int, name: str, model: Model) -> np.ndarray:
    image: np.ndarray = part.read(place) if hasattr(part, "read") else part.images[place]
    if image.shape != model.input_shape:
        refuse(f"{name} is an image of {image.shape}, {model.name} takes {model.input_shape}")
    return image


def told(
    what: str,
    model: Model,
    lines: list[dict[str, Any]],
    json_file: Path | None,
    out: Path | None,
    rows: Sequence[Sequence[np.ndarray]],
    **more: Any,
) -> None:
    """Prints a line for each image, writes the sheet of pictures and the outcome."""
    from ...models import vision

    for line in lines:
        words = (f"{key} {_short(value)}" for key, value in line.items() if key != "image")
        print(f"{line['image']}: {', '.join(words)}")
    if out is not None:
        vision.save_sheet(out, rows)
    write_json(json_file, {"what": what, "network": model.name, **more, "images": lines})


def working(what: str) -> AbstractContextManager[Any]:
    """A sign on a terminal that work is under way."""
    from rich.console import Console

    return Console(stderr=True).status(what)


def refuse(message: str) -> NoReturn:
    """Raises SettingError, which the command line prints as one line."""
    from ...models.checks import SettingError

    raise SettingError(message)


def _short(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
