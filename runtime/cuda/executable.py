"""A CUDA program ready to run: each step one replay of a CUDA graph, in which the turns of a loop follow each other.

For every set of input shapes, memory is laid out once in one arena on the device and the step's launches are captured
once; a run then uploads inputs, replays, and downloads outputs. The device keeps copies of variables: one that was
changed elsewhere is uploaded when a run begins, and those that the program changes are downloaded when it ends, so that
the host's values are always the present ones; many steps per run share that price.
Leans on `driver`, and on the CPU's `runner` and `resolve` for all that does not depend on where memory lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from ..errors import DeviceMemoryError, ProgramError, RuntimeShapeError
from ..kernels import CudaKernelSpec, arguments
from ..program import BufferSpec, Program
from ..resolve import Resolved
from ..runner import Runner, check_inputs
from ..state import State
from .driver import Gpu
from .turns import turns

ALIGN = 256
LARGEST = 2**31 - 1
Launch = tuple[Any, int, int, Sequence[int]]
"""A function, blocks, threads of a block, and arguments."""


@dataclass
class CudaBinding:
    """Memory and graph for one set of shapes. `stacked` are the places of arrays with a leading axis of steps."""

    resolved: Resolved
    places: dict[int, int]
    stacked: dict[int, int]
    graph: Any


class CudaExecutable(Runner[CudaBinding]):
    """Runs `program` over `states`, which match the program's states one to one, on one GPU."""

    def __init__(self, program: Program, states: Sequence[State], driver: Gpu) -> None:
        super().__init__(program, states)
        self.driver = driver
        self._turn = Lock()
        self._seen: dict[int, tuple[int, int]] = {}  # the stamp of each state's value on the device
        kernels = tuple(kernel for kernel in program.kernels if isinstance(kernel, CudaKernelSpec))
        if len(kernels) < len(program.kernels):
            raise ProgramError(f"{program.name} has kernels for a CPU, which a GPU cannot run")
        driver.use()
        self._addresses = self._fixed()
        functions = {k.key: driver.function(program.objects[k.key], k.symbol) for k in kernels}
        self._functions = [(k, functions[k.key]) for k in kernels]

    @property
    def _lock(self) -> Lock:
        return self._turn

    def _execute(self, binding: CudaBinding, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        program, driver = self.program, self.driver
        driver.use()
        kept = self._give(binding, inputs)
        self._steps(binding)
        outputs = [self._download(binding, p) for p in dict.fromkeys(program.outputs)]
        values = {p: self._download_state(p) for p in program.written}
        driver.synchronize()
        for position, state in zip(program.states, self.states):
            if position in values:
                state.set(_logical(program.buffers[position], values[position]))
            self._seen[position] = state.stamp
        del kept
        return outputs

    def _give(self, binding: CudaBinding, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Inputs and changed variables to the device; the arrays to keep until they are there."""
        program, steps = self.program, binding.resolved.steps
        kept = [np.ascontiguousarray(array) for array in inputs]
        for index, (position, array) in enumerate(zip(program.inputs, kept)):
            self.driver.upload((binding.stacked if index in steps.inputs else binding.places)[position], array)
        stale = [(p, s) for p, s in zip(program.states, self.states) if self._seen.get(p) != s.stamp]
        kept += [self._upload_whole(p, self._addresses[p], s.get()) for p, s in stale]
        self._seen.update((p, s.stamp) for p, s in stale)
        for p in program.written:  # until the new values have arrived on the host
            self._seen.pop(p, None)
        return kept

    def _steps(self, binding: CudaBinding) -> None:
        """Each step's inputs to their places, the kernels, its outputs away."""
        size, places, stacked = binding.resolved.nbytes, binding.places, binding.stacked
        incoming = [p for p in self.program.inputs if p in stacked]
        outgoing = [p for p in dict.fromkeys(self.program.outputs) if p in stacked]
        for step in range(binding.resolved.steps.count):
            for p in incoming:
                self.driver.copy(places[p], stacked[p] + step * size[p], size[p])
            if binding.graph is not None:
                self.driver.replay(binding.graph)
            for p in outgoing:
                self.driver.copy(stacked[p] + step * size[p], places[p], size[p])

    # ------------------------------------------------------------ timing
    def step_seconds(self, inputs: Sequence[np.ndarray], rounds: int = 5, calls: int = 1) -> list[float]:
        """The device's seconds for a step, in each of `rounds` of `calls` steps in a row: kernels alone, without what
        goes to and from the host. Variables end as they began."""
        with self._timing(inputs) as binding:

            def replay() -> None:
                for _ in range(calls):
                    self.driver.replay(binding.graph)

            return [self.driver.seconds(replay) / calls for _ in range(rounds)] if binding.graph is not None else []

    def profile(self, inputs: Sequence[np.ndarray], repeats: int = 10) -> list[float]:
        """The device's seconds per kernel for one step, from `repeats` launches in a row, so that small operands come
        from the cache. Variables end as they began."""
        with self._timing(inputs) as binding:
            found = [0.0] * len(self._functions)
            launches = self._launches(binding.resolved, binding.places)
            for i in sorted({i for i, _ in launches}):  # in order, so that each finds what those before it have left
                graph = self._graph([launch for n, launch in launches if n == i] * repeats)
                self.driver.replay(graph)
                found[i] = self.driver.seconds(partial(self.driver.replay, graph)) / repeats
                self.driver.forget(graph)
            return found

    @contextmanager
    def _timing(self, inputs: Sequence[np.ndarray]) -> Iterator[CudaBinding]:
        """With inputs and variables on the device, after one step; the variables' copies there are worthless after."""
        with self._lock:
            binding = self._binding(inputs, 1, frozenset())
            check_inputs(self.program, inputs)
            self.driver.use()
            kept = self._give(binding, inputs)
            self._steps(binding)
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
        graph = self._capture(resolved, addresses)
        return CudaBinding(resolved, addresses, {i: base + offset for i, offset in stack.items()}, graph)

    def _capture(self, resolved: Resolved, addresses: dict[int, int]) -> Any:
        """The graph of one step's launches; None where all of them are empty."""
        launches = [launch for _, launch in self._launches(resolved, addresses)]
        return self._graph(launches) if launches else None

    def _graph(self, launches: Sequence[Launch]) -> Any:
        def record() -> None:
            for each in launches:
                self.driver.launch(*each)

        return self.driver.capture(record)

    def _launches(self, resolved: Resolved, addresses: dict[int, int]) -> list[tuple[int, Launch]]:
        """The launches of one step in order, each with its kernel's number; empty ones are left out."""
        sizes = resolved.sizes
        return [
            (i, (function, blocks, kernel.threads, arguments(kernel.args, at, sizes)))
            for i, at in turns(self.program, resolved, addresses)
            for kernel, function in [self._functions[i]]
            if (blocks := kernel.grid(sizes))
        ]

    def _drop(self, binding: CudaBinding) -> None:
        if binding.graph is not None:
            self.driver.forget(binding.graph)

    # ------------------------------------------------------------ memory
    def _grow(self, nbytes: int, parts: Sequence[int]) -> int:
        if self._arena:
            self.driver.free(self._arena)
            self._arena = 0
        largest = sorted(range(len(parts)), key=lambda i: -parts[i])[:3]
        names = ", ".join(f"{self.program.buffers[i].name} {parts[i]}" for i in largest)
        return self._allocate(nbytes, f"a step's tensors, the largest of which are {names}")

    def _allocate(self, nbytes: int, what: str) -> int:
        try:
            return self.driver.allocate(nbytes)
        except DeviceMemoryError as error:
            raise DeviceMemoryError(f"{error}, for {what}; use a smaller batch") from None

    def _place_state(self, position: int, state: State) -> int:
        return self._allocate(math.prod(state.shape) * state.dtype.itemsize, self.program.buffers[position].name)

    def _place_constant(self, position: int, value: np.ndarray) -> int:
        address = self._allocate(value.nbytes, self.program.buffers[position].name)
        kept = self._upload_whole(position, address, value)
        self.driver.synchronize()
        del kept
        return address

    def _upload_whole(self, position: int, address: int, logical: np.ndarray) -> np.ndarray:
        """A state or constant, in its physical order, to its place; the array to keep until it is there."""
        spec = self.program.buffers[position]
        array = np.array(np.asarray(logical, spec.dtype).transpose(spec.order), order="C")
        self.driver.upload(address, array)
        return array

    def _download(self, binding: CudaBinding, position: int) -> np.ndarray:
        resolved = binding.resolved
        array = np.empty(resolved.over_steps(resolved.shapes[position]), self.program.buffers[position].dtype)
        self.driver.download(array, (binding.stacked if resolved.steps.outputs else binding.places)[position])
        return array

    def _download_state(self, position: int) -> np.ndarray:
        spec, state = self.program.buffers[position], self.states[self.program.states.index(position)]
        array = np.empty([state.shape[axis] for axis in spec.order], spec.dtype)
        self.driver.download(array, self._addresses[position])
        return array


def _logical(spec: BufferSpec, physical: np.ndarray) -> np.ndarray:
    return physical.transpose(np.argsort(spec.order)) if physical.ndim else physical


def _whole(nbytes: int) -> int:
    return -(-nbytes // ALIGN) * ALIGN
