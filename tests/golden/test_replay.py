"""Replay: the kernels of whole training steps are, to the letter, those that `networks.json` remembers.

A change of structure leaves them alone. A change that is meant to alter kernels rewrites the file with
`pytest tests/golden --update-golden`, and its message says why; which kernels differ is then read with
`kernelwright kernels NETWORK` before and after.
"""

import hashlib
import json
from pathlib import Path

import pytest

import kernelwright as kw
from kernelwright.bench.ours import training_step
from kernelwright.compiler.shapes import typical
from kernelwright.compiler.targets.base import Options
from kernelwright.compiler.targets.cpu import assemble
from kernelwright.compiler.targets.cpu.machine import targeting
from kernelwright.compiler.targets.cpu.target import Cpu
from kernelwright.compiler.targets.cuda import program as cuda

MEMORY = Path(__file__).parent / "networks.json"
CPU = "znver4"
"""Whose kernels are remembered, whichever machine runs the tests."""
STEPS = [
    ("mlp", 128, "cpu"),
    ("lenet5", 128, "cpu"),
    ("maxout_mlp", 64, "cpu"),
    ("resnet20", 32, "cpu"),
    pytest.param("googlenet", 8, "cpu", marks=pytest.mark.slow),
    pytest.param("resnet50", 8, "cpu", marks=pytest.mark.slow),
    pytest.param("vgg16", 4, "cpu", marks=pytest.mark.slow),
    ("lenet5", 128, "cuda"),
    ("resnet20", 32, "cuda"),
]


def printed(name: str, batch: int, device: str, monkeypatch) -> list[str]:
    """The sources of a training step's kernels, none of which is compiled."""
    graph = training_step(kw.models.build(name, seed=0), 0.1)
    if device == "cuda":
        with typical({"batch": batch}):
            return [str(k) for k in cuda.build_kernels(*graph).kernels]
    monkeypatch.setattr(assemble, "compile_sources", lambda texts: dict.fromkeys(texts, b""))
    with typical({"batch": batch}), targeting(CPU):
        return [f"{k.schedule}\n{k.source}" for k in Cpu(Options()).build(*graph)[1]]


@pytest.mark.parametrize(("name", "batch", "device"), STEPS)
def test_kernels_are_those_remembered(name, batch, device, monkeypatch, update_golden):
    kernels = printed(name, batch, device, monkeypatch)
    now = {"kernels": len(kernels), "sha256": hashlib.sha256("\n".join(kernels).encode()).hexdigest()}
    remembered = json.loads(MEMORY.read_text()) if MEMORY.exists() else {}
    if update_golden:
        remembered[f"{name} {batch} {device}"] = now
        MEMORY.write_text(json.dumps(remembered, indent=1, sort_keys=True) + "\n")
    assert remembered[f"{name} {batch} {device}"] == now
