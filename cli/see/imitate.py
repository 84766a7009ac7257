"""`kernelwright see style` and `invert`: pictures whose values inside a network are those of other pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..options import Json, Threads
from .asked import AnyWeights, Folder, Images, NetworkOption, Out, Seed, images_of, opened, refuse, told, working

if TYPE_CHECKING:
    from ...models.model import Model

METHODS = ("lbfgs", "adam")

Steps = Annotated[int, typer.Option(min=1, help="Steps of the method.")]
Method = Annotated[str, typer.Option(help="lbfgs or adam.")]
Size = Annotated[
    int | None,
    typer.Option(min=8, help="The longer side of pictures in files (default: cropped as the network takes)."),
]


def style(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="As the images of `see saliency`.")],
    styles: Annotated[list[str], typer.Option("--style", metavar="IMAGE", help="Repeat it to blend several.")],
    network: NetworkOption,
    layers: Annotated[list[str], typer.Option("--layer", help="Where style is measured; repeat it for several.")],
    weights: AnyWeights = None,
    content_layer: Annotated[str | None, typer.Option(help="Default: the last --layer.")] = None,
    style_weight: Annotated[float, typer.Option(help="What style counts, where content counts 1.")] = 100.0,
    variation: Annotated[float, typer.Option(help="What differences of neighbouring pixels cost.")] = 0.0,
    keep_colour: Annotated[bool, typer.Option("--keep-colour", help="Change the luminance alone.")] = False,
    from_noise: Annotated[bool, typer.Option("--from-noise", help="Begin with noise, not the content.")] = False,
    steps: Steps = 200,
    method: Method = "lbfgs",
    size: Size = None,
    seed: Seed = 0,
    folder: Folder = None,
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A PNG file: the picture.")] = None,
    json_file: Json = None,
) -> None:
    """A picture in the style of others: `kernelwright see style A.jpg --style B.jpg --network vgg11 --layer relu2`."""
    from ...models import vision

    _check(method)
    model = opened(network, weights, None, json_file, out)
    base, *others = pictures([content, *styles], model, size, folder)
    with working(f"{method} on {content}") as sign:
        found = vision.style(
            model,
            base,
            others,
            content_layer or layers[-1],
            layers,
            style_weight=style_weight,
            variation=variation,
            steps=steps,
            method=method,
            start="noise" if from_noise else "content",
            keep_colour=keep_colour,
            seed=seed,
            threads=threads,
            shown=lambda step, _, loss: sign.update(f"{content}: step {step} of {steps}, loss {loss:.4g}"),
        )
    line = {"image": content, "loss": float(found.losses[-1]), "before": float(found.losses[0])}
    told("style", model, [line], json_file, None, [], styles=styles, layers=layers)
    if out is not None:
        vision.save_image(out, found.image)


def invert(
    images: Images,
    network: NetworkOption,
    layers: Annotated[list[str], typer.Option("--layer", help="The layer that is inverted; repeat it for several.")],
    weights: AnyWeights = None,
    variation: Annotated[float, typer.Option(help="What differences of neighbouring pixels cost.")] = 0.1,
    steps: Steps = 200,
    method: Method = "lbfgs",
    seed: Seed = 0,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """What a layer keeps of an image: another with the same values there, found from noise."""
    from ...models import vision

    _check(method)
    model = opened(network, weights, None, json_file, out)
    pixels, _ = images_of(images, model, folder)
    options: dict[str, Any] = {"variation": variation, "method": method, "seed": seed, "threads": threads}
    lines: list[dict[str, Any]] = []
    rows: list[list[np.ndarray]] = []
    with working("inverting") as sign:
        for name, image in zip(images, pixels, strict=True):
            rows.append([image])
            lines.append({"image": name})
            for layer in layers:
                sign.update(f"{name}: {layer}")
                found = vision.invert(model, image, layer, steps, **options)
                rows[-1].append(found.image)
                lines[-1][layer] = float(found.losses[-1])
    told("invert", model, lines, json_file, out, rows, layers=layers)


def _check(method: str) -> None:
    if method not in METHODS:
        refuse(f"see: --method is one of {', '.join(METHODS)}, not {method!r}")


def pictures(names: Sequence[str], model: Model, size: int | None, folder: Path | None) -> list[np.ndarray]:
    """The images, those in files with this longer side and their own proportions, where one is given."""
    from ...models.vision import load_image

    if size is None:
        return list(images_of(names, model, folder)[0])
    shape = (model.input_shape[0], size, size)
    files = [Path(name).exists() or ":" not in name for name in names]
    return [
        load_image(name, shape, whole=True).astype(model.dtype) if file else images_of([name], model, folder)[0][0]
        for name, file in zip(names, files, strict=True)
    ]
