"""Every value that a kernel computes is known by its op and by the line of the user's code that it comes from."""

import inspect
import sys

import numpy as np

import kernelwright as kw


def here():
    """The number of the line that calls this."""
    return sys._getframe(1).f_lineno


def values(program):
    return [(v.op, int(v.line.rpartition(":")[2]), v.text) for k in program.kernels for v in k.values]


def test_values_have_their_ops_and_lines():
    x = kw.input("x", (None, 7))
    first = here() + 1
    a = kw.tanh(x)
    b = a * 3.0
    program = kw.compile([x], [kw.exp(b - 1.5)])
    assert [(op, line) for op, line, _ in values(program)] == [
        ("tanh", first),
        ("mul", first + 1),
        ("sub", first + 2),
        ("exp", first + 2),
    ]
    texts = [text for *_, text in values(program)]
    assert texts == [
        "v0 = tanh(x[(i0 // 7), (i0 % 7)])",
        "v1 = mul(v0, 3.0)",
        "v2 = sub(v1, 1.5)",
        "v3 = exp(v2)",
    ]


def test_values_keep_their_lines_through_passes_and_the_cache():
    def network():
        x = kw.input("x", (None, 3, 8, 8))
        w = kw.variable("w", np.ones((8, 3, 3, 3), "float32"))
        y = kw.conv(x, w, stride=2, pad=1)
        z = kw.relu(y + 1.0)
        loss = (z.mean((2, 3)) ** 2).sum()
        return x, w, loss

    lines, start = inspect.getsourcelines(network)
    line = {name: start + next(i for i, text in enumerate(lines) if f"kw.{name}(" in text) for name in ("conv", "relu")}
    for _ in range(2):  # the second program comes from the cache
        x, w, loss = network()
        (gradient,) = kw.grad(loss, [w])
        found = values(kw.compile([x], [loss, gradient]))
        assert {at for op, at, _ in found if op == "contract"} == {line["conv"]}
        assert line["relu"] in {at for op, at, _ in found if op in ("relu", "where")}
        assert all(start <= at < start + len(lines) or at > start for _, at, _ in found)


def test_explaining_a_kernel_shows_its_values():
    from kernelwright.compiler.targets.shared.inspect import explain

    x = kw.input("x", (None, 5))
    program = kw.compile([x], [kw.sigmoid(x * 2.0)])
    text = explain(program.kernels[0])
    assert "v0 = mul(x[(i0 // 5), (i0 % 5)], 2.0)    mul" in text and f"{__file__}:" in text
