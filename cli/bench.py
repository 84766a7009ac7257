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
        str,
        typer.Option(help="Peers with commas between: torch, jax, onnxruntime, pytensor, tinygrad, or 'torch eager'."),
    ] = "torch,jax,onnxruntime",
    batch: Annotated[int | None, typer.Option(min=1, help="Batch size (default: the network's).")] = None,
    threads: Threads = None,
    mode: Annotated[str, typer.Option(help="train, infer or both.")] = "both",
    rounds: Annotated[int | None, typer.Option(min=1, help="Turns of every contender (10) or kernel (15).")] = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16: a race of its own.")] = "float32",
    folder: Annotated[Path, typer.Option(help="Where README.md, its charts and results/ go.")] = Path("benchmarks"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Instead, in two minutes: has a kernel become slower on this machine?")
    ] = False,
    store: Annotated[bool, typer.Option("--store", help="With --quick: later checks compare with this one.")] = False,
    json_file: Json = None,
) -> None:
    """Race networks against other frameworks: `kernelwright bench lenet5 --against torch --mode train`.

    With --quick, heavy kernels alone, each as a share of the machine's peak beside the share stored on this machine
    with --store; the exit code is 1 where one lost more than 15%.
    """
    if store and not quick:
        raise typer.BadParameter("--store is for --quick; races are written to --folder in any case")
    if quick:
        from ..bench.quick import check

        found = check(networks or (), threads, rounds or 15, folder, store)
        write_json(json_file, found)
        raise typer.Exit(1 if found["lost"] and not store else 0)
    from ..bench import session

    planned = session.races(networks or [], against, batch, threads, mode, rounds or 10, precision)
    command = " ".join(["kernelwright", *sys.argv[1:]])
    write_json(json_file, session.hold(planned, command, folder))
