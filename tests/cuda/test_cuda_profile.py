"""`kernelwright kernels --device cuda --profile`, on the stand-in, whose kernels take a millisecond each."""

import json
import sys
from pathlib import Path

import pytest

from kernelwright.bench.gpu import cards
from kernelwright.bench.gpu.kernel_table import kernel_table
from kernelwright.compiler.targets.cuda import compiled

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
from command import run

PROFILE = ("kernels", "playground", "--device", "cuda", "--profile", "--batch", 4, "--infer")


def test_kernels_are_profiled_on_the_device(library, monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "absent", lambda index: "")
    monkeypatch.setattr(compiled, "driver", lambda index: library.gpu)
    out = tmp_path / "out.json"
    shown = run(*PROFILE, "--json", out).stdout
    measured = json.loads(out.read_text())["kernels"]
    assert [k["ms"] for k in measured] == pytest.approx([1.0] * len(measured))
    assert f"{len(measured)} kernels on Stand-in, {len(measured):.3f} ms" in shown and "1000.0" in shown


def test_without_a_gpu_it_is_one_line(without_driver):
    assert "device 'cuda' needs an NVIDIA driver" in run(*PROFILE, code=1).stderr


def test_parts_are_of_the_cards_bytes_and_of_its_peak_in_the_kernels_arithmetic():
    class Kernel:
        name, schedule, arithmetic = "product", "tile", "tf32"

        def flops(self, batch, examples):
            return 494.7e9

        def bytes(self, batch, examples):
            return 0.3e9

    measured = cards.measured(cards.of_name("NVIDIA H100"), [Kernel()], [2e-3], 1)
    lines = kernel_table(measured, "NVIDIA H100").splitlines()
    assert lines[2].split() == ["0", "product", "2000.0", "5%", "50%", "tf32", "tile"]
    assert lines[-1] == "1 kernels on NVIDIA H100, 2.000 ms; 1.000 ms at the card's rates"
