"""A resolved program as what the native driver runs: tables of addresses and sizes, and a job.

Leans on `resolve` for sizes and on `driver` for the job's layout. What is left to a run is to write the addresses of
inputs and outputs into their slots. Work that is less than the threads' meetings would cost is bound to one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .driver import KERNEL_WORDS, MOVE_WORDS, Job, Loop
from .errors import ProgramError
from .kernels import BufferArg, Call, KernelSpec, arguments
from .pace import Pace
from .program import Program
from .resolve import Resolved, Shape
from .sizes import evaluate

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
    """Tables and job for one set of shapes; `last_inputs` are the addresses that `input_slots` hold now, and the slots
    of the inputs `per_step` move on with each step."""

    slots: memoryview
    input_slots: tuple[tuple[int, ...], ...]
    per_step: frozenset[int]
    last_inputs: list[int]
    outputs: tuple[OutputPlan, ...]
    kernel_list: np.ndarray
    job: np.ndarray
    job_address: int
    threads: int
    kept: tuple[np.ndarray, ...]
    steps: int
    pace: Pace


@dataclass(frozen=True)
class Resources:
    """What every binding of an executable shares: the kernels and their functions, and what a pool's threads meet at
    and how they wait."""

    kernels: tuple[KernelSpec | Call, ...]
    functions: tuple[int, ...]
    threads: int
    barrier: int
    spins: int


def bind(program: Program, resolved: Resolved, addresses: Mapping[int, int], resources: Resources) -> Binding:
    """Tables and job. addresses: those of all buffers but the inputs and outputs."""
    steps, nbytes = resolved.steps, resolved.nbytes
    table, starts, uses = _fill_table(program, resolved.sizes, addresses, resources.kernels)
    base = table.ctypes.data
    loops, records = _loops(program, resolved, base, uses)
    outputs = tuple(
        OutputPlan(
            resolved.over_steps(resolved.shapes[position]),
            np.dtype(program.buffers[position].dtype),
            nbytes[position] * (steps.count if steps.outputs else 1),
            uses[position],
        )
        for position in dict.fromkeys(program.outputs)
    )
    moving = [program.inputs[index] for index in sorted(steps.inputs)] if steps.count > 1 else []
    moving += dict.fromkeys(program.outputs) if steps.outputs and steps.count > 1 else ()
    moves = [(base + 8 * slot, nbytes[position]) for position in moving for slot in uses[position]]
    bumps = np.array(moves, np.int64).reshape(-1, 2)
    barriers = [kernel.barrier for kernel in resources.kernels]
    if barriers:
        barriers[-1] = False  # a step's end is a barrier itself
    for loop in program.loops:
        barriers[loop.last] = True  # nobody may still be in this turn when its places move
    called = zip(resources.functions, starts, barriers, loops)
    kernel_list = np.array(
        [(function, base + 8 * start, barrier, *ends) for function, start, barrier, ends in called], np.int64
    ).reshape(-1, KERNEL_WORDS)
    threads = threads_for(program, resolved.sizes, resources.threads)
    job = _job(steps.count, kernel_list, bumps, threads, resources)
    input_slots = tuple(uses[position] for position in program.inputs)
    slots, last = table.data, [-1] * len(input_slots)
    table_and_job = (slots, input_slots, steps.inputs, last, outputs, kernel_list, job, job.ctypes.data)
    return Binding(*table_and_job, threads, (table, bumps, *records), steps.count, Pace(threads))


def native_kernels(program: Program) -> tuple[KernelSpec | Call, ...]:
    """The program's kernels. Raises ProgramError where one of them is not for this machine's CPU."""
    kernels = tuple(kernel for kernel in program.kernels if isinstance(kernel, KernelSpec | Call))
    if len(kernels) < len(program.kernels):
        raise ProgramError(f"{program.name} has kernels for a GPU, which the CPU cannot run")
    return kernels


def threads_for(program: Program, sizes: Mapping[str, int], most: int) -> int:
    """How many threads run a step: one, where sharing its work among `most` saves less than its barriers cost."""
    kernels, cycles = native_kernels(program), 0.0
    for kernel in kernels:
        if kernel.cycles is None:
            return most
        each, times = kernel.cycles
        cycles += each * evaluate(times, sizes)
    meetings = sum(kernel.barrier for kernel in kernels[:-1]) + 1
    for loop in program.loops:  # each further turn meets at its kernels' barriers and once more to move on
        again = sum(kernel.barrier for kernel in kernels[loop.first : loop.last + 1]) + 1
        meetings += max(evaluate(loop.length, sizes) - 1, 0) * again
    return most if cycles * (1 - 1 / most) > meetings * MEETING else 1


def _fill_table(
    program: Program, sizes: Mapping[str, int], addresses: Mapping[int, int], kernels: Sequence[KernelSpec | Call]
) -> tuple[np.ndarray, list[int], dict[int, tuple[int, ...]]]:
    """All kernels' tables one after another, where each starts, and the slots of each input, output and slice.

    Of what slices are places of, the last slot holds its address alone."""
    values: list[int] = []
    starts: list[int] = []
    slices = {part: whole for loop in program.loops for part, whole in loop.slices}
    uses: dict[int, list[int]] = {position: [] for position in (*program.inputs, *program.outputs, *slices)}
    known = {**dict.fromkeys(uses, 0), **addresses}
    for kernel in kernels:
        starts.append(len(values))
        for slot, arg in enumerate(kernel.args, len(values)):
            if isinstance(arg, BufferArg) and arg.buffer in uses:
                uses[arg.buffer].append(slot)
        values += arguments(kernel.args, known, sizes)
    for whole in dict.fromkeys(slices.values()):
        uses.setdefault(whole, []).append(len(values))
        values.append(known[whole])
    return np.array(values or [0], np.int64), starts, {position: tuple(slots) for position, slots in uses.items()}


def _loops(
    program: Program, resolved: Resolved, base: int, uses: Mapping[int, tuple[int, ...]]
) -> tuple[list[list[int]], list[np.ndarray]]:
    """For each kernel the records' addresses of the loop that begins and of the loop that ends with it; the records."""
    ends = [[0, 0] for _ in program.kernels]
    kept: list[np.ndarray] = []
    for loop in program.loops:
        turns, moves = evaluate(loop.length, resolved.sizes), []
        for part, whole in loop.slices:
            size = resolved.nbytes[part]
            start, step = (size * (turns - 1), -size) if loop.reverse else (0, size)
            moves += [(base + 8 * slot, base + 8 * uses[whole][-1], start, step) for slot in uses[part]]
        moved = np.array(moves, np.int64).reshape(-1, MOVE_WORDS)
        record = np.zeros(len(Loop), np.int64)
        record[Loop.TURNS], record[Loop.FIRST], record[Loop.AFTER] = turns, loop.first, loop.last + 1
        record[Loop.MOVE_COUNT], record[Loop.MOVES] = len(moved), moved.ctypes.data
        ends[loop.first][0] = ends[loop.last][1] = record.ctypes.data
        kept += [moved, record]
    return ends, kept


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
