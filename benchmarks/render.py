"""Renders `benchmarks/README.md` from the newest results: `python benchmarks/render.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import RESULTS

HEAD = """# Benchmarks

Made by `python benchmarks/render.py` from the newest file of each kind in `results/`; do not edit by hand.

Times are of one run on a shared virtual machine. Only ratios within a run mean something: programs are
interleaved round by round, and medians compared. A ratio above 1 says that Kernelwright is faster.
"""

MICRO = """## Single kernels

`pytest benchmarks/micro` times them, with GFLOP/s and GB/s: contractions of LeNet-5, an MLP, AlexNet, VGG-16, GoogLeNet
and ResNet (`micro/layer_shapes.py`) with both gradients, elementwise work, reductions, softmax, pooling, calls,
barriers and cold compiles. `-k lenet5` picks some, `--threads 1` sets the threads, `--benchmark-json FILE` keeps the
outcome, and `--benchmark-disable` runs each once. It needs `pip install -e ".[bench,test]"`. No outcome is kept here.
"""


def newest(kind: str) -> dict[str, Any] | None:
    found = sorted(RESULTS.glob(f"*-{kind}.json"))
    return json.loads(found[-1].read_text()) | {"file": found[-1].name} if found else None


def about(result: dict[str, Any]) -> str:
    m = result["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in m["versions"].items() if v != "not installed")
    return f"{result['date']}, {m['cpu']}, {m['cores']} cores; {versions}; `{result['command']}` ({result['file']})"


def training(result: dict[str, Any]) -> str:
    lines = ["## Training step against PyTorch", "", about(result), ""]
    lines += ["Milliseconds: median (lower to upper quartile).", ""]
    for r in result["results"]:
        lines += [
            f"### {r['network']}, batch {r['batch']}, {result['threads']} threads",
            "",
            "| program | ms |",
            "| --- | --- |",
        ]
        lines += [f"| {name} | {s['median'] * 1e3:.2f} ({s['q1'] * 1e3:.2f} to {s['q3'] * 1e3:.2f}) |"
                  for name, s in r["seconds"].items()]  # fmt: skip
        lines += [f"| torch {mode} | skipped: {why} |" for mode, why in r["skipped"].items()]
        best = f"Ratio to the best of PyTorch ({r['best_peer']})"
        lines += ["", f"{best}: **{r['ratio']:.2f}**, with many steps per call "
                  f"{r['ratio_many_steps']:.2f}. {r['kernels']} kernels, {r['gflops']:.0f} GFLOP/s.", ""]  # fmt: skip
    lines += ["## From a new process to the end of the first step (import included), seconds", ""]
    lines += ["| network | empty kernel cache | warm kernel cache |", "| --- | --- | --- |"]
    lines += [
        f"| {n} | {s['cold']['median']:.2f} | {s['warm']['median']:.2f} |" for n, s in result["first_step"].items()
    ]
    return "\n".join(lines) + "\n"


def depth(result: dict[str, Any]) -> str:
    lines = ["## Compile time by depth (empty kernel cache)", "", about(result), ""]
    lines += [
        "| network | layers | graph and gradient, s | compile, s | kernels | distinct |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    keys = ("kind", "depth", "graph", "compile", "kernels", "distinct")
    lines += ["| " + " | ".join(f"{r[k]:.2f}" if isinstance(r[k], float) else str(r[k]) for k in keys) + " |"
              for r in result["rows"]]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    sections = [HEAD]
    for kind, render in (("training-step", training), ("depth", depth)):
        result = newest(kind)
        if result is not None:
            sections.append(render(result))
    sections.append(MICRO)
    Path(__file__).with_name("README.md").write_text("\n".join(sections))


if __name__ == "__main__":
    main()
