"""The `kernelwright` command: its subcommands, one file for each, and what an error looks like.

Leans on typer; what takes time to import is imported by the command that needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from .bench import bench
from .judging import evaluate, predict
from .kernels import kernels
from .listings import cache, models
from .see import see
from .summary import summary
from .train import recipes, train

app = typer.Typer(
    help="A symbolic compiler from Python to optimized deep-learning kernels you can read.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"kernelwright {version('kernelwright')}")
        except PackageNotFoundError:
            print("kernelwright, not installed as a package")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version, and end.")
    ] = False,
) -> None:
    """A symbolic compiler from Python to optimized deep-learning kernels you can read."""


COMMANDS: tuple[Callable[..., None], ...] = (train, recipes, evaluate, predict, kernels, bench, cache, models, summary)
for command in COMMANDS:
    app.command()(command)
app.add_typer(see, name="see")


def main(run: Callable[..., Any] = app) -> None:
    """The entry point: one line and exit code 1 for an error of ours, of a file or of a missing package; typer exits
    with 2 for wrong usage."""
    from ..runtime.errors import KernelwrightError

    try:
        run(standalone_mode=True)
    except (KernelwrightError, OSError, ImportError) as error:
        print("kernelwright: " + " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(1) from None
