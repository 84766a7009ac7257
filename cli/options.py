"""What the commands of `kernelwright` share: options with their help, networks by name, outcomes as JSON.

Leans on typer; everything that takes time to import is imported by the function that needs it.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the outcome as JSON to FILE.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Worker threads (default: one per core).")]
Network = Annotated[str, typer.Argument(help="A network; `kernelwright models` lists them.")]
DATA = (
    "A data set: digits (ships with the package), circle, xor, gauss, spiral, plane, bumps, shapes (made), mnist, "
    "fashion-mnist, emnist, emnist-SPLIT, usps, cifar10, cifar100, "
    "image-folder (train/CLASS/*.jpg, test/CLASS/*.jpg), coco; docs/data.md describes them."
)


def check_name(name: str) -> None:
    """Raises BadParameter for a network that there is not, with the one that may be meant."""
    from ..models import names

    if name not in names():
        close = difflib.get_close_matches(name, names(), 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names())}"
        raise typer.BadParameter(f"there is no network {name!r}; {hint}")


def network_of(name: str, seed: int) -> Any:
    """The network called `name` with weights drawn from `seed`. Raises BadParameter as `check_name`."""
    from ..models import build

    check_name(name)
    return build(name, seed=seed)


def write_json(path: Path | None, outcome: dict[str, Any]) -> None:
    """Write the outcome, where a file is given. Raises BadParameter where it cannot be written."""
    if path is None:
        return
    try:
        path.write_text(json.dumps(outcome, indent=1) + "\n")
    except OSError as error:
        raise typer.BadParameter(f"cannot write {path}: {error.strerror}") from None
