"""The commands that judge a trained network: `kernelwright evaluate` and `kernelwright predict`.

Leans on typer; everything that takes time to import is imported by the command that needs it. `app` adds them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import DATA, Json, Network, Threads, check_name, write_json

Weights = Annotated[
    Path,
    typer.Option(metavar="FILE", help="Its weights: of a model, of a run (`--checkpoint`), or PyTorch's."),
]
Device = Annotated[str, typer.Option(help="cpu, or reference (NumPy, slow).")]
SHOWN, TOGETHER = 5, 64
"""Classes that are named for an image; images that are predicted in one call."""


def evaluate(
    network: Network,
    weights: Weights,
    data: Annotated[str, typer.Option(help=DATA)] = "digits",
    folder: Annotated[Path | None, typer.Option(help="Its files (default: $KERNELWRIGHT_DATA/<data>).")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Pictures: a page (.html) or one picture (.png).")
    ] = None,
    threads: Threads = None,
    device: Device = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
    json_file: Json = None,
) -> None:
    """Measure a trained network: `kernelwright evaluate lenet5 --weights run.safetensors --report report.html`."""
    from ..models.data import load
    from ..models.evaluation import evaluate as judge
    from ..models.evaluation import report as reports
    from ..models.evaluation import trained
    from .training import try_outputs

    check_name(network)
    try_outputs(("the outcome", json_file))
    if report is not None:
        reports.check(report)
    model = trained(network, weights)
    found = judge(model, load(data, folder, model.input_shape), device, threads, progress=not quiet)
    print(found.summary())
    if report is not None:
        found.report(report)
    write_json(json_file, found.as_data())


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="JPEG or PNG files.")],
    network: Annotated[str, typer.Option(help="A network; `kernelwright models` lists them.")],
    weights: Weights,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The classes' names, one a line (default: their numbers).")
    ] = None,
    threads: Threads = None,
    device: Device = "cpu",
    json_file: Json = None,
) -> None:
    """Say what images show: `kernelwright predict a.jpg b.png --network resnet18 --weights run.safetensors`.

    A line for each image, in order, with its most probable classes; for one that cannot be read a line on stderr, and
    the exit code is 1 at the end.
    """
    from ..models.evaluation import trained
    from ..models.trainer import Trainer

    check_name(network)
    model = trained(network, weights)
    names = _names(classes, model.classes)
    trainer = Trainer(model, device=device, threads=threads, batch=TOGETHER)
    said: list[dict[str, Any]] = []
    for path, outcome in _predictions(images, trainer, model.input_shape):
        if isinstance(outcome, Exception):
            print(f"kernelwright: {outcome}", file=sys.stderr)
            said.append({"image": str(path), "error": str(outcome)})
            continue
        top = [(names[k], float(outcome[k])) for k in (-outcome).argsort(kind="stable")[:SHOWN].tolist()]
        print(f"{path}: " + ", ".join(f"{name} {share:.1%}" for name, share in top))
        said.append({"image": str(path), "classes": [{"name": name, "probability": share} for name, share in top]})
    write_json(json_file, {"network": network, "images": said})
    if any("error" in each for each in said):
        raise typer.Exit(1)


def _predictions(paths: Sequence[Path], trainer: Any, shape: tuple[int, ...]) -> Iterator[tuple[Path, Any]]:
    """(path, probabilities, or the error of one that cannot be read) of each image, in order."""
    import numpy as np

    for part in _parts(paths):
        read = [(path, _image(path, shape)) for path in part]
        good = [image for _, image in read if not isinstance(image, Exception)]
        answers = iter(trainer.predict(np.stack(good)) if good else ())
        yield from ((path, image if isinstance(image, Exception) else next(answers)) for path, image in read)


def _parts(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    return (paths[start : start + TOGETHER] for start in range(0, len(paths), TOGETHER))


def _image(path: Path, shape: tuple[int, ...]) -> Any:
    """The image, or the error that says why it cannot be read."""
    from ..models.data import DataError
    from ..models.data.images import check_shape, decode

    wanted = check_shape(shape, "crop")
    if not path.is_file():
        return DataError(f"{path}: no such file")
    try:
        return decode(path, wanted)
    except DataError as error:
        return error


def _names(path: Path | None, count: int) -> list[str]:
    """The classes' names. Raises BadParameter for a file that cannot be read or has not `count` lines."""
    if path is None:
        return [str(k) for k in range(count)]
    try:
        names = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}") from None
    if len(names) != count:
        raise typer.BadParameter(f"{path} has {len(names)} lines, the network tells {count} classes apart")
    return names
