"""What every executable does, wherever its memory lies: NumPy arrays in, NumPy arrays out, the same checks and errors.

States and constants are placed once. What a set of shapes needs is resolved once and kept, in memory that grows to the
largest; a run then finds it by the inputs' shapes. Where the memory lies and who runs is for the two that implement
this to say: `executable` on the CPU, `cuda.executable` on a GPU. Leans on `resolve` and `packing`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

import numpy as np

from . import flags
from .errors import IndexLimitError, ProgramError, RuntimeShapeError
from .packing import Plans
from .program import IndexCheck, Program
from .resolve import Resolved, Shaped, bind_sizes, resolve, step_shapes
from .sizes import evaluate, symbols
from .state import State

KEPT_BINDINGS = 16
"""Sets of input shapes for which what they need is kept."""

Binding = TypeVar("Binding")


class Runner(ABC, Generic[Binding]):
    """Runs `program` over `states`, which match `program.states` one to one.

    Raises ProgramError for a program that contradicts itself, RuntimeShapeError for states that do not fit it.
    """

    def __init__(self, program: Program, states: Sequence[State]) -> None:
        program.verify()
        _check_states(program, states)
        self.program, self.states = program, tuple(states)
        self._bindings: OrderedDict[tuple[object, ...], Binding] = OrderedDict()
        self._arena, self._arena_bytes = 0, 0
        self._temps = [position for position, buffer in enumerate(program.buffers) if buffer.kind == "temp"]
        self._plans = Plans([(program.buffers[i].first, program.buffers[i].last) for i in self._temps])
        unique = list(dict.fromkeys(program.outputs))
        self._returned = [unique.index(position) for position in program.outputs]

    def run(self, inputs: Sequence[Any], steps: int = 1, per_step: frozenset[int] = frozenset()) -> list[np.ndarray]:
        """The outputs of `steps` runs in one native call. inputs: NumPy's arrays, and on a GPU `OnDevice`s.

        Inputs at the positions in `per_step` have a leading axis of length `steps` and advance along it; with more than
        one step, or any such input, outputs have one too. Raises IndexLimitError where an index is out of range: before
        the call if it is an input, after it (states have changed by then) if kernels compute it.
        """
        return self._checked_run(self._execute, inputs, steps, per_step)

    def _checked_run(
        self,
        execute: Callable[[Binding, Sequence[Any]], list[Any]],
        inputs: Sequence[Shaped],
        steps: int,
        per_step: frozenset[int],
    ) -> list[Any]:
        """`run` with another way to execute, whose inputs and outputs need not be NumPy's; flags are."""
        with self._lock:
            binding = self._binding(inputs, steps, per_step)
            check_inputs(self.program, self._readable(inputs), per_step)
            outputs = execute(binding, inputs)
        return _without_flags(self.program, [outputs[index] for index in self._returned], inputs, per_step)

    # ------------------------------------------------------------ what differs
    @property
    @abstractmethod
    def _lock(self) -> AbstractContextManager[Any]:
        """Held during a run."""

    @abstractmethod
    def _place_state(self, position: int, state: State) -> int:
        """Where the state lies from now on."""

    @abstractmethod
    def _place_constant(self, position: int, value: np.ndarray) -> int:
        """Where the constant lies from now on. value: of the buffer's dtype, in logical order."""

    @abstractmethod
    def _grow(self, nbytes: int, parts: Sequence[int]) -> int:
        """The address of a new arena, the old one of which is no longer used. parts: the bytes of each buffer."""

    @abstractmethod
    def _bind(self, resolved: Resolved) -> Binding:
        """What runs at these shapes need."""

    @abstractmethod
    def _execute(self, binding: Binding, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run it; each output once, in the order in which the program lists them first."""

    def _readable(self, inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        """The inputs, those that are checked as arrays of NumPy."""
        return inputs

    # ------------------------------------------------------------ what is the same
    def _fixed(self) -> dict[int, int]:
        """Place the states and constants; the addresses by buffer."""
        program = self.program
        fixed = {p: self._place_state(p, state) for p, state in zip(program.states, self.states, strict=True)}
        for position, spec in enumerate(program.buffers):
            if spec.kind == "constant":
                fixed[position] = self._place_constant(position, np.asarray(spec.data, spec.dtype))
        return fixed

    def _binding(self, inputs: Sequence[Shaped], steps: int, per_step: frozenset[int]) -> Binding:
        key = (steps, per_step, *[array.shape for array in inputs])
        binding = self._bindings.get(key)
        if binding is not None:
            self._bindings.move_to_end(key)
            return binding
        binding = self._bind(resolve(self.program, *step_shapes(self.program, inputs, steps, per_step)))
        self._bindings[key] = binding
        if len(self._bindings) > KEPT_BINDINGS:
            self._bindings.popitem(last=False)
        return binding

    def _reserve(self, nbytes: int, parts: Sequence[int]) -> int:
        """The arena's address, after it has grown to `nbytes`; bindings made for a smaller one are dropped."""
        if nbytes > self._arena_bytes:
            self._bindings.clear()
            self._arena_bytes = 0
            self._arena = self._grow(nbytes, parts)
            self._arena_bytes = nbytes
        return self._arena

    def _place_temps(self, nbytes: Sequence[int], reserve: Callable[[int], int]) -> dict[int, int]:
        """Addresses of the temporaries, in memory of as many bytes as `reserve` is asked for."""
        sizes = [nbytes[position] for position in self._temps]
        offsets, total = self._plans.for_sizes(sizes)
        base = reserve(total)
        self._plans.keep(sizes, offsets, total)
        return {position: base + offset for position, offset in zip(self._temps, offsets, strict=True)}


def _check_states(program: Program, states: Sequence[State]) -> None:
    if len(states) != len(program.states):
        raise ProgramError(f"{program.name} has {len(program.states)} states, got {len(states)}")
    for position, state in zip(program.states, states, strict=True):
        spec = program.buffers[position]
        if tuple(evaluate(size, {}) for size in spec.shape) != state.shape or state.dtype != spec.dtype:
            raise RuntimeShapeError(f"state {spec.name!r} does not have the shape or dtype of {state!r}")


def check_inputs(program: Program, inputs: Sequence[np.ndarray], per_step: frozenset[int] = frozenset()) -> None:
    """Raise IndexLimitError where an integer input holds a value outside the range that it indexes."""
    if not program.checks:
        return
    sizes = _sizes(program, inputs, per_step) if any(symbols(check.limit) for check in program.checks) else {}
    for check in program.checks:
        values, limit = inputs[check.input], evaluate(check.limit, sizes)
        unsigned = _unsigned(program, check)
        if not values.size or int(values.view(unsigned).max()) < limit:
            continue
        position = np.unravel_index(int(np.argmax(values.view(unsigned))), values.shape)
        name = program.buffers[program.inputs[check.input]].name
        where = ", ".join(str(index) for index in position)
        raise IndexLimitError(
            f"input {name!r} holds {values[position]} at position [{where}]: {check.what} takes values from 0 to "
            f"{limit - 1}"
        )


def _unsigned(program: Program, check: IndexCheck) -> np.dtype:
    """The unsigned type as wide as the checked input: a negative value read as one is above every limit."""
    return np.dtype(f"u{np.dtype(program.buffers[program.inputs[check.input]].dtype).itemsize}")


def _without_flags(
    program: Program, outputs: list[Any], inputs: Sequence[Shaped], per_step: frozenset[int]
) -> list[Any]:
    """The outputs without flags. Raises IndexLimitError where one of these is raised."""

    return flags.taken(program.computed_checks, outputs, lambda: _sizes(program, inputs, per_step))


def _sizes(program: Program, inputs: Sequence[Shaped], per_step: frozenset[int]) -> dict[str, int]:
    """The size symbols of a run with these inputs."""
    return bind_sizes(program, [a.shape[1:] if i in per_step else a.shape for i, a in enumerate(inputs)])
