"""A CUDA program ready to run: each step one replay of a CUDA graph, in which the turns of a loop follow each other.

For every set of input shapes, memory is laid out once in one arena on the device and the step's launches are captured
once; a run then brings inputs to their places, replays, and takes outputs away: from and to the host, or within the GPU
where an input lies there or an output is to stay. Variables live on the device: one that was changed
elsewhere is uploaded when a run begins, and those that the program changes stay there until the host looks.
Leans on `driver`, `arrays` and `variables`, and on the CPU's `runner` and `resolve` for all that does not depend on
where memory lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import RLock
from typing import Any

import numpy as np

from ..errors import DeviceMemoryError, ProgramError, RuntimeShapeError
from ..kernels import CudaBatchSpec, CudaKernelSpec, arguments
from ..program import Program
from ..resolve import Resolved, Shape
from ..runner import Runner, check_inputs
from ..state import State, bring_home, leave
from .arrays import DeviceArray, OnDevice
from .driver import Gpu, Memory
from .turns import turns
from .variables import Copy, copy_of

ALIGN = 256
LARGEST = 2**31 - 1
Given = np.ndarray | OnDevice
Launch = tuple[Any, int, int, Sequence[int], int]
"""A function, blocks, threads of a block, and arguments."""


@dataclass(eq=False)
class CudaBinding:
    """Memory and graph for one set of shapes. `stacked` are the places of arrays with a leading axis of steps;
    `launches` those of one step in order, each with its kernel's number; `tables` what launches of many kernels read.
    """

    resolved: Resolved
    places: dict[int, int]
    stacked: dict[int, int]
    launches: list[tuple[int, Launch]]
    tables: list[Memory]
    graph: Any


class CudaExecutable(Runner[CudaBinding]):
    """Runs `program` over `states`, which match the program's states one to one, on one GPU."""

    def __init__(self, program: Program, states: Sequence[State], driver: Gpu) -> None:
        super().__init__(program, states)
        self.driver = driver
        self._copies: dict[int, Copy] = {}  # of states
        self._constants: list[Memory] = []
        kernels = tuple(k for k in program.kernels if isinstance(k, CudaKernelSpec | CudaBatchSpec))
        if len(kernels) < len(program.kernels):
            raise ProgramError(f"{program.name} has kernels for a CPU, which a GPU cannot run")
        with driver.turn:
            driver.use()
            self._addresses = self._fixed()
        self._written = [(s, self._copies[p]) for p, s in zip(program.states, self.states) if p in program.written]
        functions = {k.key: driver.function(program.objects[k.key], k.symbol, k.shared) for k in kernels}
        self._functions = [(k, functions[k.key]) for k in kernels]

    @property
    def _lock(self) -> RLock:
        return self.driver.turn

    def run_on_device(
        self, inputs: Sequence[Given], steps: int = 1, per_step: frozenset[int] = frozenset()
    ) -> list[DeviceArray]:
        """As `run`, with outputs that stay on the device, bfloat16 as uint16 words."""

        def execute(binding: CudaBinding, inputs: Sequence[Given]) -> list[Any]:
            self.driver.use()
            made = {p: self._new(binding, p) for p in self.program.outputs if p not in self._flags}

            def take(binding: CudaBinding, position: int) -> DeviceArray | np.ndarray:
                if position not in made:
                    return self._download(binding, position)
                array, memory = made[position]
                self.driver.copy(memory.address, _source(binding, position), array.nbytes)
                return array

            return self._through(binding, inputs, take)

        return self._checked_run(execute, inputs, steps, per_step)

    def _execute(self, binding: CudaBinding, inputs: Sequence[Given]) -> list[np.ndarray]:
        return self._through(binding, inputs, self._download)

    def _through(
        self, binding: CudaBinding, inputs: Sequence[Given], take: Callable[[CudaBinding, int], Any]
    ) -> list[Any]:
        """Run; of each output what `take` makes of it, complete."""
        program, driver = self.program, self.driver
        driver.use()
        driver.tidy()
        kept = self._give(binding, inputs)
        leave(self._written)
        try:
            self._steps(binding, inputs)
            outputs = [take(binding, p) for p in dict.fromkeys(program.outputs)]
            driver.synchronize()
        finally:
            leave(self._written)  # again: another thread may have fetched what was there in between
        del kept
        return outputs

    def _readable(self, inputs: Sequence[Given]) -> Sequence[np.ndarray]:
        """Inputs that index are fetched from the device to be checked; kernels read what lies there."""
        found: list[Any] = [*inputs]
        for i in {check.input for check in self.program.checks}:
            given = inputs[i]
            if isinstance(given, OnDevice):
                found[i] = np.empty(given.shape, given.dtype)
                self.driver.fetch(found[i], given.address)
        return found

    def _give(self, binding: CudaBinding, inputs: Sequence[Given]) -> list[np.ndarray]:
        """Inputs and changed variables to their places; the arrays to keep until they are there. What lies on the
        device and changes with the step stays where it is."""
        program, steps = self.program, binding.resolved.steps
        kept = []
        for index, (position, given) in enumerate(zip(program.inputs, inputs)):
            if not isinstance(given, OnDevice):
                kept.append(np.ascontiguousarray(given))
                self.driver.upload((binding.stacked if index in steps.inputs else binding.places)[position], kept[-1])
            elif index not in steps.inputs:
                self.driver.copy(binding.places[position], given.address, given.nbytes)
        for copy, state in zip(self._copies.values(), self.states):
            kept += copy.refresh(state)
        return kept

    def _steps(self, binding: CudaBinding, inputs: Sequence[Given]) -> None:
        """Each step's inputs to their places, the kernels, its outputs away."""
        size, places, stacked = binding.resolved.nbytes, binding.places, binding.stacked
        given = zip(self.program.inputs, inputs)
        incoming = {p: a.address if isinstance(a, OnDevice) else stacked[p] for p, a in given if p in stacked}
        outgoing = [p for p in dict.fromkeys(self.program.outputs) if p in stacked]
        for step in range(binding.resolved.steps.count):
            for p, first in incoming.items():
                self.driver.copy(places[p], first + step * size[p], size[p])
            if binding.graph is not None:
                self.driver.replay(binding.graph)
            for p in outgoing:
                self.driver.copy(stacked[p] + step * size[p], places[p], size[p])

    # ------------------------------------------------------------ timing
    def step_seconds(self, inputs: Sequence[Given], rounds: int = 5, calls: int = 1) -> list[float]:
        """The device's seconds for a step, in each of `rounds` of `calls` steps in a row: kernels alone, without what
        goes to and from the host. Variables end as they began."""
        with self._timing(inputs) as binding:

            def replay() -> None:
                for _ in range(calls):
                    self.driver.replay(binding.graph)

            return [self.driver.seconds(replay) / calls for _ in range(rounds)] if binding.graph is not None else []

    def profile(self, inputs: Sequence[Given], repeats: int = 10) -> list[float]:
        """The device's seconds per kernel for one step, from `repeats` launches in a row, so that small operands come
        from the cache. Variables end as they began."""
        with self._timing(inputs) as binding:
            found = [0.0] * len(self._functions)
            for i in sorted({i for i, _ in binding.launches}):  # in order: each finds what those before it have left
                graph = self._graph([launch for n, launch in binding.launches if n == i] * repeats)
                self.driver.replay(graph)
                found[i] = self.driver.seconds(partial(self.driver.replay, graph)) / repeats
                self.driver.forget(graph)
            return found

    @contextmanager
    def _timing(self, inputs: Sequence[Given]) -> Iterator[CudaBinding]:
        """With inputs and variables on the device, after one step; the variables' copies there are worthless after."""
        with self._lock:
            binding = self._binding(inputs, 1, frozenset())
            check_inputs(self.program, self._readable(inputs))
            self.driver.use()
            kept = self._give(binding, inputs)
            bring_home(state for state, _ in self._written)
            for _, copy in self._written:
                copy.stamp = -1
            self._steps(binding, inputs)
            self.driver.synchronize()
            del kept
            yield binding

    # ------------------------------------------------------------ binding
    def _bind(self, resolved: Resolved) -> CudaBinding:
        """Lay out memory for these sizes and capture the step."""
        program, steps, nbytes = self.program, resolved.steps, resolved.nbytes
        for spec, shape in zip(program.buffers, resolved.shapes):
            if math.prod(shape) > LARGEST:  # kernels divide positions in 32 bits
                raise RuntimeShapeError(
                    f"{spec.name} has the shape {shape}; a tensor on a GPU has at most {LARGEST} elements"
                )
        self.driver.use()
        offsets: dict[int, int] = {}
        stack: dict[int, int] = {}
        outputs = list(dict.fromkeys(program.outputs))
        total = 0
        for i in dict.fromkeys((*program.inputs, *outputs)):
            offsets[i], total = total, total + _whole(nbytes[i])
        for i in [program.inputs[i] for i in sorted(steps.inputs)] + (outputs if steps.outputs else []):
            stack[i], total = total, total + _whole(nbytes[i] * steps.count)
        temps = self._place_temps(nbytes, lambda room: self._reserve(total + room, nbytes) + total)
        base = self._arena
        addresses = self._addresses | {i: base + offset for i, offset in offsets.items()} | temps
        tables: list[Memory] = []
        launches = list(self._launches(resolved, addresses, tables))
        graph = self._graph([launch for _, launch in launches]) if launches else None
        stacked = {i: base + offset for i, offset in stack.items()}
        binding = CudaBinding(resolved, addresses, stacked, launches, tables, graph)
        if graph is not None:
            self.driver.with_end_of(binding, self.driver.forget, graph)
        return binding

    def _graph(self, launches: Sequence[Launch]) -> Any:
        def record() -> None:
            for each in launches:
                self.driver.launch(*each)

        return self.driver.capture(record)

    def _launches(
        self, resolved: Resolved, addresses: dict[int, int], tables: list[Memory]
    ) -> Iterator[tuple[int, Launch]]:
        """The launches of one step in order, each with its kernel's number; empty ones are left out. Tables of batches
        are put on the device and added to `tables`."""
        for i, at in turns(self.program, resolved, addresses):
            kernel, function = self._functions[i]
            if isinstance(kernel, CudaKernelSpec):
                blocks, given = kernel.grid(resolved.sizes), arguments(kernel.args, at, resolved.sizes)
            else:
                blocks, numbers = kernel.table(at, resolved.sizes)
                given = [self._table(numbers, tables)] if blocks else []
            if blocks:
                yield i, (function, blocks, kernel.threads, given, kernel.shared)

    def _table(self, numbers: Sequence[int], tables: list[Memory]) -> int:
        """The address on the device of these numbers."""
        array = np.array(numbers, np.int64)
        tables.append(self._allocate(array.nbytes, "a table of kernels"))
        self.driver.upload(tables[-1].address, array)
        self.driver.synchronize()
        return tables[-1].address

    # ------------------------------------------------------------ memory
    def _grow(self, nbytes: int, parts: Sequence[int]) -> int:
        self._memory: Memory | None = None  # frees the old one
        largest = sorted(range(len(parts)), key=lambda i: -parts[i])[:3]
        names = ", ".join(f"{self.program.buffers[i].name} {parts[i]}" for i in largest)
        self._memory = self._allocate(nbytes, f"a step's tensors, the largest of which are {names}")
        return self._memory.address

    def _allocate(self, nbytes: int, what: str) -> Memory:
        try:
            return Memory(self.driver, nbytes)
        except DeviceMemoryError as error:
            raise DeviceMemoryError(f"{error}, for {what}; use a smaller batch") from None

    def _place_state(self, position: int, state: State) -> int:
        spec = self.program.buffers[position]
        state.claim(spec.order)
        copy = self._copies[position] = copy_of(state, self.driver, lambda nbytes: self._allocate(nbytes, spec.name))
        return copy.memory.address

    def _place_constant(self, position: int, value: np.ndarray) -> int:
        spec = self.program.buffers[position]
        memory = self._allocate(value.nbytes, spec.name)
        physical = np.array(value.transpose(spec.order), order="C")
        self.driver.upload(memory.address, physical)
        self.driver.synchronize()
        self._constants.append(memory)
        return memory.address

    def _download(self, binding: CudaBinding, position: int) -> np.ndarray:
        array = np.empty(*self._form(binding, position))
        self.driver.download(array, _source(binding, position))
        return array

    def _new(self, binding: CudaBinding, position: int) -> tuple[DeviceArray, Memory]:
        """An array on the device for an output, and its memory."""
        shape, dtype = self._form(binding, position)
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._allocate(nbytes, f"the output {self.program.buffers[position].name}")
        return DeviceArray(self.driver, memory, shape, dtype), memory

    @property
    def _flags(self) -> tuple[int, ...]:
        """Outputs that the run itself looks at, on the host."""
        return self.program.outputs[len(self.program.outputs) - len(self.program.computed_checks) :]

    def _form(self, binding: CudaBinding, position: int) -> tuple[Shape, str]:
        """Shape and dtype of what is returned of an output."""
        resolved = binding.resolved
        return resolved.over_steps(resolved.shapes[position]), self.program.buffers[position].dtype


def _source(binding: CudaBinding, position: int) -> int:
    """Where an output lies at the end of a run."""
    return (binding.stacked if binding.resolved.steps.outputs else binding.places)[position]


def _whole(nbytes: int) -> int:
    return -(-nbytes // ALIGN) * ALIGN
