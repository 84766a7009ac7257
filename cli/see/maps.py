"""`kernelwright see saliency`, `gradcam` and `occlusion`: which pixels of an image its class depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..judging import Weights
from ..options import Json, Threads
from .asked import Class, Folder, Images, NetworkOption, Out, Seed, images_of, opened, refuse, told, working

if TYPE_CHECKING:
    from ...models.vision import Attribution

METHODS = (
    "saliency",
    "gradient",
    "gradient_times_input",
    "smooth_grad",
    "integrated_gradients",
    "guided_backpropagation",
    "deconvolution",
)


def saliency(
    images: Images,
    network: NetworkOption,
    weights: Weights,
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS[:-1])} or {METHODS[-1]}.")] = "saliency",
    wanted: Class = None,
    seed: Seed = 0,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """Which pixels matter, by gradients: `kernelwright see saliency mnist:17 --network mlp --weights F --out P`."""
    from ...models import vision

    if method not in METHODS:
        refuse(f"see saliency: --method is one of {', '.join(METHODS)}, not {method!r}")
    model = opened(network, weights, wanted, json_file, out)
    pixels, _ = images_of(images, model, folder)
    options: dict[str, Any] = {"seed": seed} if method == "smooth_grad" else {}
    with working(f"{method} of {len(pixels)} images"):
        found = vision.attribute(model, pixels, _classes(wanted, pixels), method, threads=threads, **options)
    told("saliency", model, _lines(images, found), json_file, out, _rows(pixels, found), method=method)


def gradcam(
    images: Images,
    network: NetworkOption,
    weights: Weights,
    layer: Annotated[str | None, typer.Option(help="Default: the last with height and width.")] = None,
    wanted: Class = None,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """Which region matters, by a layer's channels (Grad-CAM)."""
    from ...models import vision

    model = opened(network, weights, wanted, json_file, out)
    pixels, _ = images_of(images, model, folder)
    with working(f"Grad-CAM of {len(pixels)} images"):
        found = vision.attribute(model, pixels, _classes(wanted, pixels), "grad_cam", threads=threads, layer=layer)
    told("gradcam", model, _lines(images, found), json_file, out, _rows(pixels, found), layer=layer)


def occlusion(
    images: Images,
    network: NetworkOption,
    weights: Weights,
    window: Annotated[int, typer.Option(min=1, help="The side of the square that is covered.")] = 5,
    wanted: Class = None,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """How much the score falls where a square of the image is covered."""
    from ...models import vision

    model = opened(network, weights, wanted, json_file, out)
    pixels, _ = images_of(images, model, folder)
    with working(f"occlusion of {len(pixels)} images"):
        found = vision.occlusion(model, pixels, _classes(wanted, pixels), window, max(1, window // 4), threads=threads)
    told("occlusion", model, _lines(images, found), json_file, out, _rows(pixels, found), window=window)


def _classes(wanted: int | None, pixels: np.ndarray) -> np.ndarray | None:
    return None if wanted is None else np.full(len(pixels), wanted)


def _lines(names: Sequence[str], found: Attribution) -> list[dict[str, Any]]:
    explained = zip(names, found.classes, found.scores, strict=True)
    return [{"image": name, "class": int(label), "score": float(score)} for name, label, score in explained]


def _rows(pixels: np.ndarray, found: Attribution) -> list[list[np.ndarray]]:
    """Each image beside its map."""
    from ...models.vision import heat_map

    return [[image, heat_map(values, image)] for image, values in zip(pixels, found.maps, strict=True)]
