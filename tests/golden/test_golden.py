"""Golden kernels: the text of a handful of small programs' kernels. `pytest --update-golden` rewrites them."""

from pathlib import Path

import pytest

import kernelwright as kw
from kernelwright.compiler.targets.cpu.machine import target

HERE = Path(__file__).parent
WIDE = pytest.mark.skipif(target().vector_bytes != 64, reason="these tiles are those of 512-bit registers")


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


@pytest.mark.parametrize(
    "program",
    [
        swish,
        softmax,
        pool,
        mean_loss,
        pytest.param(dense, marks=WIDE),
        pytest.param(convolution_gradient, marks=WIDE),
    ],
)
def test_golden_kernels(program, update_golden):
    inputs, outputs = program()
    text = "\n\n".join(k.source for k in kw.compile(inputs, outputs, threads=1).kernels)
    path = HERE / f"{program.__name__}.txt"
    if update_golden:
        path.write_text(text)
    assert path.read_text() == text, f"kernels changed; if on purpose: pytest {path.parent} --update-golden"
