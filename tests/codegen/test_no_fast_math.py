"""No instruction of a kernel says nnan or ninf: a NaN or an infinity that a network makes has to come through."""

import re
import sys
from pathlib import Path

import pytest

import kernelwright as kw
from kernelwright.compiler.graph.ops import OPS
from kernelwright.compiler.loops.definition import split
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu import assemble
from kernelwright.compiler.targets.cpu.llvm.frontend import lower
from kernelwright.compiler.targets.cpu.target import Cpu

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))
from test_op_table import SAMPLED, build, rng_for

FLAGS = re.compile(r"\b(?:nnan|ninf|fast)\b")


def flagged(llvm: str) -> list[str]:
    """The lines of a module with a flag that lets LLVM take NaN or infinities for impossible."""
    return [line for line in llvm.splitlines() if FLAGS.search(line)]


def test_such_flags_are_found():
    assert flagged("  %3 = fadd nnan float %1, %2\n  %4 = fmul nsz float %1, %3") == ["  %3 = fadd nnan float %1, %2"]
    assert flagged("  %3 = fadd fast float %1, %2") and flagged("  %3 = fcmp nsz ninf oeq float %1, %2")


@pytest.mark.parametrize("name", SAMPLED)
def test_no_kernel_of_an_op_says_nnan(name, monkeypatch):
    texts = []
    monkeypatch.setattr(assemble, "compile_sources", lambda found: texts.extend(found) or dict.fromkeys(texts, b""))
    for i, sample in enumerate(OPS[name].samples):
        inputs, _, y = build(OPS[name], sample, ("float32", "float64")[i % 2], rng_for(name), i)
        Cpu(Options()).build(inputs, [y], {})
    for text in dict.fromkeys(texts):
        module, linked = lower(text, "kernel")
        assert [line for each in (module, *linked) for line in flagged(each)] == []
        assert linked == [] or split(text)[0]  # a user's function is a module of its own


def test_no_optimised_kernel_of_a_training_step_says_nnan():
    x, t = kw.input("x", (None, 2, 9, 9)), kw.input("t", (None,), "int32")
    net = kw.nn.Sequential(
        *(kw.nn.Conv(4, 3), kw.nn.BatchNorm(), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten(), kw.nn.Dropout(0.1)),
        *(kw.nn.Dense(8), kw.tanh, kw.nn.Dense(3)),
    )
    loss = kw.cross_entropy(net(x, training=True), t)
    updates = kw.optim.Adam(1e-3).updates(net.parameters(), kw.grad(loss, net.parameters()))
    step = kw.compile([x, t], [loss], {**net.updates(), **updates})
    assert any("vector.reduce" in k.llvm or "llvm.fma" in k.llvm for k in step.kernels)
    assert [line for kernel in step.kernels for line in flagged(kernel.llvm)] == []
