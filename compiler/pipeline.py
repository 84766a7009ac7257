"""From a graph to a program that runs: `compile`, the public entry, and the targets there are.

What happens to a program is listed where its target is: `graph_passes` and `kernel_passes` in `targets/cpu/target.py`,
in `targets/cuda/target.py`, and for every other target in `targets/base.py`. Leans on the targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from .errors import CompileError
from .graph.arguments import check_program
from .graph.companions import with_companions
from .graph.tensor import Tensor
from .targets.base import Compiled, Options, Progress, Target
from .targets.cpu.target import Cpu
from .targets.cuda.target import Cuda
from .targets.reference import ReferenceTarget
from .uncollected import uncollected

TARGETS: dict[str, type[Target]] = {each.name: each for each in (Cpu, Cuda, ReferenceTarget)}
DEVICES = tuple(TARGETS)


def compile(
    inputs: Sequence[Tensor] | Tensor,
    outputs: Sequence[Tensor] | Tensor,
    updates: Mapping[Tensor, Tensor] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    typical: Mapping[str, int] | None = None,
    schedules: Mapping[str, str] | None = None,
    tune: bool | Progress = False,
    precision: str = "float32",
) -> Compiled:
    """A program from `inputs` to `outputs` that also leaves `updates[variable]` in each variable.

    What layers called with training=True leave in their variables (running statistics of batch normalisation, the
    states of dropout and augmentation) is added for variables that `updates` does not have; {v: v} keeps v as it is.
    device: "cpu" (native kernels), "cuda" (the first NVIDIA GPU; "cuda:1" the second) or "reference" (NumPy, for
    checking). threads: worker threads on the CPU, by default one per core. typical: sizes that most runs will have,
    such as {"batch": 32}; layouts and tiles are chosen for them (for 128 where nothing is said), and every other size
    runs too. schedules: {name or pattern of kernels: text} in place of what is chosen on the CPU, in the form of
    `.kernels[i].schedule`: {"conv1*": "outer tile 6x4"}. tune: choose register tiles by timing the best few of each
    contraction on this machine, once; later programs find the outcome in the cache. A function in its place is called
    with (kernel's name, kernels done, kernels in all). precision: of contractions on the GPU, whose tensor cores round
    float32 operands to "tf32" (10 bits of mantissa) or "bfloat16" (7 bits) and sum in float32; else "float32".

    Raises CompileError for a device, inputs, updates or schedules that cannot be; without a GPU, its driver or the
    extra "cuda" the error says what is missing.
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wanted = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    new_values = dict(updates or {})
    options = Options(threads, dict(typical or {}), dict(schedules or {}), tune, precision)
    with uncollected():  # a search that starts here would walk over the whole graph
        check_program(inputs, wanted, new_values)
        new_values = with_companions(wanted, new_values)
        return _compiled(device, options, inputs, wanted, new_values)


def _compiled(
    device: str,
    options: Options,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    updates: Mapping[Tensor, Tensor],
) -> Compiled:
    """The program, which knows how it was made: a copy of it is compiled in the same way."""
    program = target(device, options).compile(inputs, outputs, updates)
    program.remake = partial(_compiled, device, replace(options, tune=bool(options.tune)))
    return program


def target(device: str, options: Options | None = None) -> Target:
    """The target called `device`, a number after a colon choosing one of several machines: "cuda:1".

    Raises CompileError for a device that there is not, and for an option that it does not take.
    """
    name, colon, index = device.partition(":")
    if name not in TARGETS or (colon and not index.isdigit()):
        raise CompileError(f"compile: there is no device {device!r}; use one of {', '.join(TARGETS)}")
    return TARGETS[name](options or Options(), int(index or 0))


__all__ = ["DEVICES", "TARGETS", "Compiled", "compile", "target"]
