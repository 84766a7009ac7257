"""`kernelwright see unit` and `dream`: images that excite units, and images in which layers see more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..options import Json, Threads
from .asked import AnyWeights, Folder, NetworkOption, Seed, opened, refuse, told
from .imitate import Size, pictures

if TYPE_CHECKING:
    from ...models.model import Model

BASES = ("pixels", "fourier")

Layers = Annotated[list[str], typer.Option("--layer", help="A layer, such as conv1; repeat it for several.")]


def unit(
    network: NetworkOption,
    layers: Layers,
    channels: Annotated[list[int], typer.Option("--channel", min=0, help="A channel, or unit; repeat it for several.")],
    weights: AnyWeights = None,
    basis: Annotated[str, typer.Option(help="What the image is held as: pixels, or fourier, its spectrum.")] = "pixels",
    steps: Annotated[int, typer.Option(min=1, help="Steps of ascent.")] = 128,
    rate: Annotated[float | None, typer.Option(help="Of a step (default: 0.02, with fourier 0.05).")] = None,
    variation: Annotated[float, typer.Option(help="What differences of neighbouring pixels cost.")] = 0.1,
    decay: Annotated[float, typer.Option(help="What differences from grey cost.")] = 0.0,
    jitter: Annotated[int, typer.Option(min=0, help="Shifts before each step, in pixels.")] = 2,
    rotate: Annotated[float, typer.Option(help="Turns before each step, in degrees.")] = 0.0,
    scale: Annotated[float, typer.Option(help="Changes of size before each step: 0.1 is up to a tenth.")] = 0.0,
    seed: Seed = 0,
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A PNG file: a row for each layer.")] = None,
    json_file: Json = None,
) -> None:
    """Images that excite units: `kernelwright see unit --network mlp --weights F --layer dense3 --channel 3`."""
    from ...models import vision

    if basis not in BASES:
        refuse(f"see unit: --basis is one of {', '.join(BASES)}, not {basis!r}")
    model = opened(network, weights, None, json_file, out)
    options: dict[str, Any] = {"variation": variation, "decay": decay, "jitter": jitter, "rotate": rotate}
    options |= {"rate": rate or (0.05 if basis == "fourier" else 0.02), "scale": scale, "basis": basis, "seed": seed}
    lines: list[dict[str, Any]] = []
    rows: list[list[np.ndarray]] = [[] for _ in layers]
    with counting(steps * len(layers) * len(channels)) as at:
        for row, layer in zip(rows, layers, strict=True):
            for channel in channels:
                name, done = f"{layer}:{channel}", steps * len(lines)
                image, responses = vision.unit(
                    model,
                    model.input_shape,
                    layer,
                    channel,
                    steps,
                    **options,
                    threads=threads,
                    shown=_telling(at, name, done),
                )
                row.append(image)
                lines.append({"image": name, "response": float(responses[-1]), "before": float(responses[0])})
    told("unit", model, lines, json_file, out, rows, basis=basis, steps=steps, seed=seed)


def _telling(at: Callable[[int, str], None], name: str, done: int) -> Callable[[int, np.ndarray, float], None]:
    """What moves the bar on for a unit, after `done` steps for others."""
    return lambda step, _, value: at(done + step, f"{name}: {value:.4g}")


def dream(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="As the images of `see saliency`.")],
    network: NetworkOption,
    layers: Layers,
    weights: AnyWeights = None,
    octaves: Annotated[int, typer.Option(min=1, help="Sizes, the last of which is the image's.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Steps at each size.")] = 10,
    rate: Annotated[float, typer.Option(help="The mean change of a pixel in a step; pixels lie in [0, 1].")] = 0.02,
    guide: Annotated[str | None, typer.Option(metavar="IMAGE", help="Towards what is seen in this image.")] = None,
    tile: Annotated[int | None, typer.Option(min=8, help="Gradients on tiles of so many pixels a side.")] = None,
    zoom: Annotated[int | None, typer.Option(min=1, metavar="FRAMES", help="A walk into the dream, as a GIF.")] = None,
    size: Size = None,
    seed: Seed = 0,
    folder: Folder = None,
    threads: Threads = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A PNG file: the picture; with --zoom a GIF file.")
    ] = None,
    json_file: Json = None,
) -> None:
    """An image in which layers see more of it: `kernelwright see dream A.jpg --network vgg11 --layer relu4 --out P`."""
    if zoom is not None and (out is None or out.suffix.lower() != ".gif"):
        refuse("see dream: --zoom writes an animation: give --out a file that ends in .gif")
    if zoom is None and out is not None and out.suffix.lower() == ".gif":
        refuse("see dream: a GIF is of --zoom FRAMES; without it --out is a PNG file")
    model = opened(network, weights, None, json_file, out)
    photo, *guides = pictures([image] if guide is None else [image, guide], model, size, folder)
    options: dict[str, Any] = {"octaves": octaves, "steps": steps, "rate": rate, "tile": tile, "seed": seed}
    options |= {"guide": guides[0] if guides else None, "threads": threads}
    line = _one(model, photo, layers, options, out) if zoom is None else _walk(model, photo, layers, zoom, options, out)
    told("dream", model, [{"image": image, **line}], json_file, None, [], layers=layers, guide=guide, seed=seed)


def _one(
    model: Model, photo: np.ndarray, layers: list[str], options: dict[str, Any], out: Path | None
) -> dict[str, Any]:
    """Makes and writes the dream; its size, and the last objective."""
    from ...models import vision

    values = [0.0]

    def shown(step: int, picture: np.ndarray, value: float) -> None:
        values.append(value)
        at(step, f"{picture.shape[2]}x{picture.shape[1]}: {value:.4g}")

    with counting(options["octaves"] * options["steps"]) as at:
        made = vision.dream(model, photo, layers, **options, shown=shown)
    if out is not None:
        vision.save_image(out, made)
    return {"width": made.shape[2], "height": made.shape[1], "objective": values[-1]}


def _walk(
    model: Model, photo: np.ndarray, layers: list[str], frames: int, options: dict[str, Any], out: Path | None
) -> dict[str, Any]:
    """Makes and writes the animation; its size."""
    from ...models import vision

    with counting(frames) as at:
        made = vision.zoom(
            model, photo, layers, frames, **options, shown=lambda frame, _: at(frame, f"frame {frame} of {frames}")
        )
    if out is not None:
        vision.save_animation(out, made)
    return {"width": made.shape[3], "height": made.shape[2], "frames": len(made)}


@contextmanager
def counting(total: int) -> Iterator[Callable[[int, str], None]]:
    """A bar on a terminal, and the function that moves it: (steps done, what is said beside)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=total)
        yield lambda done, words: bar.update(task, completed=done, description=words)
