"""A CUDA program ready to run: NumPy arrays in, NumPy arrays out, each step one replay of a CUDA graph.

For every set of input shapes, memory is laid out once in one arena on the device and the step's launches are captured
once; a run then uploads inputs, replays, and downloads outputs. The device keeps copies of variables: one that was
changed elsewhere is uploaded when a run begins, and those that the program changes are downloaded when it ends, so that
the host's values are always the present ones; many steps per run share that price.
Leans on `driver`, and on the CPU's `binding` and `packing` for sizes and places.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from ..binding import bind_sizes
from ..errors import DeviceMemoryError, RuntimeShapeError
from ..executable import check_inputs, returned
from ..packing import Plans
from ..program import BufferArg, BufferSpec
from ..sizes import evaluate
from ..state import State
from .driver import Gpu
from .program import CudaProgram

KEPT_BINDINGS = 16
ALIGN = 256
LARGEST = 2**31 - 1


@dataclass
class CudaBinding:
    """Memory and graph for one set of shapes. `stacked` are the places of arrays with a leading axis of steps."""

    shapes: dict[int, tuple[int, ...]]
    places: dict[int, int]
    stacked: dict[int, int]
    graph: Any


class CudaExecutable:
    """Runs `program` over `states`, which match the program's states one to one, on one GPU."""

    def __init__(self, program: CudaProgram, states: Sequence[State], driver: Gpu) -> None:
        self.program, self.states, self.driver = program, tuple(states), driver
        self._lock = Lock()
        self._bindings: OrderedDict[tuple[object, ...], CudaBinding] = OrderedDict()
        self._arena, self._arena_bytes = 0, 0
        self._plans = Plans([(b.first, b.last) for b in program.plan.buffers if b.kind == "temp"])
        self._fixed: dict[int, int] = {}
        self._seen: dict[int, tuple[int, int]] = {}  # the stamp of each state's value on the device
        driver.use()
        for position, spec in enumerate(program.plan.buffers):
            if spec.kind in ("state", "constant"):
                self._fixed[position] = self._allocate(_nbytes(spec, {}), spec.name)
                if spec.data is not None:
                    self._upload_whole(position, spec.data)
        driver.synchronize()
        self._functions = {k.key: driver.function(program.cubins[k.key], k.symbol) for k in program.kernels}

    def run(
        self, inputs: Sequence[np.ndarray], steps: int = 1, per_step: frozenset[int] = frozenset()
    ) -> list[np.ndarray]:
        """The outputs of `steps` runs. Inputs at the positions in `per_step` have a leading axis of length `steps`;
        with more than one step, or any such input, outputs have one too."""
        plan, driver = self.program.plan, self.driver
        check_inputs(plan, inputs)
        stacked = steps > 1 or bool(per_step)
        with self._lock:
            driver.use()
            binding = self._binding(inputs, steps, per_step, stacked)
            kept = [np.ascontiguousarray(array) for array in inputs]
            for index, (position, array) in enumerate(zip(plan.inputs, kept)):
                driver.upload((binding.stacked if index in per_step else binding.places)[position], array)
            stale = [(p, s) for p, s in zip(plan.states, self.states) if self._seen.get(p) != s.stamp]
            kept += [self._upload_whole(p, s.get()) for p, s in stale]
            for p in self.program.written:  # until the new values have arrived on the host
                self._seen.pop(p, None)
            self._steps(binding, steps)
            outputs = {p: self._download(binding, p, steps, stacked) for p in dict.fromkeys(plan.outputs)}
            values = {p: self._download_state(p) for p in self.program.written}
            driver.synchronize()
            for position, state in zip(plan.states, self.states):
                if position in values:
                    state.set(_logical(plan.buffers[position], values[position]))
                self._seen[position] = state.stamp
        return returned(plan, [outputs[p] for p in plan.outputs], inputs, per_step)

    def _steps(self, binding: CudaBinding, steps: int) -> None:
        """Each step's inputs to their places, the kernels, its outputs away."""
        plan = self.program.plan
        incoming = [p for p in plan.inputs if p in binding.stacked]
        outgoing = [p for p in dict.fromkeys(plan.outputs) if p in binding.stacked]
        size = {p: self._size(p, binding.shapes[p]) for p in (*incoming, *outgoing)}
        for step in range(steps):
            for p in incoming:
                self.driver.copy(binding.places[p], binding.stacked[p] + step * size[p], size[p])
            if binding.graph is not None:
                self.driver.replay(binding.graph)
            for p in outgoing:
                self.driver.copy(binding.stacked[p] + step * size[p], binding.places[p], size[p])

    # ------------------------------------------------------------ binding
    def _binding(
        self, inputs: Sequence[np.ndarray], steps: int, per_step: frozenset[int], stacked: bool
    ) -> CudaBinding:
        key = (steps, per_step, *[array.shape for array in inputs])
        if key in self._bindings:
            self._bindings.move_to_end(key)
            return self._bindings[key]
        if steps < 1:
            raise ValueError(f"a program runs for at least one step, not {steps}")
        plan = self.program.plan
        shapes = []
        for index, array in enumerate(inputs):
            if index in per_step and array.shape[:1] != (steps,):
                name = plan.buffers[plan.inputs[index]].name
                message = f"input {name!r}: expected a leading axis of {steps} steps, got shape {array.shape}"
                raise RuntimeShapeError(message)
            shapes.append(array.shape[1:] if index in per_step else array.shape)
        binding = self._bind(bind_sizes(plan, shapes), steps, per_step, stacked)
        self._bindings[key] = binding
        if len(self._bindings) > KEPT_BINDINGS:
            self._drop(self._bindings.popitem(last=False)[1])
        return binding

    def _bind(self, sizes: dict[str, int], steps: int, per_step: frozenset[int], stacked: bool) -> CudaBinding:
        """Lay out memory for these sizes and capture the step."""
        plan = self.program.plan
        shapes = {i: tuple(evaluate(d, sizes) for d in b.shape) for i, b in enumerate(plan.buffers)}
        for i, shape in shapes.items():
            if math.prod(shape) > LARGEST:  # kernels divide positions in 32 bits
                name = plan.buffers[i].name
                raise RuntimeShapeError(
                    f"{name} has the shape {shape}; a tensor on a GPU has at most {LARGEST} elements"
                )
        nbytes = {i: self._size(i, shape) for i, shape in shapes.items()}
        offsets: dict[int, int] = {}
        stack: dict[int, int] = {}
        total = 0
        for i in dict.fromkeys((*plan.inputs, *plan.outputs)):
            offsets[i], total = total, total + _whole(nbytes[i])
        many = [plan.inputs[i] for i in sorted(per_step)] + (list(dict.fromkeys(plan.outputs)) if stacked else [])
        for i in many:
            stack[i], total = total, total + _whole(nbytes[i] * steps)
        temps = [i for i, b in enumerate(plan.buffers) if b.kind == "temp"]
        temp_bytes = [nbytes[i] for i in temps]
        places, room = self._plans.for_sizes(temp_bytes)
        offsets |= {i: total + place for i, place in zip(temps, places)}
        base = self._reserve(total + room, nbytes)
        self._plans.keep(temp_bytes, places, room)
        addresses = self._fixed | {i: base + offset for i, offset in offsets.items()}
        graph = self._capture(sizes, addresses)
        return CudaBinding(shapes, addresses, {i: base + offset for i, offset in stack.items()}, graph)

    def _capture(self, sizes: dict[str, int], addresses: dict[int, int]) -> Any:
        """The graph of one step's launches; None where all of them are empty."""
        launches = []
        for kernel in self.program.kernels:
            blocks = kernel.grid(sizes)
            args = [addresses[a.buffer] if isinstance(a, BufferArg) else evaluate(a.poly, sizes) for a in kernel.args]
            if blocks:
                launches.append((self._functions[kernel.key], blocks, kernel.threads, args))
        if not launches:
            return None

        def record() -> None:
            for each in launches:
                self.driver.launch(*each)

        return self.driver.capture(record)

    # ------------------------------------------------------------ memory
    def _size(self, position: int, shape: tuple[int, ...]) -> int:
        return math.prod(shape) * np.dtype(self.program.plan.buffers[position].dtype).itemsize

    def _reserve(self, nbytes: int, parts: dict[int, int]) -> int:
        """The arena's address, after it has grown to `nbytes`; bindings made for a smaller one are dropped."""
        if nbytes > self._arena_bytes:
            for binding in self._bindings.values():
                self._drop(binding)
            self._bindings.clear()
            if self._arena_bytes:
                self.driver.free(self._arena)
            self._arena_bytes = 0
            largest = sorted(parts, key=lambda i: -parts[i])[:3]
            names = ", ".join(f"{self.program.plan.buffers[i].name} {parts[i]}" for i in largest)
            self._arena = self._allocate(nbytes, f"a step's tensors, the largest of which are {names}")
            self._arena_bytes = nbytes
        return self._arena

    def _allocate(self, nbytes: int, what: str) -> int:
        try:
            return self.driver.allocate(nbytes)
        except DeviceMemoryError as error:
            raise DeviceMemoryError(f"{error}, for {what}; use a smaller batch") from None

    def _drop(self, binding: CudaBinding) -> None:
        if binding.graph is not None:
            self.driver.forget(binding.graph)

    def _upload_whole(self, position: int, logical: np.ndarray) -> np.ndarray:
        """A state or constant, in its physical order, to its place; the array to keep until it is there."""
        spec = self.program.plan.buffers[position]
        array = np.array(np.asarray(logical, spec.dtype).transpose(spec.order), order="C")
        self.driver.upload(self._fixed[position], array)
        return array

    def _download(self, binding: CudaBinding, position: int, steps: int, stacked: bool) -> np.ndarray:
        shape = binding.shapes[position]
        array = np.empty((steps, *shape) if stacked else shape, self.program.plan.buffers[position].dtype)
        self.driver.download(array, (binding.stacked if stacked else binding.places)[position])
        return array

    def _download_state(self, position: int) -> np.ndarray:
        spec = self.program.plan.buffers[position]
        array = np.empty([evaluate(spec.shape[axis], {}) for axis in spec.order], spec.dtype)
        self.driver.download(array, self._fixed[position])
        return array


def _nbytes(spec: BufferSpec, sizes: dict[str, int]) -> int:
    return math.prod(evaluate(d, sizes) for d in spec.shape) * np.dtype(spec.dtype).itemsize


def _logical(spec: BufferSpec, physical: np.ndarray) -> np.ndarray:
    return physical.transpose(np.argsort(spec.order)) if physical.ndim else physical


def _whole(nbytes: int) -> int:
    return -(-nbytes // ALIGN) * ALIGN
