"""A program from a file, bound to states by their names: what runs a network where nothing compiles.

Leans on `program_file`, `checkpoint` and `executable`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from . import checkpoint
from .errors import ProgramFileError, RuntimeShapeError
from .executable import Executable
from .program import BufferSpec, Program
from .program_file import read_program
from .sizes import describe
from .state import State
from .threads import available_cores

Values = Mapping[str, Any]
"""States by name: arrays, or `State`s, which programs then share."""


class LoadedProgram:
    """Call it with arrays in the order of `inputs`; it returns arrays in that of `outputs`. states: by name."""

    def __init__(self, program: Program, states: Values, threads: int) -> None:
        self.program = program
        self.states = {name: _state(spec, states[name], name) for name, spec in program.named_states.items()}
        self.inputs = tuple(program.buffers[position] for position in program.inputs)
        count = len(program.outputs) - len(program.computed_checks)
        self.outputs = tuple(program.buffers[position] for position in program.outputs[:count])
        self._executable = Executable(program, list(self.states.values()), threads)

    def __call__(self, *arrays: Any) -> Any:
        """One run. Returns the outputs as a list of arrays (one array where the program has one output)."""
        out = self.run(arrays)
        return out[0] if len(out) == 1 else out

    def run(self, arrays: Sequence[Any], steps: int = 1, per_step: Sequence[int] = ()) -> list[np.ndarray]:
        """`steps` runs in one native call. Inputs whose position is in `per_step` carry a leading axis of `steps`;
        with more than one step, or any such input, so does every output.

        bfloat16 is given and returned as uint16 words. Raises RuntimeShapeError for a wrong number of arrays, dtype or
        shape, IndexLimitError for an index out of range.
        """
        given = [_given(spec, array) for spec, array in zip(self.inputs, arrays)]
        return self._executable.run(given + list(arrays[len(given) :]), steps, frozenset(per_step))

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(_brief, specs)) for specs in (self.inputs, self.outputs))
        return f"<program {self.program.name}: {inputs} -> {outputs}, {len(self.states)} states>"


def load_program(
    path: str | os.PathLike[str],
    states: Values | str | os.PathLike[str] = MappingProxyType({}),
    threads: int | None = None,
) -> LoadedProgram:
    """The program that `save` of a compiled one wrote, bound to its states: neither Numba nor the compiler is imported.

    states: {name: array} (others than the program's may be among them), or the path of a safetensors file of these,
    as a Trainer's checkpoint is. `State`s of another loaded program are shared with it. threads: by default, one for
    each core. Raises ProgramFileError where the file cannot be used here or a state is missing, RuntimeShapeError where
    one does not fit, CheckpointError for a file of states that cannot be read. Kernels are code: load only files that
    you trust.
    """
    program = read_program(path)
    values = states if isinstance(states, Mapping) else checkpoint.load_any(Path(states))[0]
    missing = [f"{name} {_brief(spec)}" for name, spec in program.named_states.items() if name not in values]
    if missing:
        there = "" if isinstance(states, Mapping) else f", and {states} has {_some(sorted(values)) or 'none'}"
        raise ProgramFileError(
            f"the program {path} needs values for {_some(missing)}{there}: give "
            "load_program(path, states={name: array}), or the path of a Trainer's checkpoint; states() of the compiled "
            "program are these values"
        )
    return LoadedProgram(program, values, threads or available_cores())


def _state(spec: BufferSpec, value: Any, name: str) -> State:
    if isinstance(value, State):
        return value
    array = np.asarray(value)
    if array.dtype != spec.dtype:
        raise RuntimeShapeError(
            f"state {name!r} takes {_brief(spec)}, got {array.dtype} of shape {array.shape}; "
            f"convert it with .astype({spec.dtype!r})"
        )
    return State(name, array.astype(spec.dtype))


def _given(spec: BufferSpec, value: Any) -> np.ndarray:
    array = value if isinstance(value, np.ndarray) else np.asarray(value, spec.dtype)
    if array.dtype != spec.dtype:
        raise RuntimeShapeError(
            f"input {spec.name!r} takes {_brief(spec)}, got {array.dtype} of shape {array.shape}; "
            f"convert it with .astype({spec.dtype!r})"
        )
    return array if array.dtype.isnative else array.astype(spec.dtype)


def _some(names: Sequence[str]) -> str:
    """The first three of them, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _brief(spec: BufferSpec) -> str:
    return f"{spec.dtype}({', '.join(map(describe, spec.shape))})"
