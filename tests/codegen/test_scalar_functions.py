"""The table of scalar functions is complete: every target has every function, and rows of ops call no others."""

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.graph.tensor import apply
from kernelwright.compiler.loops import expressions as loops
from kernelwright.compiler.loops import formula
from kernelwright.compiler.loops.functions import FUNCTIONS, Text
from kernelwright.compiler.targets.cpu.llvm import mathlib
from kernelwright.compiler.targets.cuda import intrinsics

CALLED = sorted(name for name, function in FUNCTIONS.items() if not isinstance(function.cpu, Text))
CUDA = sorted(name for name, function in FUNCTIONS.items() if not isinstance(function.cuda, Text))


def test_the_cpu_has_every_function():
    assert set(CALLED) <= set(mathlib.NAMES)
    assert set(mathlib.NAMES) - set(CALLED) == {"fma", "philox"}  # what printers call by themselves


def test_the_executor_of_cuda_kernels_has_every_function():
    assert set(CUDA) <= set(intrinsics.TWINS)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_takes_as_many_arguments_as_its_row_says(name):
    function = FUNCTIONS[name]
    kinds = {"logical": "bool", "bits": "uint32", "random": "int64", "bitwise": "int32", "left": "int8"}
    dtype = {**kinds, "right": "uint64", "invert": "int16"}.get(name.split("_")[0], "float32")
    args = [np.ones(3, "bool" if name == "where" and i == 0 else dtype) for i in range(function.arity)]
    assert np.shape(function.numpy(*args)) == (3,)
    assert (np.asarray(function.numpy(*args)).dtype == np.bool_) == function.truth
    for form in (function.cpu, function.cuda):
        if isinstance(form, Text):
            assert all(f"{{{i}}}" in form.text for i in range(function.arity))


def lowered(node):
    """What a node is, as a loop expression over its operands."""
    index = tuple(loops.at(loops.Axis(d)) for d in node.shape)

    def read(k, i):
        return loops.load(node.inputs[k], tuple(i), node.inputs[k].dtype)

    return node.op.lower(node, index, read, loops.Axis)


@pytest.mark.parametrize("name", sorted(n for n, op in OPS.items() if op.lower is not None and op.samples))
def test_an_op_lowers_to_functions_of_the_table(name):
    op = OPS[name]
    for sample in op.samples:
        kinds = [(sample.dtypes[i] if sample.dtypes else None) or "float32" for i in range(len(sample.shapes))]
        inputs = [kw.input(f"x{i}", s, d) for i, (s, d) in enumerate(zip(sample.shapes, kinds))]
        value = lowered(apply(name, inputs, **sample.attrs))
        calls = {e.data for e in loops.postorder([value]) if e.kind == "call"}
        assert {each for each in calls if isinstance(each, str)} <= set(FUNCTIONS)


# ---------------------------------------------------------------- formulas


def value(dtype="float32"):
    return formula.Value(loops.load("x", (), dtype))


def test_a_formula_is_read_as_it_is_written():
    x = value()
    assert loops.show((2 - x * 3 / (1 + x)).expr) == "sub(2, div(mul(t[], 3), add(1, t[])))"
    assert loops.show(formula.where(x > 0, -x, abs(x)).expr) == "where(lt(0, t[]), neg(t[]), abs(t[]))"


def test_numbers_take_the_dtype_of_the_value_they_meet():
    e = formula.where(value("float64") <= 1, 2, value("float64")).expr
    assert e.dtype == "float64" and [a.dtype for a in e.args] == ["bool", "float64", "float64"]
    assert [a.dtype for a in e.args[0].args] == ["float64", "float64"]


def test_a_formula_costs_what_its_calls_cost():
    calls = formula.functions(lambda x: x * formula.exp(x) + formula.exp(x), 1)
    assert sum(c.flops for c in calls) == 12


def test_misuse_of_a_formula_is_one_line():
    with pytest.raises(TypeError, match="no branches"):
        bool(value() > 0)
    with pytest.raises(TypeError, match="maximum takes 2 arguments, not 1"):
        formula.maximum(value())
    with pytest.raises(TypeError, match="has to be a value"):
        formula.maximum(1, 2)
    with pytest.raises(AttributeError, match="no scalar function 'gudermann'"):
        _ = formula.gudermann
