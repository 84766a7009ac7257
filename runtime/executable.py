"""A compiled program ready to run on this machine's CPU: one native call per run.

Leans on `binding` for what depends on shapes, `threads` for the workers, `loader` for the code and `state` for the
parameters. What a set of shapes needs is resolved once and kept, so that a run only writes addresses into slots.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from . import routines
from .arena import address_of, allocate, readable_past
from .binding import Binding, Resources, bind, native_kernels
from .driver import Job, seconds_per_tick
from .kernels import KernelSpec
from .loader import load
from .program import Program
from .resolve import Resolved, Steps, resolve
from .runner import Runner, check_inputs
from .state import State, Writer, bring_home, place
from .threads import shared_pool


class Executable(Runner[Binding]):
    """Runs `program` on `threads` threads over `states`, which match `program.states` one to one.

    Raises LoadError where the program's code does not link, ProgramError and RuntimeShapeError as `Runner` does.
    """

    def __init__(self, program: Program, states: Sequence[State] = (), threads: int = 1) -> None:
        super().__init__(program, states)
        self.threads = threads
        self._writer = Writer()
        self._pool = shared_pool(threads)
        self._held: list[np.ndarray] = []  # memory of constants
        self._addresses = self._fixed()
        kernels = native_kernels(program)
        generated = [kernel for kernel in kernels if isinstance(kernel, KernelSpec)]
        loaded = load({(kernel.key, kernel.symbol): program.objects[kernel.key] for kernel in generated})
        self._libraries = loaded.libraries  # the code, mapped as long as this lives
        functions = tuple(
            loaded.addresses[kernel.key, kernel.symbol]
            if isinstance(kernel, KernelSpec)
            else routines.addresses()[kernel.routine]
            for kernel in kernels
        )
        self._resources = Resources(kernels, functions, threads, self._pool.barrier, self._pool.spins)

    def profile(self, inputs: Sequence[np.ndarray], repeats: int = 10) -> list[float]:
        """Mean seconds per kernel over `repeats` runs, waiting for all threads included; states end as they began."""
        before = [state.get() for state in self.states]
        with self._lock:
            shapes = [array.shape for array in inputs]
            binding = self._bind(resolve(self.program, shapes, Steps(repeats)))
            check_inputs(self.program, inputs)
            binding.kernel_list[:, 2] = 1
            ticks = np.zeros(max(len(self.program.kernels), 1), np.int64)
            binding.job[Job.PROFILE] = ticks.ctypes.data
            held = [_give(binding, inputs), _take(binding)]
            self._pool.run(binding.job_address, binding.threads)
            del held
        for state, value in zip(self.states, before, strict=True):
            state.set(value)
        return [float(count) * seconds_per_tick() / repeats for count in ticks[: len(self.program.kernels)]]

    @property
    def _lock(self) -> threading.RLock:
        return self._pool.lock

    def _place_state(self, position: int, state: State) -> int:
        writer = self._writer if position in self.program.written else None
        return state.claim(self.program.buffers[position].order, writer)

    def _place_constant(self, position: int, value: np.ndarray) -> int:
        array, address = place(value, self.program.buffers[position].order)
        self._held.append(array)
        return address

    def _grow(self, nbytes: int, parts: Sequence[int]) -> int:
        self._memory, address = allocate((nbytes,), np.dtype(np.uint8), nbytes)
        return address

    def _bind(self, resolved: Resolved) -> Binding:
        nbytes = resolved.nbytes
        temps = self._place_temps(nbytes, lambda total: self._reserve(total, nbytes))
        return bind(self.program, resolved, self._addresses | temps, self._resources)

    def _execute(self, binding: Binding, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        held = _give(binding, inputs)
        outputs = _take(binding)
        bring_home(self.states)
        self._writer.runs += 1  # before the run too: a copy made meanwhile is not the value after it
        self._run(binding)
        self._writer.runs += 1
        del held
        return outputs

    def _run(self, binding: Binding) -> None:
        """All steps: at once on one thread, else in pieces, on as many threads as go fastest just now."""
        if binding.threads == 1:
            self._pool.run(binding.job_address, 1)
            return
        left = binding.steps
        while left:
            threads, steps = binding.pace.piece(left)
            binding.job[Job.STEPS], binding.job[Job.THREADS] = steps, threads
            begin = perf_counter()
            self._pool.run(binding.job_address, threads)
            binding.pace.took(threads, steps, perf_counter() - begin)
            left -= steps


def _give(binding: Binding, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Write the addresses of inputs into their slots; the arrays to keep alive meanwhile."""
    held = []
    for index, array in enumerate(inputs):
        flags = array.flags
        if not (flags.c_contiguous and flags.aligned):
            array, address = place(array, tuple(range(array.ndim)))
        else:
            address = address_of(array)
            if not readable_past(address + array.nbytes):
                array, address = place(array, tuple(range(array.ndim)))
        held.append(array)
        if address != binding.last_inputs[index]:
            for slot in binding.input_slots[index]:
                binding.slots[slot] = address
            binding.last_inputs[index] = -1 if index in binding.per_step else address
    return held


def _take(binding: Binding) -> list[np.ndarray]:
    """Fresh outputs, their addresses written into their slots."""
    outputs = []
    for plan in binding.outputs:
        array, address = allocate(plan.shape, plan.dtype, plan.nbytes)
        for slot in plan.slots:
            binding.slots[slot] = address
        outputs.append(array)
    return outputs
