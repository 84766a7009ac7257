"""The command that shows what a network sees: `kernelwright see`, its maps and attacks as a picture and an outcome.

Leans on typer; everything that takes time to import is imported when the command runs. `cli` adds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import numpy as np
import typer

from .cli_judging import Weights
from .cli_options import Json, Threads, check_name, write_json

if TYPE_CHECKING:
    from .models.model import Model
    from .models.vision import Attack, Attribution

WHAT = ("saliency", "gradcam", "occlusion", "attack")
ATTACKS = ("pgd", "pgd-l2", "fgsm", "deepfool", "noise")

What = Annotated[str, typer.Argument(help=f"{', '.join(WHAT[:-1])}, or {WHAT[-1]}.")]
Images = Annotated[
    list[str], typer.Argument(metavar="IMAGE...", help="JPEG or PNG files, or places in a test set: mnist:17.")
]
Layer = Annotated[str | None, typer.Option(help="Of gradcam (default: the last with height and width).")]
Method = Annotated[
    str | None,
    typer.Option(
        help=f"Of saliency: saliency, gradient, smooth_grad, integrated_gradients, guided_backpropagation, "
        f"deconvolution, gradient_times_input. Of attack: {', '.join(ATTACKS)}."
    ),
]
Class = Annotated[int | None, typer.Option("--class", min=0, help="The class explained, or the attack's target.")]
Epsilon = Annotated[float, typer.Option(help="The size of an attack's change; pixels lie in [0, 1].")]
Window = Annotated[int, typer.Option(min=1, help="The side of the square that occlusion covers.")]
Folder = Annotated[Path | None, typer.Option(help="The data set's files (default: $KERNELWRIGHT_DATA/<data>).")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="A PNG file: each image beside what is seen in it.")]


@dataclass(frozen=True)
class Asked:
    """The options of one call, as typed."""

    what: str
    layer: str | None
    method: str | None
    wanted: int | None
    epsilon: float
    window: int
    seed: int
    threads: int | None


def see(
    what: What,
    images: Images,
    network: Annotated[str, typer.Option(help="A network; `kernelwright models` lists them.")],
    weights: Weights,
    layer: Layer = None,
    method: Method = None,
    wanted: Class = None,
    epsilon: Epsilon = 0.1,
    window: Window = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
    folder: Folder = None,
    threads: Threads = None,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """Which pixels matter, and what fools a network: `kernelwright see saliency mnist:17 --network mlp --weights F`."""
    from .cli_training import try_outputs
    from .models import vision
    from .models.evaluation import trained

    asked = Asked(what, layer, method, wanted, epsilon, window, seed, threads)
    check(asked)
    check_name(network)
    try_outputs(("the outcome", json_file), ("the picture", out))
    model = trained(network, weights)
    if wanted is not None and wanted >= model.classes:
        _refuse(f"--class {wanted}: {model.name} has classes 0 to {model.classes - 1}")
    pixels, labels = images_of(images, model, folder)
    with _working(f"{what} of {len(pixels)} images"):
        if what == "attack":
            attack = attacked(asked, model, pixels, labels)
            lines, rows = _attack_lines(images, attack), _attack_rows(pixels, attack)
        else:
            found = mapped(asked, model, pixels)
            lines, rows = _map_lines(images, found), _map_rows(pixels, found)
    for line in lines:
        words = (f"{key} {_short(value)}" for key, value in line.items() if key != "image")
        print(f"{line['image']}: {', '.join(words)}")
    if out is not None:
        vision.save_sheet(out, rows)
    write_json(json_file, {"what": what, "network": model.name, "method": method, "images": lines})


def check(asked: Asked) -> None:
    """Raises SettingError for options that do not go together."""
    from .models.vision import METHODS

    maps = [name for name in METHODS if name != "grad_cam"]
    methods = {"saliency": maps, "attack": list(ATTACKS)}.get(asked.what, [])
    if asked.what not in WHAT:
        _refuse(f"see: {asked.what!r} is not one of {', '.join(WHAT)}")
    if asked.method is not None and asked.method not in methods:
        there = f"one of {', '.join(methods)}" if methods else "not for it"
        _refuse(f"see {asked.what}: --method is {there}, not {asked.method!r}")
    if asked.layer is not None and asked.what != "gradcam":
        _refuse(f"see {asked.what}: --layer is for gradcam")
    if asked.wanted is not None and asked.method in ("deepfool", "noise"):
        _refuse(f"see attack: {asked.method} has no target, leave out --class")


def images_of(names: Sequence[str], model: Model, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """(images for the model, their labels, -1 where unknown) from files and places in test sets."""
    from .models.data import load
    from .models.vision import load_image

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
            _refuse(f"{name}: the test set of {source} has images 0 to {len(part) - 1}")
        image = part.read(int(place)) if hasattr(part, "read") else part.images[int(place)]
        if image.shape != model.input_shape:
            _refuse(f"{name} is an image of {image.shape}, {model.name} takes {model.input_shape}")
        pixels.append(image)
        labels.append(int(part.labels[int(place)]) if part.labels.ndim == 1 else -1)
    return np.stack(pixels).astype(model.dtype), np.array(labels)


def mapped(asked: Asked, model: Model, pixels: np.ndarray) -> Attribution:
    """The maps that were asked for."""
    from .models import vision

    classes = None if asked.wanted is None else np.full(len(pixels), asked.wanted)
    if asked.what == "occlusion":
        stride = max(1, asked.window // 4)
        return vision.occlusion(model, pixels, classes, asked.window, stride, threads=asked.threads)
    options: dict[str, Any] = {"layer": asked.layer} if asked.what == "gradcam" else {}
    if asked.method == "smooth_grad":
        options = {"seed": asked.seed}
    method = "grad_cam" if asked.what == "gradcam" else asked.method or "saliency"
    return vision.attribute(model, pixels, classes, method, threads=asked.threads, **options)


def attacked(asked: Asked, model: Model, pixels: np.ndarray, labels: np.ndarray) -> Attack:
    """The attack that was asked for: away from the data set's label, or the network's where there is none; or towards
    --class."""
    from .models import vision

    method, threads = asked.method or "pgd", asked.threads
    if method == "deepfool":
        return vision.deepfool(model, pixels, threads=threads)
    if method == "noise":
        return vision.random_noise(model, pixels, asked.epsilon, seed=asked.seed, threads=threads)
    targeted = asked.wanted is not None
    known = np.where(labels < 0, vision.classified(model, pixels, threads=threads), labels)
    classes = np.full(len(pixels), asked.wanted) if targeted else known
    if method == "fgsm":
        return vision.fgsm(model, pixels, asked.epsilon, classes, targeted, threads=threads)
    norm = "l2" if method == "pgd-l2" else "linf"
    return vision.pgd(model, pixels, asked.epsilon, classes, targeted, norm, seed=asked.seed, threads=threads)


def _map_lines(names: Sequence[str], found: Attribution) -> list[dict[str, Any]]:
    told = zip(names, found.classes, found.scores, strict=True)
    return [{"image": name, "class": int(label), "score": float(score)} for name, label, score in told]


def _map_rows(pixels: np.ndarray, found: Attribution) -> list[list[np.ndarray]]:
    """Each image, and its map above it."""
    from .models.vision import heat_map

    return [[image, heat_map(values, image)] for image, values in zip(pixels, found.maps, strict=True)]


def _attack_lines(names: Sequence[str], attack: Attack) -> list[dict[str, Any]]:
    found = zip(names, attack.before, attack.after, attack.linf, attack.l2, strict=True)
    return [
        {"image": name, "before": int(before), "after": int(after), "linf": float(linf), "l2": float(l2)}
        for name, before, after, linf, l2 in found
    ]


def _attack_rows(pixels: np.ndarray, attack: Attack) -> list[list[np.ndarray]]:
    """Each image, the changed one, and the change."""
    from .models.vision import heat_map

    return [[old, new, heat_map(new - old, percentile=100)] for old, new in zip(pixels, attack.images, strict=True)]


def _working(what: str) -> AbstractContextManager[Any]:
    """A sign on a terminal that work is under way."""
    from rich.console import Console

    return Console(stderr=True).status(what)


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _refuse(message: str) -> NoReturn:
    from .models.checks import SettingError

    raise SettingError(message)
