"""The command `kernelwright bench`: races against other frameworks.

Leans on typer and, when it runs, on `bench.session`. `app` adds it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Threads, write_json


def bench(
    networks: Annotated[list[str] | None, typer.Argument(help="Networks (default: all that are raced).")] = None,
    against: Annotated[
        str, typer.Option(help="Peers with commas between: torch, jax, onnxruntime, or one mode as 'torch eager'.")
    ] = "torch,jax,onnxruntime",
    batch: Annotated[int | None, typer.Option(min=1, help="Batch size (default: the network's).")] = None,
    threads: Threads = None,
    mode: Annotated[str, typer.Option(help="train, infer or both.")] = "both",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every contender.")] = 10,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16: a race of its own.")] = "float32",
    folder: Annotated[Path, typer.Option(help="Where README.md, its charts and results/ go.")] = Path("benchmarks"),
    json_file: Json = None,
) -> None:
    """Race networks against other frameworks: `kernelwright bench lenet5 --against torch --mode train`."""
    from ..bench import session

    planned = session.races(networks or [], against, batch, threads, mode, rounds, precision)
    command = " ".join(["kernelwright", *sys.argv[1:]])
    write_json(json_file, session.hold(planned, command, folder))
