"""`kernelwright see attack`: images changed as little as needed to be taken for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..judging import Weights
from ..options import Json, Threads
from .asked import Class, Folder, Images, NetworkOption, Out, Seed, images_of, opened, refuse, told, working

if TYPE_CHECKING:
    from ...models.model import Model
    from ...models.vision import Attack

METHODS = ("pgd", "pgd-l2", "fgsm", "deepfool", "lbfgs", "universal", "noise")
UNTARGETED = ("deepfool", "universal", "noise")


def attack(
    images: Images,
    network: NetworkOption,
    weights: Weights,
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS[:-1])} or {METHODS[-1]}.")] = "pgd",
    wanted: Class = None,
    epsilon: Annotated[float, typer.Option(help="The size of the change; pixels lie in [0, 1].")] = 0.1,
    seed: Seed = 0,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """What fools a network: `kernelwright see attack mnist:17 --network mlp --weights F --out P`.

    Away from the data set's label, or the network's answer where there is none; or towards --class. lbfgs goes towards
    the class that is second for the network unless --class says another; universal finds one change for all the images.
    """
    if method not in METHODS:
        refuse(f"see attack: --method is one of {', '.join(METHODS)}, not {method!r}")
    if wanted is not None and method in UNTARGETED:
        refuse(f"see attack: {method} has no target, leave out --class")
    model = opened(network, weights, wanted, json_file, out)
    pixels, labels = images_of(images, model, folder)
    with working(f"{method} on {len(pixels)} images"):
        found = attacked(method, model, pixels, labels, wanted, epsilon, seed, threads)
    sizes = {"linf": found.linf, "l2": found.l2, "distortion": found.distortion}
    lines = [
        {
            "image": name,
            "before": int(found.before[i]),
            "after": int(found.after[i]),
            **{key: float(size[i]) for key, size in sizes.items()},
        }
        for i, name in enumerate(images)
    ]
    told("attack", model, lines, json_file, out, _rows(pixels, found), method=method)


def attacked(
    method: str,
    model: Model,
    pixels: np.ndarray,
    labels: np.ndarray,
    wanted: int | None,
    epsilon: float,
    seed: int,
    threads: int | None,
) -> Attack:
    """The images under one of METHODS. labels: (n,), -1 where unknown."""
    from ...models import vision

    if method == "deepfool":
        return vision.deepfool(model, pixels, threads=threads)
    if method == "noise":
        return vision.random_noise(model, pixels, epsilon, seed=seed, threads=threads)
    if method == "universal":
        return vision.universal(model, pixels, epsilon, seed=seed, threads=threads).on(model, pixels, threads=threads)
    if method == "lbfgs":
        targets = None if wanted is None else np.full(len(pixels), wanted)
        return vision.lbfgs_attack(model, pixels, targets, threads=threads)
    known = np.where(labels < 0, vision.classified(model, pixels, threads=threads), labels)
    aimed: tuple[Any, bool] = (known, False) if wanted is None else (np.full(len(pixels), wanted), True)
    if method == "fgsm":
        return vision.fgsm(model, pixels, epsilon, *aimed, threads=threads)
    norm = "l2" if method == "pgd-l2" else "linf"
    return vision.pgd(model, pixels, epsilon, *aimed, norm, seed=seed, threads=threads)


def _rows(pixels: np.ndarray, found: Attack) -> list[list[np.ndarray]]:
    """Each image, the changed one, and the change."""
    from ...models.vision import heat_map

    return [[old, new, heat_map(new - old, percentile=100)] for old, new in zip(pixels, found.images, strict=True)]
