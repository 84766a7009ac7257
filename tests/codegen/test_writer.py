"""The printer writes expressions of any depth: nothing in it recurses over them."""

from kernelwright.compiler.loops import expressions as loops
from kernelwright.compiler.loops.kernels import Buffer
from kernelwright.compiler.targets.shared.names import Names
from kernelwright.compiler.targets.shared.writer import Writer

DEEP = 5000


def printed(value: loops.Expr) -> str:
    writer = Writer(Names(), [value])
    writer.line(f"result = {writer.value(value)}")
    return writer.text("kernel", ["table"])


def test_a_chain_of_calls_deeper_than_pythons_stack():
    value = start = loops.load(Buffer("x", (1,), "float32", "input"), (loops.at(0),), "float32")
    for _ in range(DEEP):
        value = loops.call("tanh", [value], "float32")
    assert start in loops.postorder([value])
    assert printed(value).count("tanh(") == DEEP


def test_choices_deeper_than_pythons_stack():
    axis = loops.Axis(DEEP)
    value = loops.const(0.0, "float32")
    for i in range(DEEP):
        value = loops.guard([loops.Within(loops.at(axis), i, 0)], loops.const(float(i), "float32"), value)
    writer = Writer(Names(), [value])
    writer.bind(axis, "i")
    with writer.nest("for i in range(5000):", axis):
        writer.line(f"result = {writer.value(value)}")
    assert writer.text("kernel", ["table"]).count("if 0 <= i < ") == DEEP


def test_positions_read_from_data_deeper_than_pythons_stack():
    places = Buffer("places", (7,), "int32", "input")
    value = loops.load(places, (loops.at(0),), "int32")
    for _ in range(300):
        value = loops.load(places, (loops.Index([(loops.Dynamic(value), 1)]),), "int32")
    assert printed(value).count("buf0[") == 301
