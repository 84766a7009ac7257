"""`kernelwright see distort`: what becomes of the answer while an image is moved, turned, scaled or covered."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from ..judging import Weights
from ..options import Json, Threads
from .asked import Class, Folder, Images, NetworkOption, Plot, images_of, opened, refuse, told, working

KINDS = ("translate_x", "translate_y", "scale", "rotate", "contrast", "occlude")
Kind = Annotated[str, typer.Option(help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.")]
Amounts = Annotated[
    str | None,
    typer.Option(help="Numbers with commas between: pixels, factors, degrees, or the side of the square that covers."),
]


def distort(
    images: Images,
    network: NetworkOption,
    weights: Weights,
    kind: Kind = "rotate",
    amounts: Amounts = None,
    wanted: Class = None,
    folder: Folder = None,
    threads: Threads = None,
    out: Plot = None,
    json_file: Json = None,
) -> None:
    """How far an answer lasts: `kernelwright see distort mnist:17 --kind rotate --network mlp --weights F --out P`."""
    from ...models import vision
    from ...models.vision.figures import check

    if kind not in KINDS:
        refuse(f"see distort: --kind is one of {', '.join(KINDS)}, not {kind!r}")
    if out is not None:
        check(out)
    steps = None if amounts is None else _numbers(amounts)
    model = opened(network, weights, wanted, json_file, out)
    pixels, _ = images_of(images, model, folder)
    given = _usual(kind, min(model.input_shape[1:])) if steps is None else steps
    with working(f"{len(given)} amounts of {kind} for {len(pixels)} images"):
        found = [vision.distort(model, image, kind, given, wanted, threads=threads) for image in pixels]
    lines = []
    for name, each in zip(images, found, strict=True):
        answered = f"{(each.answers == each.label).sum()} of {len(given)}"
        lines.append({"image": name, "class": each.label, "answered": answered, "least": float(each.confidence.min())})
    if out is not None:
        vision.plot(out, *found)
    curves = [
        {"amounts": each.amounts.tolist(), "probability": each.confidence.tolist(), "answers": each.answers.tolist()}
        for each in found
    ]
    told("distort", model, lines, json_file, None, [], kind=kind, curves=curves)


def _usual(kind: str, side: int) -> np.ndarray:
    """Amounts from little to so much that few answers last."""
    ends = {"scale": (0.4, 2.0), "rotate": (-180.0, 180.0), "contrast": (0.0, 3.0), "occlude": (0.0, float(side))}
    low, high = ends.get(kind, (-0.4 * side, 0.4 * side))
    amounts = np.linspace(low, high, 25)
    return np.unique(amounts.round()) if kind == "occlude" else amounts


def _numbers(text: str) -> np.ndarray:
    try:
        return np.array([float(each) for each in text.split(",")])
    except ValueError:
        refuse(f"see distort: --amounts are numbers with commas between, such as -30,0,30, not {text!r}")
