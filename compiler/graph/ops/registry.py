"""What an op is: one frozen row with its shape rule, reference, gradient and lowering. The table of all rows.

A row is the single place where an op is defined; everything else (the DSL, differentiation, lowering, the
tests) is driven by this table. Leans on nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """An example of an op's use for the generated tests: input arrays' shapes and domains, and attributes.

    `shapes` gives one shape per input; `domain` the open interval float inputs are drawn from; `dtypes` the
    dtype per input where it is not the float under test; `make` builds integer inputs from a generator.
    """

    shapes: tuple[tuple[int, ...], ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)
    dtypes: tuple[str | None, ...] | None = None
    high: int = 3
    away_from: tuple[float, ...] = ()


@dataclass(frozen=True)
class Bad:
    """An example of misuse: input shapes and dtypes, attributes, and words its error must contain."""

    shapes: tuple[tuple[int, ...], ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    dtypes: tuple[str, ...] | None = None
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Op:
    """One op.

    `infer(inputs, attrs) -> (shape, dtype)` raises ShapeError or DTypeError with the user's shapes.
    `reference(node, *arrays) -> array` is NumPy, the meaning of the op.
    `vjp(node, g) -> one gradient per input` (None where the input gets none), as graph nodes; `vjp=None`
    says that the op has no derivative, and `no_gradient` why. `zero_gradient` marks ops that are constant
    almost everywhere (comparisons, floor): their gradient is zero and the walk stops there.
    `lower(node, index, read, axis) -> scalar expression` is the op's value at an index: `read(k, index)` is
    the k-th input's value there, `axis(extent)` a fresh reduction index.
    `kind` sorts ops for fusion: source, elementwise, movement, reduce, contract, index, random.

    The rest are facts that passes ask for, so that none of them lists ops by name:
    `flops`: the price of an element, in additions.
    `promotes`: integers given by the user become floats; `logical`: operands are truth values as they stand;
    `chooses`: the first operand is a condition, which the dtype of the others does not touch.
    `commutative`: the two operands may change places.
    `pointwise`: elementwise in every operand and alike at every place, so that a reshape may come after it.
    `associative`: reducing in two steps gives the same, and over size 1 the element. `reduces_axes`: a reduction of its
    only operand over `attrs.axes`.
    `folds`: of constant arrays it is computed while compiling. `keeps_numbers`: of a tensor of one number it is again
    one of that number. `same_elements`: it holds all the numbers of its only
    operand and no others.
    `one_to_one`: every element of the operand is read once, by one element (as elementwise ops do anyway). `repeats`:
    an element may be read by several; movement does so where the result is larger. `joins`: it puts several arrays
    together.
    `rounds`: the exact result may lie between two floats. `underflows`: normal operands may give less than the smallest
    normal number. `joint_vjp(nodes, gradients, wanted) -> one gradient per input` is of an op whose nodes over the same
    inputs are results of one loop (`body.Body`): of all of them at once. wanted: for which inputs a gradient is needed.
    """

    name: str
    kind: str
    infer: Callable[..., tuple[tuple[Any, ...], str]]
    reference: Callable[..., np.ndarray]
    lower: Callable[..., Any] | None
    vjp: Callable[..., Sequence[Any]] | None = None
    no_gradient: str = ""
    zero_gradient: bool = False
    samples: tuple[Sample, ...] = ()
    bad: tuple[Bad, ...] = ()
    flops: int = 1
    promotes: bool = False
    logical: bool = False
    chooses: bool = False
    commutative: bool = False
    pointwise: bool = False
    associative: bool = False
    reduces_axes: bool = False
    folds: bool = False
    keeps_numbers: bool = False
    same_elements: bool = False
    one_to_one: bool = False
    repeats: bool = False
    joins: bool = False
    rounds: bool = False
    underflows: bool = False
    joint_vjp: Callable[..., Sequence[Any]] | None = None


OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Add a row to the table; a name may be used once."""
    assert op.name not in OPS, f"op {op.name!r} is defined twice"
    OPS[op.name] = op
    return op
