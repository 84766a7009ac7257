"""A program resolved for one set of input shapes: sizes evaluated, temporaries placed, tables and job written.

Leans on `sizes` to bind the symbols, `packing` to place temporaries and `driver` for the job's layout. What is left to
a run is to write the addresses of inputs and outputs into their slots. Work that is less than the threads' meetings
would cost is bound to one thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .driver import Job
from .errors import RuntimeShapeError
from .packing import Plans
from .program import BufferArg, Program
from .sizes import Poly, describe, evaluate, single_symbol

Shape = tuple[int, ...]

MEETING = 400.0
"""Cycles that threads lose at a barrier: for the counter, and for what one wrote and another reads next."""


@dataclass(frozen=True)
class OutputPlan:
    """What to allocate for an output at each run, and the slots that hold its address."""

    shape: Shape
    dtype: np.dtype[Any]
    nbytes: int
    slots: tuple[int, ...]


@dataclass
class Binding:
    """Tables and job for one set of shapes; `last_inputs` are the addresses that `input_slots` hold now."""

    slots: memoryview
    input_slots: tuple[tuple[int, ...], ...]
    last_inputs: list[int]
    outputs: tuple[OutputPlan, ...]
    kernel_list: np.ndarray
    job: np.ndarray
    job_address: int
    threads: int
    kept: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Steps:
    """How often the program runs in one call, and which inputs and whether outputs have a leading axis of steps."""

    count: int = 1
    inputs: frozenset[int] = frozenset()
    outputs: bool = False


@dataclass(frozen=True)
class Resources:
    """What every binding of an executable shares: code, the addresses of states and constants, an arena and the plans
    of what lies where in it, a pool."""

    functions: tuple[int, ...]
    fixed: dict[int, int]
    plans: Plans
    arena: Callable[[int], int]
    threads: int
    barrier: int
    spins: int


def bind_sizes(program: Program, shapes: Sequence[Shape]) -> dict[str, int]:
    """The value of each size symbol, or `RuntimeShapeError` where the inputs' shapes do not fit."""
    sizes: dict[str, int] = {}
    if len(shapes) != len(program.inputs):
        names = ", ".join(program.buffers[position].name for position in program.inputs)
        raise RuntimeShapeError(f"{program.name} takes {len(program.inputs)} inputs ({names}), got {len(shapes)}")
    expected = [program.buffers[position].shape for position in program.inputs]
    for position, wanted, shape in zip(program.inputs, expected, shapes, strict=True):
        if len(wanted) != len(shape):
            raise RuntimeShapeError(_mismatch(program.buffers[position].name, wanted, shape, sizes))
        for poly, size in zip(wanted, shape, strict=True):
            symbol = single_symbol(poly)
            if symbol is not None:
                sizes.setdefault(symbol, size)
    for position, wanted, shape in zip(program.inputs, expected, shapes, strict=True):
        if any(evaluate(poly, sizes) != size for poly, size in zip(wanted, shape)):
            raise RuntimeShapeError(_mismatch(program.buffers[position].name, wanted, shape, sizes))
    for check in program.size_checks:
        if evaluate(check.room, sizes) < 0:
            raise RuntimeShapeError(f"{check.what}, with {_known(sizes)}")
    return sizes


def bind(program: Program, shapes: Sequence[Shape], steps: Steps, resources: Resources) -> Binding:
    """Resolve `program` for inputs of `shapes` (of one step each)."""
    sizes = bind_sizes(program, shapes)
    concrete = [tuple(evaluate(poly, sizes) for poly in buffer.shape) for buffer in program.buffers]
    dtypes = [np.dtype(buffer.dtype) for buffer in program.buffers]
    slack = [evaluate(buffer.slack, sizes) for buffer in program.buffers]
    nbytes = [(math.prod(shape) + more) * dtype.itemsize for shape, more, dtype in zip(concrete, slack, dtypes)]
    addresses = resources.fixed | _place_temporaries(program, nbytes, resources)
    table, starts, uses = _fill_table(program, sizes, addresses)
    base = table.ctypes.data
    outputs = tuple(
        OutputPlan(
            (steps.count, *concrete[position]) if steps.outputs else concrete[position],
            dtypes[position],
            nbytes[position] * (steps.count if steps.outputs else 1),
            uses[position],
        )
        for position in dict.fromkeys(program.outputs)
    )
    moving = [program.inputs[index] for index in sorted(steps.inputs)] if steps.count > 1 else []
    moving += dict.fromkeys(program.outputs) if steps.outputs and steps.count > 1 else ()
    moves = [(base + 8 * slot, nbytes[position]) for position in moving for slot in uses[position]]
    bumps = np.array(moves, np.int64).reshape(-1, 2)
    barriers = [kernel.barrier for kernel in program.kernels]
    if barriers:
        barriers[-1] = False  # a step's end is a barrier itself
    kernel_list = np.array(
        [
            (function, base + 8 * start, barrier)
            for function, start, barrier in zip(resources.functions, starts, barriers)
        ],
        np.int64,
    ).reshape(-1, 3)
    threads = threads_for(program, sizes, resources.threads)
    job = _job(steps.count, kernel_list, bumps, threads, resources)
    input_slots = tuple(uses[position] for position in program.inputs)
    slots, last = table.data, [-1] * len(input_slots)
    return Binding(slots, input_slots, last, outputs, kernel_list, job, job.ctypes.data, threads, (table, bumps))


def threads_for(program: Program, sizes: Mapping[str, int], most: int) -> int:
    """How many threads run a step: one, where sharing its work among `most` saves less than its barriers cost."""
    cycles = 0.0
    for kernel in program.kernels:
        if kernel.cycles is None:
            return most
        each, times = kernel.cycles
        cycles += each * evaluate(times, sizes)
    meetings = sum(kernel.barrier for kernel in program.kernels[:-1]) + 1
    return most if cycles * (1 - 1 / most) > meetings * MEETING else 1


def _place_temporaries(program: Program, nbytes: list[int], resources: Resources) -> dict[int, int]:
    temps = [position for position, buffer in enumerate(program.buffers) if buffer.kind == "temp"]
    sizes = [nbytes[position] for position in temps]
    offsets, total = resources.plans.for_sizes(sizes)
    base = resources.arena(total)
    resources.plans.keep(sizes, offsets, total)
    return {position: base + offset for position, offset in zip(temps, offsets, strict=True)}


def _fill_table(
    program: Program, sizes: dict[str, int], addresses: dict[int, int]
) -> tuple[np.ndarray, list[int], dict[int, tuple[int, ...]]]:
    """All kernels' tables one after another, where each starts, and the slots of each input and output."""
    values: list[int] = []
    starts: list[int] = []
    uses: dict[int, list[int]] = {position: [] for position in (*program.inputs, *program.outputs)}
    for kernel in program.kernels:
        starts.append(len(values))
        for arg in kernel.args:
            if isinstance(arg, BufferArg):
                if arg.buffer in uses:
                    uses[arg.buffer].append(len(values))
                values.append(addresses.get(arg.buffer, 0))
            else:
                values.append(evaluate(arg.poly, sizes))
    return np.array(values or [0], np.int64), starts, {position: tuple(slots) for position, slots in uses.items()}


def _job(steps: int, kernel_list: np.ndarray, bumps: np.ndarray, threads: int, resources: Resources) -> np.ndarray:
    job = np.zeros(len(Job), np.int64)
    job[Job.STEPS] = steps
    job[Job.KERNEL_COUNT] = len(kernel_list)
    job[Job.KERNELS] = kernel_list.ctypes.data
    job[Job.THREADS] = threads
    job[Job.BARRIER] = resources.barrier
    job[Job.BUMP_COUNT] = len(bumps)
    job[Job.BUMPS] = bumps.ctypes.data
    job[Job.SPINS] = resources.spins
    return job


def _mismatch(name: str, wanted: tuple[Poly, ...], got: Shape, sizes: dict[str, int]) -> str:
    expected = "(" + ", ".join(describe(poly) for poly in wanted) + ("," if len(wanted) == 1 else "") + ")"
    known = _known(sizes)
    return f"input {name!r}: expected shape {expected}{' with ' + known if known else ''}, got {got}"


def _known(sizes: dict[str, int]) -> str:
    return ", ".join(f"{symbol} = {size}" for symbol, size in sorted(sizes.items()))
