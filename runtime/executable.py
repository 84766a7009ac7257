"""A compiled program ready to run: NumPy arrays in, NumPy arrays out, one native call in between.

Leans on `binding` for what depends on shapes, `threads` for the workers, `loader` for the code and `state` for the
parameters. What a set of shapes needs is resolved once and kept, so that a run only writes addresses into slots.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from . import flags
from .arena import address_of, allocate, readable_past
from .binding import Binding, Resources, Steps, bind, bind_sizes
from .driver import Job, seconds_per_tick
from .errors import IndexLimitError, ProgramError, RuntimeShapeError
from .loader import load
from .packing import Plans
from .program import IndexCheck, Program
from .sizes import evaluate
from .state import State, native_run, place
from .threads import shared_pool

KEPT_BINDINGS = 16
"""Sets of input shapes whose tables are kept."""


class Executable:
    """Runs `program` on `threads` threads over `states`, which match `program.states` one to one."""

    def __init__(self, program: Program, states: Sequence[State] = (), threads: int = 1) -> None:
        program.verify()
        self.program = program
        self.states = tuple(states)
        self.threads = threads
        self._pool = shared_pool(threads)
        self._bindings: OrderedDict[tuple[object, ...], Binding] = OrderedDict()
        self._arena, self._arena_address = allocate((0,), np.dtype(np.uint8), 0)
        self._constants: list[np.ndarray] = []
        self._resources = self._resolve()
        unique = list(dict.fromkeys(program.outputs))
        self._returned = [unique.index(position) for position in program.outputs]

    def run(
        self, inputs: Sequence[np.ndarray], steps: int = 1, per_step: frozenset[int] = frozenset()
    ) -> list[np.ndarray]:
        """The outputs of `steps` runs in one native call.

        Inputs at the positions in `per_step` have a leading axis of length `steps` and advance along it; with more than
        one step, or any such input, outputs have one too. Raises IndexLimitError where an index is out of range: before
        the call if it is an input, after it (states have changed by then) if kernels compute it.
        """
        with self._pool.lock:
            binding = self._binding(inputs, steps, per_step)
            held = self._give(binding, inputs, per_step)
            outputs = _take(binding)
            self._pool.run(binding.job_address, binding.threads)
            native_run()
            del held
        return returned(self.program, [outputs[index] for index in self._returned], inputs, per_step)

    def profile(self, inputs: Sequence[np.ndarray], repeats: int = 10) -> list[float]:
        """Mean seconds per kernel over `repeats` runs, waiting for all threads included; states end as they began."""
        before = [state.get() for state in self.states]
        with self._pool.lock:
            shapes = [array.shape for array in inputs]
            binding = bind(self.program, shapes, Steps(repeats), self._resources)
            binding.kernel_list[:, 2] = 1
            ticks = np.zeros(max(len(self.program.kernels), 1), np.int64)
            binding.job[Job.PROFILE] = ticks.ctypes.data
            held = [self._give(binding, inputs, frozenset()), _take(binding)]
            self._pool.run(binding.job_address, binding.threads)
            del held
        for state, value in zip(self.states, before, strict=True):
            state.set(value)
        return [float(count) * seconds_per_tick() / repeats for count in ticks[: len(self.program.kernels)]]

    def _resolve(self) -> Resources:
        program = self.program
        if len(self.states) != len(program.states):
            raise ProgramError(f"{program.name} has {len(program.states)} states, got {len(self.states)}")
        fixed: dict[int, int] = {}
        for position, state in zip(program.states, self.states, strict=True):
            spec = program.buffers[position]
            if tuple(evaluate(size, {}) for size in spec.shape) != state.shape or state.dtype != spec.dtype:
                raise RuntimeShapeError(f"state {spec.name!r} does not have the shape or dtype of {state!r}")
            fixed[position] = state.claim(spec.order)
        for position, spec in enumerate(program.buffers):
            if spec.kind == "constant" and spec.data is not None:
                value, fixed[position] = place(np.asarray(spec.data, spec.dtype), spec.order)
                self._constants.append(value)
        loaded = load({(kernel.key, kernel.symbol): program.objects[kernel.key] for kernel in program.kernels})
        self._libraries = loaded.libraries  # the code, mapped as long as this lives
        functions = tuple(loaded.addresses[kernel.key, kernel.symbol] for kernel in program.kernels)
        reserve = _reserving(weakref.ref(self))
        lifetimes = [(buffer.first, buffer.last) for buffer in program.buffers if buffer.kind == "temp"]
        return Resources(
            functions, fixed, Plans(lifetimes), reserve, self.threads, self._pool.barrier, self._pool.spins
        )

    def _reserve(self, nbytes: int) -> int:
        """The arena's address, after it has grown to `nbytes`; bindings made for a smaller one are dropped."""
        if nbytes > self._arena.nbytes:
            self._bindings.clear()
            self._arena, self._arena_address = allocate((nbytes,), np.dtype(np.uint8), nbytes)
        return self._arena_address

    def _binding(self, inputs: Sequence[np.ndarray], steps: int, per_step: frozenset[int]) -> Binding:
        key = (steps, per_step, *[array.shape for array in inputs])
        binding = self._bindings.get(key)
        if binding is not None:
            self._bindings.move_to_end(key)
            return binding
        if steps < 1:
            raise ValueError(f"a program runs for at least one step, not {steps}")
        shapes = []
        for index, array in enumerate(inputs):
            if index in per_step and array.shape[:1] != (steps,):
                name = self.program.buffers[self.program.inputs[index]].name
                message = f"input {name!r}: expected a leading axis of {steps} steps, got shape {array.shape}"
                raise RuntimeShapeError(message)
            shapes.append(array.shape[1:] if index in per_step else array.shape)
        stacked = steps > 1 or bool(per_step)
        binding = bind(self.program, shapes, Steps(steps, per_step, stacked), self._resources)
        self._bindings[key] = binding
        if len(self._bindings) > KEPT_BINDINGS:
            self._bindings.popitem(last=False)
        return binding

    def _give(self, binding: Binding, inputs: Sequence[np.ndarray], per_step: frozenset[int]) -> list[np.ndarray]:
        """Check the inputs and write their addresses into their slots; the arrays to keep alive meanwhile."""
        check_inputs(self.program, inputs)
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
                binding.last_inputs[index] = -1 if index in per_step else address
        return held


def _reserving(executable: weakref.ref[Executable]) -> Callable[[int], int]:
    """`_reserve` without a reference to the executable, whose memory is then free as soon as it is dropped."""

    def reserve(nbytes: int) -> int:
        owner = executable()
        if owner is None:
            raise ProgramError("a binding is used without its executable")
        return owner._reserve(nbytes)

    return reserve


def check_inputs(program: Program, inputs: Sequence[np.ndarray]) -> None:
    """Raise IndexLimitError where an integer input holds a value outside the range that it indexes."""
    for check in program.checks:
        values = inputs[check.input]
        unsigned = _unsigned(program, check)
        if not values.size or int(values.view(unsigned).max()) < check.limit:
            continue
        position = np.unravel_index(int(np.argmax(values.view(unsigned))), values.shape)
        name = program.buffers[program.inputs[check.input]].name
        where = ", ".join(str(index) for index in position)
        raise IndexLimitError(
            f"input {name!r} holds {values[position]} at position [{where}]: {check.what} takes values from 0 to "
            f"{check.limit - 1}"
        )


def returned(
    program: Program, outputs: list[np.ndarray], inputs: Sequence[np.ndarray], per_step: frozenset[int]
) -> list[np.ndarray]:
    """The outputs without flags. Raises IndexLimitError where one of these is raised."""

    def sizes() -> dict[str, int]:
        shapes = [array.shape[1:] if i in per_step else array.shape for i, array in enumerate(inputs)]
        return bind_sizes(program, shapes)

    return flags.taken(program.computed_checks, outputs, sizes)


def _take(binding: Binding) -> list[np.ndarray]:
    """Fresh outputs, their addresses written into their slots."""
    outputs = []
    for plan in binding.outputs:
        array, address = allocate(plan.shape, plan.dtype, plan.nbytes)
        for slot in plan.slots:
            binding.slots[slot] = address
        outputs.append(array)
    return outputs


def _unsigned(program: Program, check: IndexCheck) -> np.dtype:
    """The unsigned type as wide as the checked input: a negative value read as one is above every limit."""
    return np.dtype(f"u{np.dtype(program.buffers[program.inputs[check.input]].dtype).itemsize}")
