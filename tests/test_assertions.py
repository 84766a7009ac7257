"""An assert only looks: Python leaves it out under -O, so nothing may depend on what it does."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernelwright
from kernelwright.compiler.rewriting.verify import VerifyError, verify_source
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu.printer import print_kernel
from kernelwright.compiler.targets.cpu.target import Cpu

ROOT = Path(kernelwright.__file__).parent
SOURCES = sorted(p for part in ("compiler", "runtime", "models", "bench") for p in (ROOT / part).rglob("*.py"))
ONLY_LOOKS = {"all", "any", "callable", "isinstance", "issubclass", "len", "set", "sorted", "tuple", "type"}

STEP = """
import json, numpy as np, kernelwright as kw
x, t = kw.input("x", (None, 4)), kw.input("t", (None,), "int32")
net = kw.nn.Dense(3, name="d")
loss = kw.losses.cross_entropy(net(x), t)
kw.set_value(net.parameters()[0], np.arange(12, dtype="float32").reshape(4, 3).T / 10)
step = kw.compile([x, t], [loss, net(x)], kw.optim.SGD(0.5).updates(net.parameters(), kw.grad(loss, net.parameters())))
a, b = np.arange(8, dtype="float32").reshape(2, 4), np.array([0, 2], "int32")
first, outputs = step(a, b)
print(json.dumps([outputs.tolist(), float(first), float(step(a, b)[0])]))
"""


def effects(tree: ast.AST):
    """The asserts that call what may change something, or bind a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            for part in ast.walk(node.test):
                name = part.func.id if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) else None
                if isinstance(part, ast.NamedExpr) or (isinstance(part, ast.Call) and name not in ONLY_LOOKS):
                    yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_asserts_have_no_effect(path):
    assert not list(effects(ast.parse(path.read_text())))


def test_an_assert_with_an_effect_is_found():
    assert list(effects(ast.parse("assert stack.pop() is level")))
    assert list(effects(ast.parse("assert (n := 3)")))
    assert not list(effects(ast.parse("assert isinstance(x, int) and len(y) == 2")))


def test_python_without_asserts_makes_the_same_kernels(tmp_path):
    """An empty cache filled under -O serves ordinary Python, and both give NumPy's numbers."""
    x, weight = np.arange(8).reshape(2, 4), np.arange(12).reshape(4, 3) / 10

    def loss_and_gradient(weight, bias):
        z = x @ weight + bias
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        slope = p - np.eye(3)[[0, 2]]
        return -np.log(p[[0, 1], [0, 2]]).mean(), x.T @ slope / 2, slope.mean(0)

    first, by_weight, by_bias = loss_and_gradient(weight, 0.0)
    second = loss_and_gradient(weight - 0.5 * by_weight, -0.5 * by_bias)[0]
    printed = []
    for flags in (["-O"], []):
        env = {**os.environ, "KERNELWRIGHT_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, *flags, "-c", STEP], capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        printed.append(json.loads(done.stdout))
    for outputs, *losses in printed:
        np.testing.assert_allclose(outputs, x @ weight, atol=1e-5)
        np.testing.assert_allclose(losses, [first, second], rtol=1e-4)


def test_a_kernel_without_its_store_is_refused():
    x = kernelwright.input("x", (3, 4))
    y = x + 1.0
    (kernel,) = Cpu(Options()).planned([x], [y], {}).kernels
    source = print_kernel(kernel)
    (store,) = [line for line in source.text.splitlines() if line.lstrip().startswith("buf1[")]
    with pytest.raises(VerifyError, match="never stores to"):
        verify_source(kernel, source.text.replace(store, ""), source.names.buffers)
