"""What `compile` and a run are given, checked before anything is done with it.

Leans on `graph` for the walk; the same errors on every device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import RuntimeShapeError
from ...runtime.program import SizeCheck
from ...runtime.sizes import channels_last, evaluate, single_symbol, symbols
from .. import dtypes
from ..errors import CompileError, InputError
from ..shapes import Dim, Shape, poly, show, value
from .bfloat16 import as_words, to_bfloat16
from .node import toposort
from .reference import bind
from .tensor import Tensor


def check_program(inputs: Sequence[Any], outputs: Sequence[Any], updates: Mapping[Any, Any]) -> None:
    """Raises CompileError for inputs, outputs or updates that make no program."""
    for x in [*inputs, *outputs, *updates, *updates.values()]:
        if not isinstance(x, Tensor):
            raise CompileError(f"compile: inputs, outputs and updates are tensors, not {x!r}")
    for variable, new in updates.items():
        if variable.op.name != "variable":
            raise CompileError(f"compile: only variables can be updated, not {variable!r}")
        if (variable.shape, variable.dtype) != (new.shape, new.dtype):
            raise CompileError(f"compile: the update {new.brief()} does not fit {variable!r}")
    given = set(inputs)
    if len(given) != len(inputs):
        raise CompileError("compile: an input is listed twice")
    for x in inputs:
        if x.op.name != "input":
            raise CompileError(f"compile: {x!r} is not an input; make inputs with kw.input")
    bound = {name for x in inputs for d in x.shape if (name := single_symbol(poly(d))) is not None}
    known: set[Shape] = set()
    for node in toposort([*inputs, *outputs, *updates.values()]):
        if node.op.name == "input" and node not in given:
            raise CompileError(f"compile: input {node!r} is needed but not among the inputs")
        if node.shape in known:
            continue
        known.add(node.shape)
        unknown = {name for d in node.shape if not isinstance(d, int) for name in symbols(poly(d))} - bound
        if unknown:
            raise CompileError(
                f"compile: nothing gives the size {sorted(unknown)[0]!r} of {node!r} in a run; an input needs an axis "
                "of that size"
            )


def check_arrays(inputs: Sequence[Tensor], arrays: Sequence[Any]) -> list[np.ndarray]:
    """The arrays for the inputs, in native byte order. Raises InputError for a wrong number of them or wrong dtypes."""
    check_number(inputs, arrays)
    return [check_array(x, a) for x, a in zip(inputs, arrays)]


def check_number(inputs: Sequence[Tensor], arrays: Sequence[Any]) -> None:
    """Raises InputError where there are not as many arrays as inputs."""
    if len(arrays) != len(inputs):
        names = ", ".join(f"{x.attrs.name}{show(x.shape)}" for x in inputs)
        raise InputError(f"{len(arrays)} arrays given, {len(inputs)} inputs expected: {names}")


def check_array(x: Tensor, given: Any) -> np.ndarray:
    """The array for the input `x`, in native byte order. Raises InputError for a wrong dtype."""
    try:
        array = given if isinstance(given, np.ndarray) else _converted(given, x.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"input {x.attrs.name!r} takes {x.dtype}{show(x.shape)}: {error}") from None
    if x.dtype == dtypes.BFLOAT16:
        array = _words(x, array)
    elif array.dtype.name != x.dtype:
        raise InputError(
            f"input {x.attrs.name!r} takes {x.dtype}, got {array.dtype} of shape {array.shape}; "
            f"convert it with .astype({x.dtype!r})"
        )
    return array if array.dtype.isnative else array.astype(dtypes.stored(x.dtype))


def _converted(value: Any, dtype: str) -> np.ndarray:
    return to_bfloat16(value) if dtype == dtypes.BFLOAT16 else np.asarray(value, dtype)


def _words(x: Tensor, array: np.ndarray) -> np.ndarray:
    words = as_words(array)
    if words is None:
        raise InputError(
            f"input {x.attrs.name!r} takes bfloat16 as uint16 words, got {array.dtype} of shape {array.shape}; "
            "make them with kw.to_bfloat16(array), or declare the input float32 and cast it in the graph"
        )
    return words


def check_shapes(inputs: Sequence[Tensor], arrays: Sequence[np.ndarray], steps: int, per_step: Sequence[int]) -> None:
    """Raises RuntimeShapeError for arrays whose shapes do not fit the inputs, or each other, over so many steps."""
    if steps < 1:
        raise ValueError(f"a program runs for at least one step, not {steps}")
    shapes = []
    for i, (x, array) in enumerate(zip(inputs, arrays)):
        if i in per_step and array.shape[:1] != (steps,):
            raise RuntimeShapeError(
                f"input {x.attrs.name!r}: expected a leading axis of {steps} steps, got shape {array.shape}"
            )
        shapes.append(array.shape[1:] if i in per_step else array.shape)
    env: dict[str, int] = {}
    for d, n in _pairs(inputs, shapes):
        name = single_symbol(poly(d))
        if name is not None:
            env.setdefault(name, n)
    for x, shape in zip(inputs, shapes):
        if len(shape) != x.rank or any(value(d, env) != n for d, n in zip(x.shape, shape)):
            known = " with " + ", ".join(f"{name} = {n}" for name, n in env.items()) if env else ""
            wanted = [value(d, env) if symbols(poly(d)) <= env.keys() else None for d in x.shape]
            raise RuntimeShapeError(
                f"input {x.attrs.name!r}: expected shape {show(x.shape)}{known}, got {shape}"
                f"{channels_last(shape, wanted)}"
            )


def check_sizes(rooms: Sequence[SizeCheck], feed: Mapping[Tensor, np.ndarray]) -> None:
    """Raises RuntimeShapeError where the sizes of a run leave no room for what the graph does."""
    env = bind(feed) if rooms else {}
    for check in rooms:
        if evaluate(check.room, env) < 0:
            known = ", ".join(f"{name} = {n}" for name, n in sorted(env.items()))
            raise RuntimeShapeError(f"{check.what}, with {known}")


def _pairs(inputs: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[Dim, int]]:
    for x, shape in zip(inputs, shapes):
        if len(shape) == x.rank:
            yield from zip(x.shape, shape)
