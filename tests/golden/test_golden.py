"""Golden kernels: the text of a handful of small programs' kernels. `pytest --update-golden` rewrites them.

They are those of one CPU by its name, whichever machine runs the tests.
"""

from pathlib import Path

import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu.machine import targeting

HERE = Path(__file__).parent
CPU = "znver4"


def swish():
    x, scale = kw.input("x", (None, 256)), kw.input("scale", (256,))
    return [x, scale], [x * kw.sigmoid(x * scale)]


def softmax():
    x = kw.input("logits", (None, 10))
    return [x], [kw.softmax(x)]


def dense():
    x, w, b = kw.input("x", (None, 784)), kw.input("weight", (784, 512)), kw.input("bias", (512,))
    return [x, w, b], [kw.relu(x @ w + b)]


def pool():
    x = kw.input("x", (None, 8, 12, 12))
    return [x], [kw.max_pool(x, 2)]


def convolution_gradient():
    x, w = kw.input("x", (None, 6, 14, 14)), kw.input("filters", (16, 6, 5, 5))
    y = kw.conv(x, w, pad=2, stride=2)
    return [x, w], kw.grad(y.sum(), [w])


def mean_loss():
    a, b = kw.input("a", (None, 32)), kw.input("b", (None, 32))
    return [a, b], [((a - b) ** 2).mean()]


@pytest.mark.parametrize("program", [swish, softmax, pool, mean_loss, dense, convolution_gradient])
def test_golden_kernels(program, update_golden):
    inputs, outputs = program()
    with targeting(CPU):
        text = "\n\n".join(k.source for k in kw.compile(inputs, outputs, threads=1).kernels)
    path = HERE / f"{program.__name__}.txt"
    if update_golden:
        path.write_text(text)
    assert path.read_text() == text, f"kernels changed; if on purpose: pytest {path.parent} --update-golden"
