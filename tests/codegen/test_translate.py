"""The walk from printed kernels to LLVM IR: against Numba's own front end, and what it leaves to that."""

from __future__ import annotations

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.compiler.graph.functions import binary_cross_entropy
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu import assemble
from kernelwright.compiler.targets.cpu.llvm import frontend
from kernelwright.compiler.targets.cpu.llvm.build import build
from kernelwright.compiler.targets.cpu.llvm.operations import Unsupported
from kernelwright.compiler.targets.cpu.llvm.translate import translate
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.shared import saved
from kernelwright.models import programs
from kernelwright.models.labels import ONE, SEVERAL
from kernelwright.models.updating import Updating

DIVISIONS = """
def divisions(table, thread, threads):
    n = size_at(table, 0)
    x = int64_at(table, 1)
    y = int64_at(table, 2)
    out = int64_at(table, 3)
    for i in range(n):
        out[i * 6] = x[i] // y[i]
        out[i * 6 + 1] = x[i] % y[i]
        out[i * 6 + 2] = x[i] // 4
        out[i * 6 + 3] = -x[i] % 4 - x[i] // -3
        out[i * 6 + 4] = max(x[i], y[i], 2) - min(x[i], -1)
        out[i * 6 + 5] = x[i] if 0 <= x[i] < 5 else y[i] if x[i] == y[i] or y[i] > 2 else -7
"""

NAMES = """
def names(table, thread, threads):
    n = size_at(table, 0)
    x = float32_at(table, 1)
    out = float32_at(table, 2)
    threads = threads + 1
    total = float32(0.0)
    best = float32(-INFINITY)
    place = int32(0)
    for i in range(1, n, 2):
        rest = i * 2
        rest = rest + 1
        g = float32(0.5)
        if i > 2 and x[i] > float32(0.0) or not (x[i - 1] < float32(1.0)):
            g = x[i] * float32(0.1)
            threads = threads * 2
        total = total + g * float32(rest)
        if x[i] > best or (x[i] != x[i] and best == best):
            best = x[i]
            place = int32(i)
    for i in range(n):
        rest = x[i]
        out[i] = rest + total + best + place + threads
"""

MATHEMATICS = """
def mathematics(table, thread, threads):
    n = size_at(table, 0)
    x = float32_at(table, 1)
    k = int32_at(table, 2)
    out = float32_at(table, 3)
    wide = float64_at(table, 4)
    acc = float32_scratch(16)
    for z in range(16):
        acc[z] = float32(0)
    for i in range(n):
        bits = philox(uint32(i), uint32(0), uint32(0), uint32(k[i] >> 3), uint32(7), uint32(n))[2]
        acc[i % 16] = acc[i % 16] + maximum(x[k[i]], bits_to_uniform(bits))
        out[i] = tanh(acc[i % 16]) + where((x[i] > float32(0.0)) & (k[i] <= 3), float32(1.0), -x[i])
        wide[i] = x[i] / k[k[i]] + float64(1e-3)
"""


def refuse(*ignored):
    raise Unsupported


def by_numba(source, name, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(frontend, "translate", refuse)
        return build(source, name)


@pytest.mark.parametrize("source", [DIVISIONS, NAMES, MATHEMATICS], ids=["divisions", "names", "mathematics"])
def test_both_ways_give_the_same_bits(source, kernel, monkeypatch):
    name = source.split("def ")[1].split("(")[0]
    translate(source, name, frontend.namespace(source))  # does not refuse
    rng = np.random.default_rng(0)
    n = 40
    floats = rng.standard_normal(n).astype(np.float32)
    slots = {
        "divisions": [np.repeat(np.arange(-4, 4), 5), np.tile([-3, -1, 1, 2, 7], 8), np.zeros(6 * n, np.int64)],
        "names": [floats, np.zeros(n, np.float32)],
        "mathematics": [floats, rng.integers(1, n, n).astype(np.int32), np.zeros(n, np.float32), np.zeros(n)],
    }[name]
    results = []
    ours = kernel(source, name)
    for each in (ours, type(ours)(by_numba(source, name, monkeypatch))):
        copies = [s.copy() for s in slots]
        each(n, *copies)
        results.append(copies)
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(results[0][-1], slots[-1])


def test_quotients_are_pythons(kernel):
    x, y = np.repeat(np.arange(-4, 4), 5), np.tile([-3, -1, 1, 2, 7], 8)
    out = np.zeros((40, 6), np.int64)
    kernel(DIVISIONS, "divisions")(40, x, y, out)
    for a, b, row in zip(x.tolist(), y.tolist(), out.tolist()):
        choice = a if 0 <= a < 5 else b if a == b or b > 2 else -7
        assert row == [a // b, a % b, a // 4, -a % 4 - a // -3, max(a, b, 2) - min(a, -1), choice]


@pytest.mark.parametrize("network", ["lenet5", "maxout_conv", "resnet20"])
def test_every_kernel_of_a_training_step_is_translated(network, monkeypatch):
    class Done(Exception):
        pass

    def only_translate(texts):
        distinct = dict.fromkeys(texts)
        assert distinct
        for text in distinct:
            translate(text, "kernel", frontend.namespace(text))
        raise Done

    monkeypatch.setattr(assemble, "compile_sources", only_translate)
    monkeypatch.setattr(saved, "identify", lambda *graph: None)  # no finished program is read
    model = kw.models.build(network)
    images, labels = model.images(), kw.input("labels", (None,), "int32")
    loss = kw.cross_entropy(model(images, training=True), labels)
    updates = kw.optim.Adam(1e-3).updates(model.parameters(), kw.grad(loss, model.parameters()))
    with pytest.raises(Done):
        kw.compile([images, labels], [loss, kw.argmax(model(images), 1)], {**model.net.updates(), **updates})


def trainer_programs():
    """(name, graph) of what trainers run, with each of their options somewhere."""
    labels_of = {"one": ONE, "several": SEVERAL}
    losses = {"one": kw.cross_entropy, "several": binary_cross_entropy}
    options = {
        "plain": Updating(),
        "limits": Updating(clip_norm=1.0, clip_value=0.5, ema=0.9, accumulate=3),
        "bfloat16": Updating(precision="bfloat16", loss_scale=1024.0),
    }
    optimizers = {"sgd": kw.optim.SGD(0.1, momentum=0.9), "adamw": kw.optim.AdamW(1e-3), "rms": kw.optim.RMSprop(1e-3)}
    for (kind, labels), (how, updating), optimizer in zip(
        [*labels_of.items(), ("one", ONE)], options.items(), optimizers.values(), strict=True
    ):
        net = kw.nn.Sequential(kw.nn.Conv(3, 3), kw.nn.BatchNorm(), kw.relu, kw.nn.MaxPool(2), kw.nn.Flatten())
        model = kw.models.Model(how, kw.nn.Sequential(net, kw.nn.Dropout(0.2), kw.nn.Dense(4)), (1, 8, 8), 4)
        loss = losses[kind]
        augment = kw.images.Augment(kw.images.Flip(), kw.images.Rotate(10), kw.images.Cutout(2))
        yield f"{how}: training", programs.training(model, loss, optimizer, augment, updating, labels)
        yield f"{how}: evaluation", programs.evaluation(model, loss, labels=labels)
        yield f"{how}: prediction", programs.prediction(model, labels=labels)


def test_every_kernel_of_a_trainer_is_translated(monkeypatch):
    texts = []
    monkeypatch.setattr(assemble, "compile_sources", lambda found: texts.extend(found) or dict.fromkeys(texts, b""))
    for name, graph in trainer_programs():
        del texts[:]
        Cpu(Options()).build(graph.inputs, graph.outputs, graph.updates)
        assert texts, name
        for text in texts:
            translate(text, "kernel", frontend.namespace(text))  # does not refuse


@pytest.mark.parametrize(
    "line",
    [
        "while i < n: i = i + 1",
        "i = n if x else 2",
        "i = unknown",
        "i = [n][0]",
        "i, j = n, n",
        "for i in (1, 2): x[i] = 0",
        "for i in range(n, 0, -1): x[i] = 0",
        "total = 0\n    for i in range(n): total = total + x[i]",
        "for i in range(n): j = i\n    i = j",
    ],
)
def test_other_python_is_left_to_numba(line):
    source = f"def odd(table, thread, threads):\n    n = size_at(table, 0)\n    x = float32_at(table, 1)\n    {line}\n"
    with pytest.raises(Unsupported):
        translate(source, "odd", frontend.namespace(source))


def test_numba_takes_what_is_not_translated(kernel):
    source = """
def backwards(table, thread, threads):
    n = size_at(table, 0)
    x = int64_at(table, 1)
    for i in range(n - 1, 0, -1):
        x[i] = x[i] + x[i - 1]
"""
    x = np.arange(5)
    kernel(source, "backwards")(5, x)
    assert x.tolist() == [0, 1, 3, 5, 7]
