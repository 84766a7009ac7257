"""The artefact the compiler makes and the runtime runs: buffers, kernels in order, and their code.

Leans on `sizes`, and on `kernels` for the kinds there are. Plain frozen data that pickles, so that a second process
loads a program instead of compiling it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from .errors import ProgramError
from .kernels import ROUTINES, BufferArg, Call, CudaBatchSpec, CudaKernelSpec, Kernel, KernelSpec
from .sizes import Poly, describe, single_symbol, symbols

Kind = Literal["input", "output", "state", "constant", "temp", "slice"]


@dataclass(frozen=True, eq=False)
class BufferSpec:
    """One array of a program.

    `order` lists the logical axes from outermost to innermost in memory; inputs and outputs keep the logical order.
    `first` and `last` are the first and last kernel that use it: temps share memory when these do not overlap.
    `data` is a constant's logical value. A temp takes `slack` elements more than its shape has. A slice is one place of
    another buffer's first axis, which a loop moves along (`LoopSpec`).
    """

    name: str
    dtype: str
    shape: tuple[Poly, ...]
    order: tuple[int, ...]
    kind: Kind
    first: int = 0
    last: int = 0
    data: np.ndarray | None = None
    slack: Poly = ()


@dataclass(frozen=True)
class LoopSpec:
    """Kernels `first` to `last` run `length` times, one after the other each time.

    `slices` are pairs (a buffer of kind slice, the buffer that it is a place of): turn t sees place t of the first
    axis, or place length - 1 - t where `reverse` says so.
    """

    first: int
    last: int
    length: Poly
    reverse: bool = False
    slices: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class IndexCheck:
    """Every value of the input at position `input` must lie in [0, limit); `what` says what it indexes."""

    input: int
    limit: Poly
    what: str


@dataclass(frozen=True)
class ComputedCheck:
    """Every value of an index of this shape, which kernels compute, must lie in [0, limit); an output is its flag.

    `what` says what it indexes, `where` the user's line.
    """

    shape: tuple[Poly, ...]
    limit: Poly
    what: str
    where: str


@dataclass(frozen=True)
class SizeCheck:
    """`room` must not be negative in any run; `what` says what does not fit where it is."""

    room: Poly
    what: str


@dataclass(frozen=True, eq=False)
class Program:
    """Everything an executable needs. `inputs`, `outputs` and `states` are positions in `buffers`.

    The last outputs are the flags of `computed_checks`, one each (`flags.py`), which a run does not return. `objects`
    has the kernels' code by key: object code, or cubins. `written` are the states that a run may change. `loops` are
    stretches of kernels that run several times, in order and apart from each other.
    """

    name: str
    buffers: tuple[BufferSpec, ...]
    kernels: tuple[Kernel, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    states: tuple[int, ...] = ()
    checks: tuple[IndexCheck, ...] = ()
    size_checks: tuple[SizeCheck, ...] = ()
    computed_checks: tuple[ComputedCheck, ...] = ()
    objects: dict[str, bytes] = field(default_factory=dict)
    written: frozenset[int] = frozenset()
    loops: tuple[LoopSpec, ...] = ()

    @property
    def keys(self) -> list[str]:
        """The keys of the code that its kernels need, each once."""
        return list(dict.fromkeys(kernel.key for kernel in self.kernels if not isinstance(kernel, Call)))

    @property
    def named_states(self) -> dict[str, BufferSpec]:
        """The states' dtypes and shapes by name, in order; a name that comes again gets a number."""
        out: dict[str, BufferSpec] = {}
        for position in self.states:
            spec = self.buffers[position]
            name, n = spec.name, 2
            while name in out:
                name, n = f"{spec.name}#{n}", n + 1
            out[name] = spec
        return out

    def __str__(self) -> str:
        """A line for each kernel: its number, its kind, and what it is given."""
        head = f"{self.name}: {len(self.buffers)} buffers, {len(self.kernels)} kernels"
        return "\n".join([head, *(f"{i} {self._line(kernel)}" for i, kernel in enumerate(self.kernels))])

    def _line(self, kernel: Kernel) -> str:
        kinds = {KernelSpec: "generated", CudaKernelSpec: "launch", CudaBatchSpec: "batch", Call: "call"}
        given = [self.buffers[a.buffer].name if isinstance(a, BufferArg) else describe(a.poly) for a in kernel.args]
        return f"{kinds[type(kernel)]} {kernel.name}({', '.join(given)})"

    def verify(self) -> None:
        """Raise `ProgramError` where the program contradicts itself."""
        for kind, positions in (("input", self.inputs), ("output", self.outputs), ("state", self.states)):
            for position in positions:
                found = self.buffers[position].kind
                _require(found == kind, f"buffer {position} is listed as {kind} but is of kind {found}")
        _require(len(set(self.inputs)) == len(self.inputs), "an input is listed twice")
        listed = {*self.inputs, *self.outputs, *self.states}
        bound = {single_symbol(size) for position in self.inputs for size in self.buffers[position].shape}
        for position, buffer in enumerate(self.buffers):
            _verify_buffer(buffer, position in listed, bound)
        _require(self.written <= set(self.states), "a run changes something that is no state")
        for kernel in self.kernels:
            if isinstance(kernel, Call):
                _verify_call(kernel)
            else:
                _require(kernel.key in self.objects, f"kernel {kernel.name} has no object code")
            _verify_kernel(kernel, len(self.buffers), bound)
        _verify_loops(self, bound)
        for check in self.checks:
            _require(0 <= check.input < len(self.inputs), f"a check of {check.what} names an unknown input")
            _require(symbols(check.limit) <= bound, f"a check of {check.what} uses a size that no input binds")
        _require(len(self.computed_checks) <= len(self.outputs), "a check of a computed index has no flag")
        for computed in self.computed_checks:
            unknown = {name for size in (*computed.shape, computed.limit) for name in symbols(size)} - bound
            _require(not unknown, f"a check of {computed.what} uses a size that no input binds")
        for room in self.size_checks:
            _require(symbols(room.room) <= bound, f"a check of {room.what} uses a size that no input binds")


def _verify_buffer(buffer: BufferSpec, listed: bool, bound: set[str | None]) -> None:
    identity = tuple(range(len(buffer.shape)))
    _require(tuple(sorted(buffer.order)) == identity, f"{buffer.name}: order {buffer.order} is not a permutation")
    if buffer.kind in ("input", "output"):
        _require(tuple(buffer.order) == identity, f"{buffer.name}: an {buffer.kind} keeps its logical order")
    if buffer.kind in ("input", "output", "state"):
        _require(listed, f"{buffer.name}: of kind {buffer.kind} but not listed as one")
    if buffer.kind == "constant":
        _require(buffer.data is not None, f"{buffer.name}: a constant without data")
    for size in buffer.shape:
        _require(not (symbols(size) and buffer.kind in ("state", "constant")), f"{buffer.name}: its size must be known")
        _require(symbols(size) <= bound, f"{buffer.name}: its shape has a symbol that no input binds")


def _verify_loops(program: Program, bound: set[str | None]) -> None:
    end = 0
    for loop in program.loops:
        _require(end <= loop.first <= loop.last < len(program.kernels), "loops overlap or hold unknown kernels")
        end = loop.last + 1
        _require(symbols(loop.length) <= bound, "a loop's length uses a size that no input binds")
        for part, whole in loop.slices:
            _verify_slice(program.buffers[part], program.buffers[whole])
    moved = {part for loop in program.loops for part, _ in loop.slices}
    for position, buffer in enumerate(program.buffers):
        _require(buffer.kind != "slice" or position in moved, f"{buffer.name}: a slice that no loop moves")


def _verify_slice(part: BufferSpec, whole: BufferSpec) -> None:
    _require(part.kind == "slice", f"{part.name}: a loop moves it, but it is of kind {part.kind}")
    alike = (part.shape, part.dtype) == (whole.shape[1:], whole.dtype)
    plain = all(tuple(b.order) == tuple(range(len(b.order))) and not b.slack for b in (part, whole))
    _require(alike and plain, f"{part.name} is no place of the first axis of {whole.name}")


def _verify_call(call: Call) -> None:
    _require(call.routine in ROUTINES, f"there is no routine {call.routine}; there are {', '.join(ROUTINES)}")
    wanted = ROUTINES[call.routine]
    _require(len(call.args) == len(wanted), f"{call.routine} takes {', '.join(wanted)}, not {len(call.args)} arguments")


def _verify_kernel(kernel: Kernel, buffers: int, bound: set[str | None]) -> None:
    for arg in kernel.args:
        if isinstance(arg, BufferArg):
            _require(0 <= arg.buffer < buffers, f"kernel {kernel.name} uses an unknown buffer")
        else:
            _require(symbols(arg.poly) <= bound, f"kernel {kernel.name} uses a size that no input binds")
    if isinstance(kernel, CudaBatchSpec):
        _require(len(kernel.args) % len(kernel.grids) == 0, f"kernels of {kernel.name} differ in their arguments")
    if isinstance(kernel, CudaKernelSpec | CudaBatchSpec):
        grids = [kernel.blocks] if isinstance(kernel, CudaKernelSpec) else kernel.grids
        unknown = {name for grid in grids for extent, _ in grid for name in symbols(extent)} - bound
        _require(not unknown, f"kernel {kernel.name} has a grid of a size that no input binds")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ProgramError(message)
