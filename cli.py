"""The `kernelwright` command: train networks, read their kernels, look after the cache.

Training is in `cli_train`. Leans on typer; what takes time to import is imported by the command that needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from . import cli_judging, cli_seeing, cli_summary
from .cli_options import Json, Network, Threads
from .cli_options import network_of as _network
from .cli_options import write_json as _write
from .cli_train import recipes, train

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


app.command()(train)
app.command()(recipes)
app.command()(cli_judging.evaluate)
app.command()(cli_judging.predict)
app.command()(cli_seeing.see)


@app.command()
def kernels(
    network: Network,
    which: Annotated[str | None, typer.Argument(metavar="[N]", help="Number or name of one kernel.")] = None,
    training: Annotated[bool, typer.Option("--train/--infer", help="Of the training step, or of inference.")] = True,
    form: Annotated[str, typer.Option("--as", help="schedules, graph, loops, source, tile, llvm or asm.")] = "source",
    batch: Annotated[int, typer.Option(min=1, help="Batch size for flops, bytes and times.")] = 128,
    profile: Annotated[bool, typer.Option("--profile", help="Measure each kernel, and the machine's limits.")] = False,
    tune: Annotated[bool, typer.Option("--tune", help="Choose tiles by timing them, and show what it gains.")] = False,
    schedules: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Lines `name = schedule`, as `--as schedules` prints them.")
    ] = None,
    cpu: Annotated[str, typer.Option(help="Compile for this CPU: x86-64-v3, neoverse-n1, ...")] = "native",
    threads: Threads = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda: to read, without a GPU.")] = "cpu",
    arch: Annotated[str, typer.Option(help="The GPU's architecture, with --device cuda.")] = "sm_90",
    precision: Annotated[str, typer.Option(help="float32, tf32 or bfloat16, with --device cuda.")] = "float32",
    resources: Annotated[
        bool, typer.Option("--resources", help="Registers, spills and occupancy of CUDA kernels; compiles them.")
    ] = False,
    json_file: Json = None,
) -> None:
    """List a network's kernels, or show one of them: `kernelwright kernels lenet5 3 --as asm`."""
    from .compiler.targets.cpu.machine import targeting
    from .compiler.targets.shared import inspect

    if device not in ("cpu", "cuda") or (profile and device == "cuda"):
        raise typer.BadParameter(
            f"kernels are {'measured' if profile else 'listed'} for cpu{'' if profile else ' or cuda'}"
        )
    if resources and device != "cuda":
        raise typer.BadParameter("--resources are those of a GPU: add --device cuda")
    graph, arrays = _graph(network, training, batch)
    program: Any
    if device == "cuda":
        from .compiler.targets.cuda.compiled import CudaListing

        program = CudaListing(graph.inputs, graph.outputs, graph.updates, arch, {"batch": batch}, precision)
    else:
        with targeting(cpu) if cpu != "native" else nullcontext():
            program = graph.compile("cpu", threads, batch, _schedules(schedules), tune, shown=True)
    sizes = {"batch": batch, "examples": batch}
    if which is not None:
        kernel = inspect.find(program, which)
        if device == "cuda" and form == "asm":
            program.compile(kernel)
        shown = inspect.text(kernel, form)
        print(inspect.explain(kernel) + "\n\n" + shown)
        _write(
            json_file,
            {
                "name": kernel.name,
                "key": kernel.key,
                "form": form,
                "text": shown,
                "lines": list(kernel.lines),
                "reasons": list(kernel.reasons),
            },
        )
        return
    if resources:
        from .compiler.targets.cuda.resources import resource_rows, resource_table

        used = resource_rows(program, **sizes)
        print(resource_table(used))
        _write(json_file, {"network": network, "batch": batch, "arch": arch, "kernels": used})
        return
    if form == "schedules":
        print(inspect.schedules(program))
        return
    if form == "graph":
        from .compiler.targets.shared.flow import flow_text

        print(flow_text(program, **sizes))
        return
    if tune:
        print(inspect.tuning_table(program))
        _write(json_file, {"network": network, "batch": batch, "tuning": inspect.tuning_rows(program)})
        return
    if profile:
        from .bench import peak

        limits = peak.measure(program.threads)
        repeats = peak.repeats(sum(program.profile(*arrays, repeats=1)), most=50)
        measured = inspect.profile_rows(program, program.profile(*arrays, repeats=repeats), limits, **sizes)
        print(inspect.profile_table(measured, limits))
        _write(json_file, {"network": network, "batch": batch, "limits": asdict(limits), "kernels": measured})
        return
    print(inspect.table(program, **sizes))
    kernels, passes = inspect.rows(program, **sizes), program.trace.data()
    _write(json_file, {"network": network, "batch": batch, "kernels": kernels, "passes": passes})


@app.command()
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
    from .bench import session

    planned = session.races(networks or [], against, batch, threads, mode, rounds, precision)
    command = " ".join(["kernelwright", *sys.argv[1:]])
    _write(json_file, session.hold(planned, command, folder))


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove every entry.")] = False, json_file: Json = None
) -> None:
    """Say where the kernel cache is and how big; `--clear` empties it."""
    from .runtime import KernelCache

    store = KernelCache()
    entries, size = len(store.entries()), store.size()
    if clear:
        store.clear()
        print(f"removed {entries} entries, {size / 1e6:.1f} MB, from {store.folder}")
    else:
        print(f"{store.folder}: {entries} entries, {size / 1e6:.1f} MB")
    _write(json_file, {"folder": str(store.folder), "entries": entries, "bytes": size, "cleared": clear})


@app.command()
def models(json_file: Json = None) -> None:
    """List the networks."""
    from .compiler.targets.shared.inspect import grid
    from .models import build, names
    from .models.initializers import undrawn

    with undrawn():
        found = [build(name) for name in names()]
    cells = [("network", "input", "classes", "parameters", "data")]
    cells += [
        (m.name, "x".join(map(str, m.input_shape)), str(m.classes), f"{m.size():,}", m.dataset or "") for m in found
    ]
    print(grid(cells, right=(2, 3)))
    _write(
        json_file,
        {
            "models": [
                {
                    "name": m.name,
                    "input_shape": list(m.input_shape),
                    "classes": m.classes,
                    "parameters": m.size(),
                    "data": m.dataset,
                }
                for m in found
            ]
        },
    )


app.command()(cli_summary.summary)


def _graph(network: str, training: bool, batch: int) -> tuple[Any, list[Any]]:
    """The graph of a network's training step or prediction, and random arrays of that batch size for it."""
    import numpy as np

    from .models import programs

    model = _network(network, 0)
    rng = np.random.default_rng(0)
    images = rng.random((batch, *model.input_shape), dtype="float32")
    if not training:
        return programs.prediction(model), [images]
    graph = programs.training(model, model.recipe.criterion(), model.recipe.build(1, 1, True))
    labels = rng.integers(0, model.classes, batch).astype("int32")
    return graph, [images, labels, np.arange(batch, dtype="int32")]


def _schedules(path: Path | None) -> dict[str, str] | None:
    from .compiler.targets.shared.inspect import read_schedules

    try:
        return None if path is None else read_schedules(path.read_text())
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}") from None


def main(run: Callable[..., Any] = app) -> None:
    """The entry point: one line and exit code 1 for an error of ours, of a file or of a missing package; typer exits
    with 2 for wrong usage."""
    from .runtime.errors import KernelwrightError

    try:
        run(standalone_mode=True)
    except (KernelwrightError, OSError, ImportError) as error:
        print("kernelwright: " + " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
