"""The command `kernelwright kernels`: list a network's kernels, read one, profile or tune them.

Leans on typer; everything that takes time to import is imported by the command. `app` adds it.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Json, Network, Threads, network_of, write_json


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
    device: Annotated[str, typer.Option(help="cpu or cuda; a GPU is needed with --profile only.")] = "cpu",
    arch: Annotated[str, typer.Option(help="The GPU's architecture, with --device cuda.")] = "sm_90",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16; tf32 with --device cuda.")] = "float32",
    resources: Annotated[
        bool, typer.Option("--resources", help="Registers, spills and occupancy of CUDA kernels; compiles them.")
    ] = False,
    json_file: Json = None,
) -> None:
    """List a network's kernels, or show one of them: `kernelwright kernels lenet5 3 --as asm`."""
    from ..compiler.targets.cpu.machine import targeting
    from ..compiler.targets.shared import inspect
    from ..models.precision import of_device as of_precision

    if device not in ("cpu", "cuda"):
        raise typer.BadParameter("kernels are listed for cpu or cuda")
    if resources and device != "cuda":
        raise typer.BadParameter("--resources are those of a GPU: add --device cuda")
    of_graph, of_device = of_precision(device, None if precision == "float32" else precision)
    graph, arrays = _graph(network, training, batch, of_graph)
    program: Any
    if device == "cuda" and profile:
        _profile_on_gpu(network, graph, arrays, batch, of_device, json_file)
        return
    if device == "cuda":
        from ..compiler.targets.cuda.compiled import CudaListing

        program = CudaListing(graph.inputs, graph.outputs, graph.updates, arch, {"batch": batch}, of_device)
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
        write_json(
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
        from ..compiler.targets.cuda.resources import resource_rows, resource_table

        used = resource_rows(program, **sizes)
        print(resource_table(used))
        write_json(json_file, {"network": network, "batch": batch, "arch": arch, "kernels": used})
        return
    if form == "schedules":
        print(inspect.schedules(program))
        return
    if form == "graph":
        from ..compiler.targets.shared.flow import flow_text

        print(flow_text(program, **sizes))
        return
    if tune:
        print(inspect.tuning_table(program))
        write_json(json_file, {"network": network, "batch": batch, "tuning": inspect.tuning_rows(program)})
        return
    if profile:
        from ..bench import peak

        limits = peak.measure(program.threads)
        repeats = peak.repeats(sum(program.profile(*arrays, repeats=1)), most=50)
        measured = inspect.profile_rows(program, program.profile(*arrays, repeats=repeats), limits, **sizes)
        print(inspect.profile_table(measured, limits))
        write_json(json_file, {"network": network, "batch": batch, "limits": asdict(limits), "kernels": measured})
        return
    print(inspect.table(program, **sizes))
    kernels, passes = inspect.rows(program, **sizes), program.trace.data()
    write_json(json_file, {"network": network, "batch": batch, "kernels": kernels, "passes": passes})


def _profile_on_gpu(
    network: str, graph: Any, arrays: list[Any], batch: int, precision: str, json_file: Path | None
) -> None:
    """Print each kernel's time on the first GPU. Raises CompileError where there is none."""
    from ..bench.gpu import cards
    from ..bench.gpu.kernel_table import kernel_table
    from ..compiler.targets.cuda import compiled

    typical = {"batch": batch}
    program = compiled.CudaCompiled(graph.inputs, graph.outputs, graph.updates, 0, typical, precision=precision)
    card = compiled.driver(0).name
    measured = cards.measured(cards.of_name(card), program.kernels, program.profile(*arrays), batch)
    print(kernel_table(measured, card))
    write_json(json_file, {"network": network, "batch": batch, "card": card, "kernels": measured})


def _graph(network: str, training: bool, batch: int, precision: str | None) -> tuple[Any, list[Any]]:
    """The graph of a network's training step or prediction, and random arrays of that batch size for it."""
    import numpy as np

    from ..models import programs
    from ..models.precision import check
    from ..models.updating import Updating

    check(precision)
    model = network_of(network, 0)
    rng = np.random.default_rng(0)
    images = rng.random((batch, *model.input_shape), dtype="float32")
    if not training:
        return programs.prediction(model, precision=precision), [images]
    options = Updating(precision=precision)
    graph = programs.training(model, model.recipe.criterion(), model.recipe.build(1, 1, True), options=options)
    labels = rng.integers(0, model.classes, batch).astype("int32")
    return graph, [images, labels, np.arange(batch, dtype="int32")]


def _schedules(path: Path | None) -> dict[str, str] | None:
    from ..compiler.targets.shared.inspect import read_schedules

    try:
        return None if path is None else read_schedules(path.read_text())
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}") from None
